"""One log line and one count for every request, and an answer to errors that nobody expected."""

import time

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlxk.app.server.http.exchange import Exchange, exchange_of
from mlxk.app.server.http.failures import refuse, unexpected
from mlxk.app.server.http.metrics import Metrics

__all__ = ["CLIENT_LEFT", "AccessLog"]

CLIENT_LEFT = 499
"""nginx's status for clients that hung up; logged and counted, never sent."""

_LONGEST_PATH = 200
_log = structlog.get_logger("mlxk.access")


class AccessLog:
    """Logs and counts what happened to each request."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and tell afterwards."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = CLIENT_LEFT

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self._metrics.begin()
        try:
            await self._app(scope, receive, noted)
        except Exception as error:  # noqa: BLE001 - the last place that can answer
            failure = unexpected(error)
            if status == CLIENT_LEFT:
                await refuse(failure, scope, receive, noted)
        finally:
            exchange = exchange_of(scope)
            shown = CLIENT_LEFT if exchange.client_left else status
            self._metrics.end(_route(scope), shown)
            _tell(scope, exchange, shown)


def _route(scope: Scope) -> str:
    """The path's template: paths themselves are without number."""
    return getattr(scope.get("route"), "path", "other")


def _tell(scope: Scope, exchange: Exchange, status: int) -> None:
    facts = {
        "method": scope["method"],
        "path": scope["path"][:_LONGEST_PATH],
        "status": status,
        "ms": round((time.perf_counter() - exchange.started) * 1000, 1),
        "model": exchange.model,
        "prompt_tokens": exchange.prompt_tokens,
        "completion_tokens": exchange.completion_tokens or None,
        "error": exchange.error,
    }
    _log.info("request", **{name: fact for name, fact in facts.items() if fact is not None})
