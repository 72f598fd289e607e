"""A client that streams chat answers and notes when each piece came; light, as it shares the machine."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Stream", "ask", "ask_all"]


@dataclass(slots=True)
class Stream:
    """One streamed answer; times in seconds of `time.perf_counter`.

    Attributes:
        started: before it connects: a client that is not let in waits for its first token too.
        arrivals: when each piece with text came.
        tokens: as the server's usage says.
    """

    started: float = 0.0
    ended: float = 0.0
    tokens: int = 0
    arrivals: list[float] = field(default_factory=list)

    @property
    def to_first(self) -> float:
        """Time to the first text."""
        return self.arrivals[0] - self.started

    @property
    def gaps(self) -> list[float]:
        """Times between neighbouring pieces."""
        return [later - earlier for earlier, later in zip(self.arrivals, self.arrivals[1:], strict=False)]


async def ask(port: int, body: Mapping[str, Any]) -> Stream:
    """Stream one chat completion from a server on this machine.

    Raises:
        RuntimeError: the server refused, or ended early.
    """
    content = json.dumps({**body, "stream": True, "stream_options": {"include_usage": True}}).encode()
    stream = Stream(started=time.perf_counter())
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    writer.write(head.encode() + content)
    try:
        status = await reader.readline()
        if b" 200 " not in status:
            raise RuntimeError((status + await reader.read()).decode(errors="replace")[:500])
        async for line in reader:
            if line.startswith(b"data: {"):
                _note(stream, json.loads(line[6:]))
    finally:
        writer.close()
    stream.ended = time.perf_counter()
    if not stream.tokens or not stream.arrivals:
        raise RuntimeError("the answer ended early")
    return stream


def _note(stream: Stream, chunk: Mapping[str, Any]) -> None:
    if any(_has_text(choice["delta"]) for choice in chunk.get("choices") or ()):
        stream.arrivals.append(time.perf_counter())
    usage = chunk.get("usage")
    if usage:
        stream.tokens = usage["completion_tokens"]


def _has_text(delta: Mapping[str, Any]) -> bool:
    return any(delta.get(key) for key in ("content", "reasoning", "reasoning_content"))


async def ask_all(port: int, bodies: list[Mapping[str, Any]]) -> list[Stream]:
    """Stream all at once."""
    return list(await asyncio.gather(*(ask(port, body) for body in bodies)))
