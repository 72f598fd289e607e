"""API keys: needed by every endpoint but /health, compared in constant time."""

import hmac
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from mlxk.app.server.http.failures import refuse
from mlxk.domain.errors import ErrorKind, MlxkError

__all__ = ["ApiKeys"]

_OPEN = frozenset({"/health"})


class ApiKeys:
    """Refuses requests without one of the keys, in `Authorization: Bearer` or `x-api-key`."""

    def __init__(self, app: ASGIApp, keys: Sequence[str]) -> None:
        self._app = app
        self._keys = tuple(key.encode() for key in keys)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may pass."""
        if scope["type"] != "http" or not self._keys or scope["path"] in _OPEN:
            await self._app(scope, receive, send)
            return
        given = _given(Headers(scope=scope))
        if any(self._is_known(key) for key in given):
            await self._app(scope, receive, send)
            return
        words = "The API key is wrong." if given else "This server asks for an API key."
        hint = "send it as 'Authorization: Bearer KEY' or 'x-api-key: KEY'"
        await refuse(MlxkError(ErrorKind.AUTH, words, hint=hint), scope, receive, send)

    def _is_known(self, given: bytes) -> bool:
        # Every key is compared, so that the time tells nothing about which one came near.
        return sum(hmac.compare_digest(given, key) for key in self._keys) > 0


def _given(headers: Headers) -> list[bytes]:
    """The keys as sent, some clients send two; headers are bytes, which starlette shows as Latin-1."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    sent = (token if scheme.lower() == "bearer" else "", headers.get("x-api-key", ""))
    return [key.strip().encode("latin-1") for key in sent if key.strip()]
