"""Answers to HTTP/1.0, which knows no chunks: what has no length ends with its connection (RFC 9112, 6.3)."""

from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.types import Message

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

__all__ = ["send_unframed"]


def send_unframed(cycle: "RequestResponseCycle") -> None:
    """Let uvicorn send the answer of this cycle without chunks; it closes the connection afterwards."""
    send = cycle.send
    has_length = False

    async def unframed(message: Message) -> None:
        nonlocal has_length
        if message["type"] == "http.response.start":
            has_length = "content-length" in Headers(raw=list(message.get("headers", ())))
            if not has_length:
                cycle.chunked_encoding = False
        elif not has_length:
            cycle.expected_content_length = len(message.get("body", b""))
        await send(message)  # type: ignore[arg-type]

    cycle.send = unframed  # type: ignore[method-assign, assignment]
