"""Bodies end: in bytes, declared and counted, and in time."""

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlxk.app.server.failures import refuse
from mlxk.domain.errors import ErrorKind, InvalidInput, MlxkError

__all__ = ["BodyLimits"]


class BodyLimits:
    """Refuses bodies that are too large or come too slowly.

    Args:
        limit: bytes.
        pause: seconds without a byte.
        total: seconds for the whole body.
    """

    def __init__(self, app: ASGIApp, limit: int, pause: float, total: float) -> None:
        self._app = app
        self._limit = limit
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
        await self._app(scope, _Body(receive, self._limit, self._pause, self._total), send)

    def _declared_problem(self, declared: list[str]) -> MlxkError | None:
        if not declared:
            return None
        length = declared[0]
        if len(set(declared)) > 1 or not (length.isascii() and length.isdigit()):
            return InvalidInput("The Content-Length is no number of bytes.", param="Content-Length")
        return _too_large(self._limit) if len(length) > 18 or int(length) > self._limit else None


class _Body:
    """A `receive` that counts and watches the clock until the body is complete."""

    def __init__(self, receive: Receive, limit: int, pause: float, total: float) -> None:
        self._receive = receive
        self._limit = limit
        self._pause = pause
        self._total = total
        self._deadline: float | None = None
        self._received = 0
        self._complete = False

    async def __call__(self) -> Message:
        if self._complete:
            return await self._receive()
        message = await self._next()
        if message["type"] != "http.request":
            self._complete = True
            return message
        self._received += len(message.get("body", b""))
        if self._received > self._limit:
            raise _too_large(self._limit)
        self._complete = not message.get("more_body", False)
        return message

    async def _next(self) -> Message:
        now = asyncio.get_running_loop().time()
        if self._deadline is None:
            self._deadline = now + self._total
        try:
            async with asyncio.timeout_at(min(now + self._pause, self._deadline)):
                return await self._receive()
        except TimeoutError:
            raise MlxkError(
                ErrorKind.REQUEST_TIMEOUT, f"The body did not arrive in time ({self._received:,} bytes did)."
            ) from None


def _too_large(limit: int) -> MlxkError:
    return MlxkError(ErrorKind.PAYLOAD_TOO_LARGE, f"The body is larger than the {limit:,} bytes allowed.")
