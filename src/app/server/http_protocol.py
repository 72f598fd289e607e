"""uvicorn's HTTP protocol with bounds that it lacks: on the time and the size of a request's head.

A connection that sends nothing, or its head byte by byte, would else be kept for ever; a head without end
would fill the memory. It reaches into uvicorn's protocol class, which `uvicorn<1` bounds and the tests hold.
"""

import asyncio
import json
import secrets
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["BoundedHttp"]

HEAD_SECONDS = 30.0
"""From the connection, or the first byte after an answer, to the end of the head."""

MAX_HEAD_BYTES = 64 * 1024
"""Request line and headers together."""


class BoundedHttp(HttpToolsProtocol):
    """One connection. What is no HTTP gets an answer in the shape of our other errors."""

    head_seconds = HEAD_SECONDS

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head_bytes = 0
        self._head_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The clock starts."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The clock stops."""
        self._head_arrived()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        if self._head_deadline is None:
            self._await_head()
        super().on_message_begin()

    def data_received(self, data: bytes) -> None:
        """Bytes of a head or a body."""
        super().data_received(data)
        if self._head_deadline is not None:
            self._count(len(data))

    def on_headers_complete(self) -> None:
        """The head is here."""
        self._head_arrived()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, and close."""
        self._answer_and_close(b"400 Bad Request", msg)

    def _await_head(self) -> None:
        self._head_bytes = 0
        self._head_deadline = self.loop.call_later(self.head_seconds, self._too_slow)

    def _head_arrived(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None

    def _too_slow(self) -> None:
        self._head_deadline = None
        if not self.transport.is_closing():
            self.transport.close()

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            message = f"The head of the request has more than {MAX_HEAD_BYTES:,} bytes."
            self._answer_and_close(b"431 Request Header Fields Too Large", message)

    def _answer_and_close(self, status: bytes, message: str) -> None:
        if self.transport.is_closing():
            return
        request_id = secrets.token_hex(16)
        error = {
            "message": message,
            "type": "ValidationError",
            "code": "ValidationError",
            "param": None,
            "retryable": False,
        }
        body = json.dumps({"status": "error", "error": error, "request_id": request_id}).encode()
        head = (
            b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
            b"x-request-id: %b\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head % (status, len(body), request_id.encode()) + body)
        self.transport.close()
