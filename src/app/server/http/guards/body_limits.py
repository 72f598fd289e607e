"""Bodies end: in bytes, declared and counted, and in time."""

import asyncio
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlxk.app.server.http.failures import refuse
from mlxk.domain.errors import ErrorKind, InvalidInput, MlxkError

__all__ = ["BodyLimits"]


class BodyLimits:
    """Refuses bodies that are too large or come too slowly.

    Args:
        limit: bytes of one body.
        all_limit: bytes of the bodies of all requests in progress, so that many large ones at once do not
            fill the memory.
        pause: seconds without a byte.
        total: seconds for the whole body.
    """

    def __init__(self, app: ASGIApp, *, limit: int, all_limit: int, pause: float, total: float) -> None:
        self._app = app
        self._limit = limit
        self._room = _Room(all_limit)
        self._pause = pause
        self._total = total

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, with a `receive` that raises where a body goes over a limit."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        problem = self._declared_problem(Headers(scope=scope).getlist("content-length"))
        if problem is not None:
            await refuse(problem, scope, receive, send)
            return
        body = _Body(receive, self._limit, self._room, self._pause, self._total)
        try:
            await self._app(scope, body, send)
        finally:
            self._room.free += body.received

    def _declared_problem(self, declared: list[str]) -> MlxkError | None:
        if not declared:
            return None
        length = declared[0]
        if len(set(declared)) > 1 or not (length.isascii() and length.isdigit()):
            return InvalidInput("The Content-Length is no number of bytes.", param="Content-Length")
        return _too_large(self._limit) if len(length) > 18 or int(length) > self._limit else None


@dataclass(slots=True)
class _Room:
    """Bytes that all bodies may still take."""

    free: int


class _Body:
    """A `receive` that counts and watches the clock until the body is complete."""

    def __init__(self, receive: Receive, limit: int, room: _Room, pause: float, total: float) -> None:
        self._receive = receive
        self._limit = limit
        self._room = room
        self._pause = pause
        self._total = total
        self._deadline: float | None = None
        self.received = 0
        self._complete = False

    async def __call__(self) -> Message:
        if self._complete:
            return await self._receive()
        message = await self._next()
        if message["type"] != "http.request":
            self._complete = True
            return message
        self._take(len(message.get("body", b"")))
        self._complete = not message.get("more_body", False)
        return message

    def _take(self, size: int) -> None:
        self.received += size
        self._room.free -= size
        if self.received > self._limit:
            raise _too_large(self._limit)
        if self._room.free < 0:
            raise MlxkError(
                ErrorKind.QUEUE_FULL,
                "The bodies of the requests in progress take all the memory there is for them.",
                retry_after=5,
            )

    async def _next(self) -> Message:
        now = asyncio.get_running_loop().time()
        if self._deadline is None:
            self._deadline = now + self._total
        try:
            async with asyncio.timeout_at(min(now + self._pause, self._deadline)):
                return await self._receive()
        except TimeoutError:
            raise MlxkError(
                ErrorKind.REQUEST_TIMEOUT, f"The body did not arrive in time ({self.received:,} bytes did)."
            ) from None


def _too_large(limit: int) -> MlxkError:
    return MlxkError(ErrorKind.PAYLOAD_TOO_LARGE, f"The body is larger than the {limit:,} bytes allowed.")
