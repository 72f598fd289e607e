"""Every answer carries X-Request-ID: the client's, if it is sane, else one of ours."""

import re
import secrets
import time
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from mlxk.app.server.http.exchange import Exchange, begin_exchange

__all__ = ["RequestIds"]

_SANE = re.compile(r"[A-Za-z0-9._-]{1,128}")


class RequestIds:
    """Names each exchange, in its answer and in every log line about it.

    Args:
        redact: takes secrets out of what is sent.
    """

    def __init__(self, app: ASGIApp, redact: Callable[[str], str]) -> None:
        self._app = app
        self._redact = redact

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, with an exchange in the scope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope).getlist("x-request-id"))
        begin_exchange(scope, Exchange(request_id, self._redact, started=time.perf_counter()))
        header = (b"x-request-id", request_id.encode())

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        with bound_contextvars(request_id=request_id):
            await self._app(scope, receive, named)


def _request_id(given: list[str]) -> str:
    if len(given) == 1 and _SANE.fullmatch(given[0]):
        return given[0]
    return f"req_{secrets.token_hex(12)}"
