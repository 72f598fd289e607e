"""Answers work with text models (`Service`): finds, warms, admits, and gives the deltas as they come."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from itertools import count

import structlog

from mlxk.app.catalog import Catalog
from mlxk.app.inspection import Inspector
from mlxk.app.server.engine.admitting import Admissions
from mlxk.app.server.engine.answer_stream import AnswerStream
from mlxk.app.server.engine.changes import Changes
from mlxk.app.server.engine.directory import KnownModel, ModelDirectory
from mlxk.app.server.engine.entries import Entry, PooledModel
from mlxk.app.server.engine.generations import Generation, PreparedWork
from mlxk.app.server.engine.limits import ServiceLimits
from mlxk.app.server.engine.pool import WarmPool
from mlxk.app.server.engine.runtime_life import RuntimeLife
from mlxk.app.server.engine.watchdog import Watchdog
from mlxk.app.server.work import LoadedModelState, ServedModel, ServerState, Work
from mlxk.domain.admission import check_queue, reserved_tokens
from mlxk.domain.errors import AmbiguousMatch, ErrorKind, MlxkError, ModelNotFound
from mlxk.domain.generation import GenerationRequest
from mlxk.domain.keep_alive import FOREVER, KeepAlive
from mlxk.domain.memory import pool_budget
from mlxk.domain.pool import PoolLimits
from mlxk.domain.ports import BatchingTextRuntime, Host
from mlxk.domain.tokens import Modality, default_limit_on_server

__all__ = ["TextService"]

_CHECK_SECONDS = 0.5
_CLOSE_SECONDS = 5.0

log = structlog.get_logger("mlxk.engine")


class TextService:
    """Answers text work on this machine. Used on one event loop.

    Args:
        catalog: which models there are.
        inspector: looks into them.
        host: this machine.
        runtime: loads them.
        limits: how much to take on.
        clock: seconds; everything that is waited for or expires goes by it, at each `check`.
    """

    def __init__(
        self,
        catalog: Catalog,
        inspector: Inspector,
        host: Host,
        runtime: BatchingTextRuntime,
        limits: ServiceLimits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        budget = pool_budget(host.memory()) if limits.memory_budget is None else limits.memory_budget
        self._limits = limits
        self._clock = clock
        self._changes = Changes()
        self._directory = ModelDirectory(catalog, inspector, host, clock)
        self._pool = WarmPool(
            runtime,
            PoolLimits(limits.max_models, budget),
            limits.keep_alive,
            limits.load_wait,
            clock,
            self._changes,
        )
        self._admissions = Admissions(self._pool, limits.load_wait, clock)
        self._watchdog = Watchdog(self._pool, limits.step_limit, clock)
        self._changes.listen(self._admissions.admit_waiting)
        self._places: set[_Place] = set()
        self._numbers = count()
        self._stopping: MlxkError | None = None
        self._housekeeping: asyncio.Task[None] | None = None
        self._unchecked: str | None = None

    def start(self) -> None:
        """Begin to watch the threads and the clock; without it `check` must be called."""
        self._housekeeping = asyncio.get_running_loop().create_task(self._keep_house())

    def check(self) -> None:
        """Notice what died or is stuck, what expired, and what grew."""
        self._watchdog.check()
        self._pool.expire()
        self._admissions.relieve()
        self._changes.notify()

    @asynccontextmanager
    async def answer(self, work: Work) -> AsyncGenerator[AnswerStream, None]:
        """Admit work: its prompts are rendered and its first choice has its place. See `Service.answer`."""
        with self._place() as place:
            entry = await self._acquire(work.model, work.keep_alive, place)
            pin = _Pin(self._pool, entry)
            generations: list[Generation] = []
            try:
                prepared = await self._prepare(entry, work.requests)
                stream, generations = self._enqueue(entry, work, prepared, pin)
                await stream.wait_until_admitted()
                place.leave()
                yield stream
            finally:
                for generation in generations:
                    self._admissions.withdraw(entry, generation)
                pin.release()
                self._admissions.admit_waiting()

    async def models(self) -> Sequence[ServedModel]:
        """Healthy and runnable models: preloaded ones first, then by name."""
        return [self._served(known) for known in await self._directory.all()]

    async def model(self, name: str) -> ServedModel:
        """One of them; see `Service.model`."""
        known = await self._directory.find(name)
        if self._pool.find(known.key) is None:  # in memory it answers, whatever became of its files
            await self._directory.refuse_unlisted(known)
        return self._served(known)

    async def preload(self, text: str, keep_alive: KeepAlive | None = None) -> ServedModel:
        """Warm a model that whoever runs the server named, by name or path, and list it first.

        Raises:
            MlxkError: as `answer`.
        """
        known = await self._directory.introduce(text)
        self._pool.set_keep_alive(known.key, self._limits.keep_alive_preloaded)
        return await self._warm(known, keep_alive)

    async def load(self, name: str, keep_alive: KeepAlive | None = None) -> ServedModel:
        """Warm a model; see `Service.load`."""
        return await self._warm(await self._directory.find(name), keep_alive)

    async def unload(self, name: str) -> ServedModel:
        """Drop a model once it is idle; see `Service.unload`."""
        warm = self._pool.named(name)
        try:
            known = await self._directory.find(name)
        except (AmbiguousMatch, ModelNotFound):
            if warm is None:
                raise
            return await self._unload_gone(warm)
        if warm is not None and (known.name != name or self._pool.find(known.key) is None):
            return await self._unload_gone(warm)
        await self._pool.unload(known.key)
        return self._served(known)

    async def prompt_tokens(self, work: Work) -> int:
        """Tokens of the rendered prompt of work that is not done; see `Service.prompt_tokens`."""
        with self._place() as place:
            entry = await self._acquire(work.model, work.keep_alive, place)
            try:
                (prepared,) = await self._prepare(entry, work.requests[:1])
                return prepared.prepared.prompt_tokens
            finally:
                self._pool.release(entry)

    @property
    def keeps_preloaded(self) -> bool:
        """Whether preloaded models stay until their place is needed."""
        return self._limits.keep_alive_preloaded == FOREVER

    def state(self) -> ServerState:
        """How the server is now."""
        warm = [entry for entry in self._pool.entries if entry.runtime.life is RuntimeLife.READY]
        return ServerState(
            models=tuple(_state_of(entry) for entry in warm),
            queue_limit=self._limits.queue,
            lost=self._pool.lost or self._unchecked,
            stopping=self._stopping is not None,
            left_behind=self._pool.left_behind,
            waiting_to_load=len(self._places) - sum(entry.waiting for entry in warm),
        )

    async def shutdown(self, grace: float) -> None:
        """Take no more work, let running answers finish, then end them and close the models.

        Safe to call twice. It returns in `grace` seconds and a few more: a thread that does not come back
        is left to the end of the process.

        Args:
            grace: seconds for answers in progress.
        """
        error = self._stopping or _shutting_down()
        self._stopping = error
        self._pool.stop(error)
        self._admissions.fail_new(error)
        await self._wait_while(self._is_generating, grace)
        self._admissions.fail_all(error)
        for entry in self._pool.entries:
            for generation in tuple(entry.runtime.generations):
                generation.stream.fail(error)
                entry.runtime.cancel(generation)
        self._pool.close_all()
        await self._wait_while(lambda: bool(self._pool.leaving), _CLOSE_SECONDS)
        if self._housekeeping is not None:
            self._housekeeping.cancel()
        for entry in self._pool.leaving:
            log.warning("model_left_behind", model=entry.model.name)

    async def _wait_while(self, condition: Callable[[], bool], seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while condition():
                    await self._changes.wait()
        except TimeoutError:
            return

    def _is_generating(self) -> bool:
        return any(entry.runtime.generations for entry in self._pool.entries)

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            try:
                self.check()
            except Exception:
                # A server that cannot look after its models must not say that they are well.
                self._unchecked = "The server's checks of its models fail."
                log.exception("check_failed")
            else:
                self._unchecked = None

    @contextmanager
    def _place(self) -> Iterator["_Place"]:
        """A place in the queue, from a request's arrival until its work begins."""
        if self._stopping is not None:
            raise self._stopping
        check_queue(len(self._places), self._limits.queue)
        place = _Place(self._places, self._clock())
        try:
            yield place
        finally:
            place.leave()

    async def _acquire(self, name: str, keep_alive: KeepAlive | None, place: "_Place") -> Entry:
        known = await self._directory.find(name)
        entry = await self._pool.acquire(await self._loadable(known), keep_alive, place.since)
        place.move_to(entry)
        return entry

    async def _warm(self, known: KnownModel, keep_alive: KeepAlive | None) -> ServedModel:
        with self._place() as place:
            entry = await self._pool.acquire(await self._loadable(known), keep_alive, place.since)
            self._pool.release(entry)
        return self._served(known)

    async def _unload_gone(self, model: PooledModel) -> ServedModel:
        """Drop a model that is no longer on the disk, where its name may mean something else by now."""
        await self._pool.unload(model.key)
        return model.shown

    async def _loadable(self, known: KnownModel) -> PooledModel:
        """The model as the pool knows it, looked at again only where it is not in memory."""
        entry = self._pool.find(known.key)
        return entry.model if entry is not None else await self._directory.loadable(known)

    async def _prepare(self, entry: Entry, requests: Sequence[GenerationRequest]) -> list[PreparedWork]:
        default = self._limits.max_tokens
        if default is None:
            default = default_limit_on_server(Modality.TEXT, entry.runtime.context_length)
        return await entry.runtime.prepare(requests, default_limit=default, reserved_tokens=reserved_tokens)

    def _enqueue(
        self, entry: Entry, work: Work, prepared: Sequence[PreparedWork], pin: "_Pin"
    ) -> tuple[AnswerStream, list[Generation]]:
        if self._stopping is not None:
            raise self._stopping
        prompt_tokens = sum(first.prepared.prompt_tokens for first in prepared[:: work.choices])
        stream = AnswerStream(entry.model.name, prompt_tokens, len(prepared), pin.release)
        generations = [
            Generation(stream, choice, each, next(self._numbers), lambda _: self._pool.release(entry))
            for choice, each in enumerate(prepared)
        ]
        for generation in generations:
            self._admissions.add(entry, generation)
        self._admissions.admit_waiting()
        return stream, generations

    def _served(self, known: KnownModel) -> ServedModel:
        return known.served(loaded=self._pool.is_ready(known.key))


