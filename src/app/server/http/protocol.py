"""uvicorn's HTTP protocol with bounds that it lacks: on heads, ends of bodies, and clients that do not read.

A connection that sends nothing, or its head byte by byte, would else be kept for ever; a head without end
would fill the memory; a client that never reads would keep its answer. It reaches into uvicorn's protocol
class, which `uvicorn<1` bounds and the tests hold.
"""

import asyncio
import json
import re
import secrets
from typing import Any

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mlxk.app.server.errors import describe
from mlxk.app.server.http.unframed import send_unframed
from mlxk.domain.errors import ErrorKind, InvalidInput, MlxkError

__all__ = ["BoundedHttp"]

HEAD_SECONDS = 30.0
"""From the connection, or the first byte after an answer, to the end of the head."""

MAX_HEAD_BYTES = 64 * 1024
"""Request line and headers together; and what may follow a chunked body."""

UNREAD_BODY_SECONDS = 30.0
"""For the rest of a body whose request was answered before it was here; it is read and thrown away."""

WRITE_SECONDS = 300.0
"""How long a client may take nothing of what is ready for it."""

_log = structlog.get_logger("mlxk.access")
_STATUS = {
    400: b"400 Bad Request",
    408: b"408 Request Timeout",
    431: b"431 Request Header Fields Too Large",
}


_UPGRADE = re.compile(rb"(?i)(?<=\r\n)upgrade(?=[ \t]*:)")


class _HeadTooLarge(Exception):
    """Ends the parsing of a request."""


class BoundedHttp(HttpToolsProtocol):
    """One connection. What is no HTTP gets an answer in the shape of our other errors."""

    head_seconds = HEAD_SECONDS
    unread_body_seconds = UNREAD_BODY_SECONDS
    write_seconds = WRITE_SECONDS

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head_bytes = 0
        self._received_bytes = 0
        self._in_message = False
        self._head_deadline: asyncio.TimerHandle | None = None
        self._body_deadline: asyncio.TimerHandle | None = None
        self._write_deadline: asyncio.TimerHandle | None = None
        self._refusal: bytes | None = None

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The clock starts."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The clocks stop."""
        self._head_arrived()
        self._body_ended()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of a head or a body."""
        if self._refusal is not None:
            return  # nothing after what is no HTTP can be told apart
        awaited = self._head_deadline
        if awaited is not None or not self._in_message:
            data = _without_upgrade(data)
        super().data_received(data)
        # Header lines count when they are complete; this is for one that does not end. A piece that ends
        # one request and begins the next is not counted: it is a bounded one.
        if awaited is not None and self._head_deadline is awaited:
            self._received_bytes += len(data)
            if self._received_bytes > MAX_HEAD_BYTES:
                self._refuse_head()

    def end_unasked(self) -> None:
        """Hang up when what is asked is not all here: the application hears that the client has left."""
        cycle = self.cycle
        if cycle is not None and cycle.more_body and not cycle.response_started and not self.pipeline:
            self._close()

    # The parser's callbacks

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._in_message = True
        if self._head_deadline is None:
            self._await_head()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A piece of the request line."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer."""
        self._count(len(name) + len(value) + len(": \r\n"))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is here."""
        self._head_arrived()
        super().on_headers_complete()
        if self.scope["http_version"] == "1.0":
            send_unframed(self.cycle)

    def on_message_complete(self) -> None:
        """The body is here."""
        self._in_message = False
        super().on_message_complete()
        if self._body_deadline is not None:
            self._body_ended()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_response_complete(self) -> None:
        """The answer was given, before the body was here perhaps."""
        if self._refusal is not None and all(cycle.more_body for cycle, _ in self.pipeline):
            self._close_with(self._refusal)
        super().on_response_complete()
        of_this_answer = self._in_message and self._head_deadline is None and not self.pipeline
        if of_this_answer and not self.transport.is_closing():
            self._body_deadline = self.loop.call_later(self.unread_body_seconds, self._close)

    # Writing

    def pause_writing(self) -> None:
        """The client has not taken what was sent."""
        super().pause_writing()
        self._await_reading(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """The client has caught up."""
        if self._write_deadline is not None:
            self._write_deadline.cancel()
            self._write_deadline = None
        if self.flow is not None:
            super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, and close."""
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse_head()
        else:
            self._answer_and_close(400, InvalidInput(msg))

    def _await_reading(self, unread: int) -> None:
        self._write_deadline = self.loop.call_later(self.write_seconds, self._unread, unread)

    def _unread(self, before: int) -> None:
        """Hang up, unless the client has taken something meanwhile."""
        unread = self.transport.get_write_buffer_size()
        if unread < before:
            self._await_reading(unread)
        else:
            self._write_deadline = None
            self.transport.abort()

    def _await_head(self) -> None:
        self._head_bytes = self._received_bytes = 0
        self._head_deadline = self.loop.call_later(self.head_seconds, self._too_slow)

    def _head_arrived(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None
        self._head_bytes = 0  # from now on trailers count

    def _body_ended(self) -> None:
        if self._body_deadline is not None:
            self._body_deadline.cancel()
            self._body_deadline = None

    def _too_slow(self) -> None:
        self._head_deadline = None
        if self._is_answering():
            self._head_deadline = self.loop.call_later(self.head_seconds, self._too_slow)
        elif self._in_message:
            message = f"The head of the request did not arrive in {self.head_seconds:g} seconds."
            self._answer_and_close(408, MlxkError(ErrorKind.REQUEST_TIMEOUT, message))
        else:
            self._close()

    def _close(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            raise _HeadTooLarge

    def _refuse_head(self) -> None:
        message = f"The head of the request has more than {MAX_HEAD_BYTES:,} bytes."
        self._answer_and_close(431, InvalidInput(message))

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _answer_and_close(self, status: int, error: MlxkError) -> None:
        if self._refusal is not None or self.transport.is_closing():
            return
        request_id = f"req_{secrets.token_hex(12)}"
        _log.info("request", status=status, error=error.kind.type, request_id=request_id)
        refusal = _answer(status, error, request_id)
        if not self._is_answering():
            self._close_with(refusal)
        elif self.pipeline or not self.cycle.more_body:
            self._refusal = refusal  # the client takes the first answer for that to its first request
        else:
            self._close_with(b"" if self.cycle.response_started else refusal)

    def _close_with(self, last: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(last)
            self.transport.close()


def _without_upgrade(data: bytes) -> bytes:
    """The bytes with another name for the header by which a client offers to speak a newer protocol.

    No upgrade is taken here, and the parser gives up the body of a request that offers one, as Java's
    client does with each first request.
    """
    if not _UPGRADE.search(data):
        return data
    head, end, rest = data.partition(b"\r\n\r\n")
    return _UPGRADE.sub(b"ignored", head) + end + rest


def _answer(status: int, error: MlxkError, request_id: str) -> bytes:
    body = json.dumps(describe(error, request_id, str)).encode()
    head = (
        b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
        b"x-request-id: %b\r\nconnection: close\r\n\r\n"
    )
    return head % (_STATUS[status], len(body), request_id.encode()) + body
