"""Only requests meant for this server: the Host header against DNS rebinding, Origin against other sites."""

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from mlxk.app.server.http.failures import refuse
from mlxk.domain.errors import ErrorKind, MlxkError

__all__ = ["LOOPBACK_NAMES", "Hosts"]

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


class Hosts:
    """Refuses a Host that is not ours, and web pages of other origins than those named.

    A page that an attacker's name leads here (DNS rebinding) carries that name as its Host; a page that
    posts here from elsewhere carries its Origin, also where CORS keeps it from reading the answer.

    Args:
        allowed: names besides the loopback ones, without a port; `*` for any.
        any_address: any IP address is ours too.
        origins: web origins that may use the server.
    """

    def __init__(
        self, app: ASGIApp, *, allowed: Sequence[str], any_address: bool, origins: Sequence[str]
    ) -> None:
        self._app = app
        self._any_address = any_address
        self._any = "*" in allowed
        self._hosts = {_plain(name) for name in (*LOOPBACK_NAMES, *allowed)}
        self._origins = {origin.lower().rstrip("/") for origin in origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is meant for us."""
        problem = self._problem(Headers(scope=scope)) if scope["type"] == "http" else None
        if problem is None:
            await self._app(scope, receive, send)
        else:
            await refuse(problem, scope, receive, send)

    def _problem(self, headers: Headers) -> MlxkError | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            return MlxkError(
                ErrorKind.ACCESS_DENIED,
                "The Host header names no host that this server serves.",
                hint="name it with --allowed-host",
                param="Host",
            )
        origin = headers.get("origin")
        if origin is None or self._may_use(origin):
            return None
        return MlxkError(
            ErrorKind.ACCESS_DENIED,
            "Pages of this origin may not use the server.",
            hint="name it with --cors-origin",
            param="Origin",
        )

    def _is_ours(self, host: str) -> bool:
        name, port = _split(host)
        ours = self._any or name in self._hosts or (self._any_address and _is_address(name))
        return port and ours

    def _may_use(self, origin: str) -> bool:
        if "*" in self._origins or origin.lower() in self._origins:
            return True
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        return parts.scheme in ("http", "https") and not self._any and self._is_ours(parts.netloc)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def _plain(name: str) -> str:
    """A name as the Host header has it: lower case, an IPv6 address in brackets, no trailing dot."""
    name = name.lower().rstrip(".")
    return f"[{name}]" if ":" in name and not name.startswith("[") else name


def _split(host: str) -> tuple[str, bool]:
    """The name, and whether what follows it can be a port (or nothing)."""
    if host.startswith("["):
        name, bracket, port = host.partition("]")
        name += bracket
    else:
        name, colon, port = host.partition(":")
        port = colon + port
    fits = port == "" or (port.startswith(":") and port[1:].isascii() and port[1:].isdigit())
    return name.lower().rstrip("."), fits
