"""`mlxk serve`: an HTTP server over the models of this machine, until it is told to stop."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from mlxk.app.catalog import Catalog
from mlxk.app.inspection import Inspector
from mlxk.app.logs import Redactor
from mlxk.app.results import ServeResult
from mlxk.app.server.engine.limits import ServiceLimits
from mlxk.app.server.engine.text_service import TextService
from mlxk.app.server.http.addresses import host_name, web_origin
from mlxk.app.server.http.application import create_application
from mlxk.app.server.http.hosting import StopSignal, host_until_stopped
from mlxk.app.server.http.listening import base_url, bind
from mlxk.app.server.http.options import HttpOptions
from mlxk.app.server.work import ServedModel
from mlxk.app.settings import DEFAULT_GRACE_SECONDS, DEFAULT_HOST, DEFAULT_PORT
from mlxk.domain.errors import ErrorKind, InvalidInput, MlxkError
from mlxk.domain.exposure import is_everywhere, refuse_open_door
from mlxk.domain.keep_alive import parse_keep_alive
from mlxk.domain.memory import parse_budget
from mlxk.domain.ports import BatchingTextRuntime, Host

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ["Serve", "ServeRequest"]

Loaded = TypeVar("Loaded")


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
        keep_alive: as `parse_keep_alive` reads it; None is for ever for `models`, five minutes for others.
        grace_seconds: what running answers get to end after the first signal.
        log_prompts: whether prompts go to the log.

    Raises:
        InvalidInput: other machines would be let in without a key, or a number is out of range.
    """

    models: tuple[str, ...] = ()
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
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
        if not self.insecure:
            refuse_open_door(self.host, self.api_keys)
        if not 0 <= self.grace_seconds < float("inf"):
            raise InvalidInput(f"The grace must be seconds from 0 on, not {self.grace_seconds}.")
        if self.max_models is not None and self.max_models < 1:
            raise InvalidInput(f"The max-models must be at least 1, not {self.max_models}.")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise InvalidInput(f"The max-tokens must be at least 1, not {self.max_tokens}.")


class Serve:
    """Serves until SIGINT or SIGTERM.

    Args:
        redactor: makes what takes secrets out of texts, knowing some more than the environment has.
    """

    def __init__(
        self,
        catalog: Catalog,
        inspector: Inspector,
        host: Host,
        runtime: BatchingTextRuntime,
        redactor: Callable[..., Redactor],
    ) -> None:
        self._catalog = catalog
        self._inspector = inspector
        self._host = host
        self._runtime = runtime
        self._redactor = redactor

    def __call__(self, request: ServeRequest, announce: Callable[[ServeResult], None]) -> None:
        """Take the port, load the models, listen, and return after an orderly end.

        Raises:
            InvalidInput: a setting means nothing, or the host is none of this machine's.
            MlxkError: the port is in use, or a model cannot be loaded.
        """
        limits = _limits(request, self._host)
        _check_room(request.models, limits)
        options = self._options(request)
        with contextlib.closing(bind(request.host, request.port)) as listener:
            service = TextService(self._catalog, self._inspector, self._host, self._runtime, limits)
            application = create_application(service, options)
            with asyncio.Runner(loop_factory=_event_loop) as runner:
                runner.run(_serve(request, service, application, listener, announce))

    def _options(self, request: ServeRequest) -> HttpOptions:
        return HttpOptions(
            api_keys=request.api_keys,
            allowed_hosts=(request.host, *map(host_name, request.allowed_hosts)),
            any_address=is_everywhere(request.host),
            cors_origins=tuple(map(web_origin, request.cors_origins)),
            redact=self._redactor(*request.api_keys),
            log_prompts=request.log_prompts,
        )


async def _serve(
    request: ServeRequest,
    service: TextService,
    application: "ASGIApp",
    listener: socket.socket,
    announce: Callable[[ServeResult], None],
) -> None:
    with StopSignal().listening() as stop:
        service.start()
        loaded = await _unless_stopped(stop, _preload(service, request.models))
        if loaded is None:
            await service.shutdown(0)
            return
        await host_until_stopped(
            application,
            listener,
            stop,
            started=lambda: announce(_result(listener, loaded)),
            drain=lambda: service.shutdown(request.grace_seconds),
        )


def _limits(request: ServeRequest, host: Host) -> ServiceLimits:
    """The limits of a request; defaults where it does not say."""
    limits = ServiceLimits(max_tokens=request.max_tokens)
    if request.max_models is not None:
        limits = replace(limits, max_models=request.max_models)
    if request.memory_budget is not None:
        limits = replace(limits, memory_budget=parse_budget(request.memory_budget, host.memory()))
    if request.keep_alive is not None:
        keep_alive = parse_keep_alive(request.keep_alive)
        limits = replace(limits, keep_alive=keep_alive, keep_alive_preloaded=keep_alive)
    return limits


def _event_loop() -> asyncio.AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()


def _check_room(models: Sequence[str], limits: ServiceLimits) -> None:
    wanted = len(set(models))
    if wanted > limits.max_models:
        raise InvalidInput(
            f"{wanted} models are to be loaded first, and at most {limits.max_models} may be loaded at once.",
            hint=f"say --max-models {wanted}, or name fewer",
        )


async def _preload(service: TextService, names: Sequence[str]) -> Sequence[ServedModel]:
    """Load these models; they must fit together, unless they may go when nobody uses them.

    Raises:
        MlxkError: one cannot be loaded, or made an earlier one go.
    """
    loaded = [await service.preload(name) for name in names]
    warm = {model.id for model in service.state().models}
    gone = [model.id for model in loaded if model.id not in warm]
    if gone and service.keeps_preloaded:
        raise MlxkError(
            ErrorKind.INSUFFICIENT_MEMORY,
            f"Model '{gone[0]}' does not fit beside the others that are to be loaded.",
            hint="name fewer models, or raise --max-models or --memory-budget",
        )
    return loaded


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
