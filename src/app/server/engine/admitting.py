"""Generations that wait for their place in a batch and in memory, first come first served."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from mlxk.app.server.engine.entries import Entry
from mlxk.app.server.engine.generations import Generation
from mlxk.app.server.engine.losses import unloaded
from mlxk.app.server.engine.pool import WarmPool
from mlxk.app.server.engine.runtime_life import RuntimeLife
from mlxk.domain.admission import Admission, MemoryUse, Need, admit, cache_room, is_overgrown
from mlxk.domain.errors import ErrorKind, MlxkError

__all__ = ["Admissions"]

_RETRY_AFTER = 5

log = structlog.get_logger("mlxk.engine")


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    entry: Entry
    generation: Generation
    since: float


class Admissions:
    """The queue before the models.

    A model is given a little more than its batch holds, so that a place that becomes free is taken at the
    next step and not after a round trip to the event loop.

    Args:
        pool: whose models they are.
        patience: seconds that a generation waits for memory that nothing running will free.
        clock: seconds.
    """

    def __init__(self, pool: WarmPool, patience: float, clock: Callable[[], float]) -> None:
        self._pool = pool
        self._patience = patience
        self._clock = clock
        self._waiting: deque[_Waiting] = deque()

    def add(self, entry: Entry, generation: Generation) -> None:
        """Let a generation wait; `admit_waiting` begins it."""
        self._waiting.append(_Waiting(entry, generation, self._clock()))

    def withdraw(self, entry: Entry, generation: Generation) -> None:
        """Stop a generation, whether it waits or runs."""
        for waiting in self._waiting:
            if waiting.generation is generation:
                self._waiting.remove(waiting)
                return
        entry.runtime.cancel(generation)

    def fail_new(self, error: MlxkError) -> None:
        """Fail the work of which nothing has begun."""
        for waiting in [waiting for waiting in self._waiting if not waiting.generation.stream.admitted]:
            self._refuse(waiting, error)

    def fail_all(self, error: MlxkError) -> None:
        """Fail all that wait, also further choices of work that has begun."""
        for waiting in list(self._waiting):
            self._refuse(waiting, error)

    def admit_waiting(self) -> None:
        """Begin what has a place now. What waits for memory holds up all behind it, so that none starves."""
        full: set[int] = set()
        for waiting in list(self._waiting):
            runtime = waiting.entry.runtime
            if runtime.life is not RuntimeLife.READY:
                self._refuse(waiting, runtime.failure or unloaded(runtime.name))
            elif id(waiting.entry) in full:
                continue
            elif not _has_place(waiting.entry):
                full.add(id(waiting.entry))
            elif not self._admit(waiting):
                return

    def relieve(self) -> None:
        """Free memory that running generations have grown into.

        Prompt caches go first, then idle models, and the youngest generation when those were not enough.
        """
        use = self._use()
        if use.caches > max(0, cache_room(use)):
            self._pool.trim_caches(cache_room(use))
        if use.idle and cache_room(use) < 0:
            self._pool.evict_idle()
        elif is_overgrown(use):
            self._shed(use)

    def _shed(self, use: MemoryUse) -> None:
        running = [(entry, each) for entry in self._pool.entries for each in entry.runtime.generations]
        heard = [(entry, generation) for entry, generation in running if not generation.silent]
        if heard:
            entry, youngest = max(heard, key=lambda pair: pair[1].number)
            log.warning("generation_shed", model=entry.model.name, running_bytes=use.running)
            alone = len(running) == 1 and use.busy <= entry.model.nbytes
            youngest.stream.fail(_outgrown_alone() if alone else _outgrown())
            entry.runtime.cancel(youngest)

    def _admit(self, waiting: _Waiting) -> bool:
        """Begin one generation, or fail it; False when it must wait for memory."""
        use, work = self._use(), waiting.generation.work
        need = Need(waiting.entry.model.nbytes, work.begin_bytes, work.whole_bytes)
        match admit(need, use):
            case Admission.ADMIT:
                self._begin(waiting)
            case Admission.TRIM_CACHES:
                self._pool.trim_caches(cache_room(use, need.begin))
                self._begin(waiting)
            case Admission.REFUSE:
                self._refuse(waiting, _never_fits(need, use.budget))
            case Admission.EVICT_IDLE:
                self._pool.evict_idle()
                return False
            case Admission.WAIT:
                if self._is_futile(waiting, use):
                    self._refuse(waiting, _no_memory(waiting.entry.model.name))
                return False  # also then: what it held is free only when its client has heard
        return True

    def _is_futile(self, waiting: _Waiting, use: MemoryUse) -> bool:
        """Whether nothing will free memory: models that only wait hold it, for each other perhaps."""
        waited = self._clock() - waiting.since
        return not use.running and not self._pool.is_closing and waited >= self._patience

    def _begin(self, waiting: _Waiting) -> None:
        self._waiting.remove(waiting)
        self._pool.pin(waiting.entry)
        waiting.entry.runtime.submit(waiting.generation)
        waiting.generation.stream.admit()

    def _refuse(self, waiting: _Waiting, error: MlxkError) -> None:
        self._waiting.remove(waiting)
        waiting.generation.stream.fail(error)

    def _use(self) -> MemoryUse:
        pool = self._pool
        return MemoryUse(
            budget=pool.budget,
            busy=sum(entry.model.nbytes for entry in pool.entries if entry.pins) + pool.leaving_bytes,
            idle=sum(entry.model.nbytes for entry in pool.entries if not entry.pins),
            caches=sum(entry.runtime.stats.prompt_cache_bytes for entry in pool.entries),
            running=sum(entry.running_bytes for entry in (*pool.entries, *pool.leaving)),
        )


def _has_place(entry: Entry) -> bool:
    ahead = max(1, entry.runtime.max_batch // 4)
    return len(entry.runtime.generations) < entry.runtime.max_batch + ahead


def _never_fits(need: Need, budget: int) -> MlxkError:
    tokens = max(need.begin, need.whole)
    return MlxkError(
        ErrorKind.INSUFFICIENT_MEMORY,
        f"The model's weights take {need.model:,} bytes and this request would take {tokens:,} more; the"
        f" server may use {budget:,}.",
        hint="use a shorter prompt, a lower max_tokens or a smaller model",
    )


def _no_memory(name: str) -> MlxkError:
    return MlxkError(
        ErrorKind.MODELS_BUSY,
        f"There is no memory for a request to model '{name}' while others are loaded.",
        hint="try again later, or let the server keep fewer models",
        retry_after=_RETRY_AFTER,
    )


def _outgrown() -> MlxkError:
    """It gave way to others: the same request may have the room when they are done."""
    return MlxkError(
        ErrorKind.MODELS_BUSY,
        "This answer was ended because the answers in progress outgrew the server's memory.",
        hint="try again later, ask for fewer tokens, or for less at once",
        retry_after=_RETRY_AFTER,
    )


def _outgrown_alone() -> MlxkError:
    """Nothing else was in its way, so that it would end the same again."""
    return MlxkError(
        ErrorKind.INSUFFICIENT_MEMORY,
        "This answer was ended because it outgrew the server's memory.",
        hint="use a lower max_tokens, a shorter prompt or a smaller model",
    )