class _Pin:
    """A request's hold on its model: until its answer is computed, not until its client has read it."""

    def __init__(self, pool: WarmPool, entry: Entry) -> None:
        self._pool = pool
        self._entry: Entry | None = entry

    def release(self) -> None:
        """Let the model go; once is enough."""
        if self._entry is not None:
            entry, self._entry = self._entry, None
            self._pool.release(entry)


class _Place:
    """One request's place in the queue, since then."""

    def __init__(self, places: "set[_Place]", since: float) -> None:
        self.since = since
        self._places = places
        self._entry: Entry | None = None
        places.add(self)

    def move_to(self, entry: Entry) -> None:
        """Say which model the request waits for."""
        self._entry = entry
        entry.waiting += 1

    def leave(self) -> None:
        """Wait no more; once is enough."""
        if self in self._places:
            self._places.remove(self)
            if self._entry is not None:
                self._entry.waiting -= 1


def _state_of(entry: Entry) -> LoadedModelState:
    runtime = entry.runtime
    return LoadedModelState(
        id=entry.model.name,
        weight_bytes=entry.model.nbytes,
        prompt_cache_bytes=runtime.stats.prompt_cache_bytes,
        running_bytes=runtime.stats.running_bytes,
        active=len(runtime.generations),
        waiting=entry.waiting,
    )


def _shutting_down() -> MlxkError:
    return MlxkError(
        ErrorKind.SERVER_SHUTDOWN,
        "The server is shutting down.",
        hint="try again when it is back",
        retry_after=5,
    )
