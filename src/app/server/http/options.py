"""How the HTTP side of the server behaves."""

from collections.abc import Callable
from dataclasses import dataclass

from mlxk.app.logs import Redactor

__all__ = ["JSON_LIMIT", "HttpOptions"]

JSON_LIMIT = 64 * 1024 * 1024
"""Bytes of a JSON body."""


_REDACT = Redactor()


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """How the HTTP side of the server behaves.

    Attributes:
        api_keys: any of them opens every endpoint; none means that no key is asked for.
        allowed_hosts: names a Host header may have besides the loopback ones, without a port; `*` for any.
        any_address: a Host header may have any IP address, as one finds a server on all interfaces; a page
            that rebinds a name cannot send one.
        cors_origins: web origins whose pages may use the server, such as `http://localhost:3000`.
        body_limit: bytes of a JSON body.
        bodies_limit: bytes of the bodies of all requests in progress.
        body_pause: seconds that may pass without a byte of a body that was announced.
        body_time: seconds for a whole body.
        keep_alive_interval: seconds of silence in a stream before a comment line.
        redact: takes secrets out of what clients are told.
        log_prompts: prompts are logged, which they are not otherwise.
    """

    api_keys: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    any_address: bool = False
    cors_origins: tuple[str, ...] = ()
    body_limit: int = JSON_LIMIT
    bodies_limit: int = 8 * JSON_LIMIT
    body_pause: float = 30.0
    body_time: float = 600.0
    keep_alive_interval: float = 15.0
    redact: Callable[[str], str] = _REDACT
    log_prompts: bool = False
