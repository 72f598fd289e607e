"""The warm pool: loads each model once, keeps it while it is used, and lets the least recent ones go.

Everything here happens on the event loop. `domain.pool` decides; this carries it out on runtime threads.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import structlog

from mlxk.app.server.engine.changes import Changes
from mlxk.app.server.engine.entries import Entry, PooledModel
from mlxk.app.server.engine.runtime_life import RuntimeLife
from mlxk.app.server.engine.runtime_thread import RuntimeThread
from mlxk.domain.errors import ErrorKind, MlxkError
from mlxk.domain.keep_alive import KeepAlive
from mlxk.domain.pool import (
    ModelKey,
    NeverFits,
    PoolLimits,
    Room,
    WarmModel,
    cache_allowances,
    expired,
    make_room,
)
from mlxk.domain.ports import BatchingTextModel, BatchingTextRuntime

__all__ = ["WarmPool"]

_RETRY_AFTER = 5

_TURN = 0.25
"""The part of the longest wait after which a model that waits for room keeps younger requests back."""

log = structlog.get_logger("mlxk.engine")


@dataclass(frozen=True, slots=True, eq=False)
class _Wish:
    """Somebody waits for a model since then."""

    key: ModelKey
    since: float


class WarmPool:
    """The models in memory.

    Args:
        runtime: loads them.
        limits: how many, and how many bytes.
        keep_alive: how long a model stays that nobody uses, when no request says.
        load_wait: seconds to wait for others to make room.
        clock: seconds.
        changes: told of every change.
    """

    def __init__(
        self,
        runtime: BatchingTextRuntime,
        limits: PoolLimits,
        keep_alive: KeepAlive,
        load_wait: float,
        clock: Callable[[], float],
        changes: Changes,
    ) -> None:
        self._runtime = runtime
        self._limits = limits
        self._keep_alive = keep_alive
        self._stays: dict[ModelKey, KeepAlive] = {}
        self._load_wait = load_wait
        self._clock = clock
        self._changes = changes
        self._entries: dict[ModelKey, Entry] = {}
        self._leaving: list[Entry] = []
        self._wishes: list[_Wish] = []
        self._lost: dict[ModelKey, str] = {}
        self._stopping: MlxkError | None = None

    @property
    def budget(self) -> int:
        """Bytes that everything in memory may take."""
        return self._limits.budget

    @property
    def lost(self) -> str | None:
        """Why a model was lost that has not been loaded again, or None."""
        return next(iter(self._lost.values()), None)

    @property
    def entries(self) -> Sequence[Entry]:
        """Warm models and those being loaded."""
        return tuple(self._entries.values())

    @property
    def leaving(self) -> Sequence[Entry]:
        """Models that are being closed, and lost ones whose thread has not come back: still in memory."""
        return tuple(self._leaving)

    @property
    def is_closing(self) -> bool:
        """Whether a model is being closed whose thread is well."""
        return any(entry.runtime.failure is None for entry in self._leaving)

    @property
    def left_behind(self) -> int:
        """Lost models whose thread has not come back."""
        return sum(entry.runtime.failure is not None for entry in self._leaving)

    @property
    def leaving_bytes(self) -> int:
        """Bytes of the weights of `leaving`."""
        return sum(entry.model.nbytes for entry in self._leaving)

    def find(self, key: ModelKey) -> Entry | None:
        """A model that is warm or being loaded."""
        return self._entries.get(key)

    def named(self, name: str) -> PooledModel | None:
        """A model that is warm or being loaded, by its full name."""
        return next((entry.model for entry in self.entries if entry.model.name == name), None)

    def is_ready(self, key: ModelKey) -> bool:
        """Whether a model is warm."""
        entry = self._entries.get(key)
        return entry is not None and entry.runtime.life is RuntimeLife.READY

    def set_keep_alive(self, key: ModelKey, keep_alive: KeepAlive) -> None:
        """Say how long this model stays, whenever it is loaded, when no request says."""
        self._stays[key] = keep_alive

    async def acquire(self, model: PooledModel, keep_alive: KeepAlive | None, asked: float) -> Entry:
        """A warm model, loaded if need be, with a pin that the caller must `release`.

        Who comes while it is loaded waits for the same load; who leaves does not end it for the others.

        Args:
            asked: when the request came, in seconds of the pool's clock.

        Raises:
            MlxkError: (`INSUFFICIENT_MEMORY`) it can never fit; (`MODELS_BUSY`) others made no room in time;
                (`SERVER_SHUTDOWN`) the pool takes no more; (`RUNTIME_LOST`) its load got stuck; what
                loading raises.
        """
        wish = _Wish(model.key, asked)
        self._wishes.append(wish)
        try:
            while (entry := self._granted(model, asked)) is None:
                if self._clock() - asked >= self._load_wait:
                    raise _busy(model.name, self._load_wait)
                await self._changes.wait()
        finally:
            self._wishes.remove(wish)
        return await self._pinned(entry, keep_alive)

    def pin(self, entry: Entry) -> None:
        """Keep a model until it is released as often."""
        entry.pins += 1
        entry.last_used = self._clock()

    def release(self, entry: Entry) -> None:
        """Give a pin back."""
        entry.pins -= 1
        entry.last_used = self._clock()
        if not entry.pins:
            self.expire()
            self._changes.notify()

    def expire(self) -> None:
        """Let the models go that nobody has used for as long as they may stay."""
        for key in expired(self._warm(), self._clock()):
            self._close(self._entries[key], "idle")

    def evict_idle(self) -> bool:
        """Let the least recently used idle model go; whether there was one."""
        idle = sorted((entry for entry in self.entries if not entry.pins), key=lambda entry: entry.last_used)
        if idle:
            self._close(idle[0], "memory")
        return bool(idle)

    def trim_caches(self, allowed: int) -> None:
        """Let models forget computed prompts, the least recently used model first, down to these bytes."""
        recent = sorted(self.entries, key=lambda entry: entry.last_used, reverse=True)
        caches = {entry.model.key: entry.runtime.stats.prompt_cache_bytes for entry in recent}
        for key, nbytes in cache_allowances(allowed, caches).items():
            runtime = self._entries[key].runtime
            if runtime.life is RuntimeLife.READY:
                runtime.trim_prompt_cache(nbytes)

    async def unload(self, key: ModelKey) -> None:
        """Let an idle model go and return when it is gone; a lost model is forgotten too.

        Raises:
            MlxkError: (`MODELS_BUSY`) it is in use; (`RUNTIME_LOST`) closing it got stuck.
        """
        self._lost.pop(key, None)
        entry = self._entries.get(key)
        if entry is None:
            return
        if entry.pins:
            raise MlxkError(
                ErrorKind.MODELS_BUSY,
                f"Model '{entry.model.name}' is in use.",
                hint="try again when its answers are finished",
                retry_after=_RETRY_AFTER,
            )
        self._close(entry, "asked")
        while entry in self._leaving and self._stopping is None:
            if entry.runtime.failure is not None:
                raise entry.runtime.failure
            await self._changes.wait()

    def lose(self, entry: Entry, error: MlxkError) -> None:
        """Drop a model whose thread is dead or stuck; all who wait for it get the error.

        One that is on its way out already is only left behind: the server can go on without it.
        """
        log.error("runtime_lost", model=entry.model.name, reason=error.message)
        if self._entries.get(entry.model.key) is entry:
            self._drop(entry)
            self._lost[entry.model.key] = error.message
        entry.runtime.give_up(error)
        self._changes.notify()

    def stop(self, error: MlxkError) -> None:
        """Take no more; who waits for a model gets the error."""
        self._stopping = error
        self._changes.notify()

    def close_all(self) -> None:
        """Let all models go, used or not."""
        for entry in self.entries:
            self._close(entry, "shutdown")

    def _warm(self) -> list[WarmModel]:
        return [entry.as_warm() for entry in self._entries.values()]

    def _granted(self, model: PooledModel, asked: float) -> Entry | None:
        """The entry of a model, its load begun if there is room; None for now where others go first."""
        self._refuse_when_stopping()
        if any(self._goes_first(wish, model.key, asked) for wish in self._wishes):
            return None
        return self._entries.get(model.key) or self._load(model)

    def _goes_first(self, wish: "_Wish", key: ModelKey, asked: float) -> bool:
        """Whether a wish for another model is so old that its turn comes before younger ones.

        Else a model with a steady stream of requests would never be idle, and no other could be loaded.
        """
        waited = self._clock() - wish.since
        return wish.key != key and wish.since < asked and waited >= self._load_wait * _TURN

    def _load(self, model: PooledModel) -> Entry | None:
        """Begin to load a model, or make room for it; None while there is none yet."""
        running = sum(entry.running_bytes for entry in self._all())
        occupied = self.leaving_bytes + running
        decision = make_room(model.nbytes, self._warm(), self._limits, occupied=occupied)
        if isinstance(decision, NeverFits):
            raise _never_fits(model, self._limits.budget)
        if not isinstance(decision, Room):
            return None
        for key in decision.evict:
            self._close(self._entries[key], "room")
        if decision.evict:
            return None  # they are in memory until their threads have closed them
        weights = sum(entry.model.nbytes for entry in self._entries.values())
        self.trim_caches(self._limits.budget - weights - occupied - model.nbytes)
        return self._start(model)

    def _start(self, model: PooledModel) -> Entry:
        runtime = RuntimeThread(
            model.name,
            lambda: self._load_by_name(model),
            self._clock,
            lambda: self._heard(entry),
        )
        stay = self._stays.get(model.key, self._keep_alive)
        entry = Entry(model, runtime, stay, self._clock())
        log.info("model_loading", model=model.name, nbytes=model.nbytes)
        runtime.start()
        self._entries[model.key] = entry
        return entry

    def _load_by_name(self, model: PooledModel) -> BatchingTextModel:
        try:
            return self._runtime.load(model.path)
        except MlxkError as error:
            raise _naming(model, error) from error

    async def _pinned(self, entry: Entry, keep_alive: KeepAlive | None) -> Entry:
        entry.keep_alive = keep_alive or entry.keep_alive
        self.pin(entry)
        try:
            while entry.runtime.life is not RuntimeLife.READY:
                self._refuse_when_stopping()
                if entry.runtime.failure is not None:
                    raise entry.runtime.failure
                await self._changes.wait()
        except BaseException:
            self.release(entry)
            raise
        return entry

    def _heard(self, entry: Entry) -> None:
        """A runtime thread has loaded, ended, or finished a generation."""
        match entry.runtime.life:
            case RuntimeLife.READY:
                self._lost.pop(entry.model.key, None)
            case RuntimeLife.ENDED:
                self._ended(entry)
        self.expire()
        self._changes.notify()

    def _ended(self, entry: Entry) -> None:
        if entry in self._leaving:
            self._leaving.remove(entry)
            log.info("model_closed", model=entry.model.name)
            return
        if self._entries.get(entry.model.key) is not entry:
            return
        del self._entries[entry.model.key]
        failure = entry.runtime.failure
        if failure is not None and failure.kind is ErrorKind.RUNTIME_LOST:
            self._lost[entry.model.key] = failure.message
            log.error("runtime_lost", model=entry.model.name, reason=failure.message)

    def _close(self, entry: Entry, why: str) -> None:
        log.info("model_closing", model=entry.model.name, why=why)
        self._drop(entry)
        entry.runtime.close()

    def _drop(self, entry: Entry) -> None:
        self._entries.pop(entry.model.key, None)
        self._leaving.append(entry)

    def _all(self) -> Iterator[Entry]:
        yield from self._entries.values()
        yield from self._leaving

    def _refuse_when_stopping(self) -> None:
        if self._stopping is not None:
            raise self._stopping


def _never_fits(model: PooledModel, budget: int) -> MlxkError:
    return MlxkError(
        ErrorKind.INSUFFICIENT_MEMORY,
        f"Model '{model.name}' has {model.nbytes:,} bytes of weights; the server may use {budget:,}.",
        hint="use a smaller model, or give the server a larger memory budget",
    )


def _naming(model: PooledModel, error: MlxkError) -> MlxkError:
    """The error of a load with the name that clients know, where the runtime has a path they do not."""
    path = str(model.path)
    return MlxkError(
        error.kind,
        error.message.replace(path, model.name),
        hint=error.hint and error.hint.replace(path, model.name),
        retry_after=error.retry_after,
    )


def _busy(name: str, waited: float) -> MlxkError:
    return MlxkError(
        ErrorKind.MODELS_BUSY,
        f"There was no room for model '{name}' within {waited:g} seconds: others are in use.",
        hint="try again later, or let the server keep more models",
        retry_after=_RETRY_AFTER,
    )
