"""`mlxk serve`: an HTTP server over the models of this machine, until it is told to stop."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from mlxk.app.results import ServeResult
from mlxk.app.server.hosting import StopSignal, host_until_stopped
from mlxk.app.server.listening import base_url, bind, is_loopback
from mlxk.app.server.work import ServedModel
from mlxk.domain.errors import InvalidInput

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from mlxk.app.server.text_service import TextService

__all__ = ["Serve", "ServeRequest"]

Loaded = TypeVar("Loaded")

DEFAULT_GRACE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class ServeRequest:
    """How to serve; None leaves a value to its default.

    Attributes:
        models: names or paths to load before the first request.
        port: 0 takes a free one.
        api_keys: any of which clients must send; none lets everyone in.
        insecure: whether to listen for other machines without a key.
        allowed_hosts: names clients may use in `Host` besides those of the address.
        cors_origins: web origins whose pages may call.
        max_tokens: completion tokens of requests that do not say.
        max_models: models loaded at once.
        memory_budget: as `parse_budget` reads it.
        keep_alive: as `parse_keep_alive` reads it.
        grace_seconds: what running answers get to end after the first signal.
        log_prompts: whether prompts go to the log.

    Raises:
        InvalidInput: other machines would be let in without a key, or a number is out of range.
    """

    models: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    port: int = 8000
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    insecure: bool = False
    allowed_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    max_tokens: int | None = None
    max_models: int | None = None
    memory_budget: str | None = None
    keep_alive: str | None = None
    grace_seconds: float = DEFAULT_GRACE_SECONDS
    log_prompts: bool = False

    def __post_init__(self) -> None:
        if not (is_loopback(self.host) or self.api_keys or self.insecure):
            raise InvalidInput(
                f"Other machines could use the server on {self.host}, and there is no API key.",
                hint="give one with --api-key-file or MLXK_API_KEY, or say --insecure",
            )
        if not 0 <= self.grace_seconds < float("inf"):
            raise InvalidInput(f"The grace must be seconds from 0 on, not {self.grace_seconds}.")
        if self.max_models is not None and self.max_models < 1:
            raise InvalidInput(f"The max-models must be at least 1, not {self.max_models}.")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise InvalidInput(f"The max-tokens must be at least 1, not {self.max_tokens}.")


class Serve:
    """Serves until SIGINT or SIGTERM.

    Args:
        service: makes the service for a request.
        application: makes the ASGI application over a service.
    """

    def __init__(
        self,
        service: "Callable[[ServeRequest], TextService]",
        application: "Callable[[TextService, ServeRequest], ASGIApp]",
    ) -> None:
        self._service = service
        self._application = application

    def __call__(self, request: ServeRequest, announce: Callable[[ServeResult], None]) -> None:
        """Take the port, load the models, listen, and return after an orderly end.

        Raises:
            InvalidInput: a setting means nothing, or the host is none of this machine's.
            MlxkError: the port is in use, or a model cannot be loaded.
        """
        with contextlib.closing(bind(request.host, request.port)) as listener:
            service = self._service(request)
            with asyncio.Runner(loop_factory=_event_loop) as runner:
                runner.run(self._serve(request, service, listener, announce))

    async def _serve(
        self,
        request: ServeRequest,
        service: "TextService",
        listener: socket.socket,
        announce: Callable[[ServeResult], None],
    ) -> None:
        with StopSignal().listening() as stop:
            loaded = await _unless_stopped(stop, _preload(service, request.models))
            if loaded is None:
                await service.shutdown(0)
                return
            await host_until_stopped(
                self._application(service, request),
                listener,
                stop,
                started=lambda: announce(_result(listener, loaded)),
                drain=lambda: service.shutdown(request.grace_seconds),
            )


def _event_loop() -> asyncio.AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()


async def _preload(service: "TextService", names: Sequence[str]) -> Sequence[ServedModel]:
    return [await service.load(name) for name in names]


async def _unless_stopped(stop: StopSignal, loading: Coroutine[Any, Any, Loaded]) -> Loaded | None:
    """What the coroutine gives, or None when the stop signal came first."""
    work, stopping = asyncio.create_task(loading), asyncio.create_task(stop.wait())
    await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if work.done():
        return work.result()
    work.cancel()
    return None


def _result(listener: socket.socket, loaded: Sequence[ServedModel]) -> ServeResult:
    host, port = listener.getsockname()[:2]
    return ServeResult(host, port, base_url(listener), loaded[0].id if loaded else None)
