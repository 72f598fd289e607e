"""The thread that owns a loaded model: it loads it, steps it while there is work, and closes it.

Everything public is for the event loop. The thread takes closures from its inbox, sleeps on it when there is
nothing to compute, and hands the deltas of a whole step to the event loop at once; while the event loop is
behind, further steps join what it has not taken yet, so that it is woken once and not once per step.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TypeAlias

import structlog

from mlxk.app.server.engine.generations import Generation, PreparedWork
from mlxk.app.server.engine.losses import died, unloaded
from mlxk.app.server.engine.prompt_thread import PromptThread
from mlxk.app.server.engine.runtime_life import RuntimeLife, RuntimeStats
from mlxk.domain.errors import ErrorKind, MlxkError
from mlxk.domain.generation import Delta, Finish, GenerationRequest
from mlxk.domain.ports import BatchingTextModel
from mlxk.domain.watch import Beat, Phase, Vital, judge

__all__ = ["RuntimeThread"]

_STEPS_BETWEEN_STATS = 16

_GATHERING_SECONDS = 0.01
"""An idle model waits so long for requests on their way: prompts take less time together than one by one."""

log = structlog.get_logger("mlxk.engine")


_Event: TypeAlias = "tuple[Generation, Delta | MlxkError | None]"
"""What happened to a generation: a delta, its failure, or None when it was cancelled."""


@dataclass(slots=True)
class _OnThread:
    """What only the runtime thread touches."""

    running: dict[int, Generation] = field(default_factory=dict)
    not_begun: set[int] = field(default_factory=set)
    steps: int = 0
    leaving: bool = False


class RuntimeThread:
    """One model and its thread.

    Args:
        name: of the model, for the thread's name and the log.
        load: loads the model; called on the thread.
        clock: seconds, for the beat.
        on_change: called on the event loop when the life or the stats changed, or a generation ended.

    Attributes:
        beat: what the thread does, written at each step.
        stats: written by the thread every few steps, and when a generation joins or leaves.
        life: as the event loop knows it.
        failure: why the model could not be loaded, or was lost.
    """

    def __init__(
        self,
        name: str,
        load: Callable[[], BatchingTextModel],
        clock: Callable[[], float],
        on_change: Callable[[], None],
    ) -> None:
        self.name = name
        self.beat = Beat(Phase.LOADING, clock())
        self.stats = RuntimeStats()
        self.life = RuntimeLife.LOADING
        self.failure: MlxkError | None = None
        self.generations: set[Generation] = set()
        self.max_batch = 1
        self.context_length: int | None = None
        self._load = load
        self._clock = clock
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._outbox: deque[Sequence[_Event]] = deque()
        self._drain_scheduled = False
        self._coming = 0
        self._on_thread = _OnThread()
        self._model: BatchingTextModel | None = None
        self._prompts = PromptThread(name, self._loop, clock)
        self._thread = threading.Thread(target=self._run, name=f"mlxk-model-{name}", daemon=True)

    def start(self) -> None:
        """Begin to load."""
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether the thread still lives, and with it the model in memory."""
        return self._thread.is_alive()

    def vital(self, now: float, step_limit: float) -> Vital:
        """How the thread is, and that of its prompts."""
        if self.life is RuntimeLife.READY:
            prompts = judge(self._prompts.beat, now, running=self._prompts.running, step_limit=step_limit)
            if prompts is not Vital.ALIVE:
                return prompts
        return judge(self.beat, now, running=self.running, step_limit=step_limit)

    async def prepare(
        self,
        requests: Sequence[GenerationRequest],
        *,
        default_limit: int | None,
        reserved_tokens: Callable[[int, int], int],
    ) -> list[PreparedWork]:
        """Render and check requests, on a thread besides the model's.

        Args:
            default_limit: most tokens to generate when a request does not say.
            reserved_tokens: from the tokens of a prompt and the longest answer to those to reserve.

        Raises:
            MlxkError: as `BatchingTextModel.prepare`; (`RUNTIME_LOST`) the model was lost meanwhile.
        """
        model = self._open_model()

        def prepare() -> list[PreparedWork]:
            return [one(request) for request in requests]

        def one(request: GenerationRequest) -> PreparedWork:
            prepared = model.prepare(request, default_limit=default_limit)
            prompt, longest = prepared.prompt_tokens, prepared.max_tokens
            begin = model.kv_bytes(reserved_tokens(prompt, longest))
            whole = begin if request.max_tokens is None else model.kv_bytes(prompt + longest)
            return PreparedWork(prepared, begin, whole)

        self._coming += 1
        try:
            return await self._prompts.call(prepare)
        finally:
            self._loop.call_soon(self._came)  # after the caller has submitted what it gets

    def _came(self) -> None:
        self._coming -= 1
        if not self._coming:
            self._inbox.put(_nothing)  # ends the gathering, which may be waiting for one more

    def submit(self, generation: Generation) -> None:
        """Let a generation join the batch."""
        self.generations.add(generation)
        self._inbox.put(lambda: self._begin(generation))

    def cancel(self, generation: Generation) -> None:
        """Stop a generation within a token; its client hears nothing more."""
        generation.silent = True
        if not generation.ended:
            self._inbox.put(lambda: self._stop(generation))

    def trim_prompt_cache(self, max_bytes: int) -> None:
        """Forget computed prompts, the least recently used first."""
        self._inbox.put(lambda: self._trim(max_bytes))

    def close(self) -> None:
        """Close the model and end the thread; generations in progress are gone without a word."""
        if self.life in (RuntimeLife.LOADING, RuntimeLife.READY):
            self.life = RuntimeLife.CLOSING
            self._prompts.close(unloaded(self.name))
        self._inbox.put(self._leave)

    def give_up(self, error: MlxkError) -> None:
        """Fail everything that waits for this thread; it ends by itself when it comes back, if ever."""
        self.failure = self.failure or error
        self._prompts.close(error)
        self.close()
        for generation in list(self.generations):
            generation.stream.fail(error)
            self._end(generation)

    def _open_model(self) -> BatchingTextModel:
        if self._model is None:
            raise unloaded(self.name)
        return self._model

    # The event loop's side of what the thread says.

    def _drain(self) -> None:
        self._drain_scheduled = False  # before the outbox is emptied: what comes later schedules anew
        ended = False
        while self._outbox:
            for generation, event in self._outbox.popleft():
                ended = self._hear(generation, event) or ended
        if ended:
            self._on_change()

    def _hear(self, generation: Generation, event: "Delta | MlxkError | None") -> bool:
        """Pass an event on; whether the generation has ended by it."""
        if generation.ended:
            return False
        if isinstance(event, MlxkError):
            generation.stream.fail(event)
        elif event is not None:
            if not generation.silent:
                generation.stream.put(generation.choice, event)
            if not isinstance(event, Finish):
                return False
        self._end(generation)
        return True

    def _end(self, generation: Generation) -> None:
        if not generation.ended:
            generation.ended = True
            self.generations.discard(generation)
            generation.on_end(generation)

    def _loaded(self, model: BatchingTextModel) -> None:
        if self.life is RuntimeLife.LOADING:
            self.life = RuntimeLife.READY
            self.max_batch = model.max_batch
            self.context_length = model.context_length
            self._prompts.start()
        self._on_change()

    def _ended(self, failure: MlxkError | None) -> None:
        self.failure = self.failure or failure
        self.life = RuntimeLife.ENDED
        self._model = None
        error = self.failure or unloaded(self.name)
        self._prompts.close(error)
        self._on_change()  # before pins are given back: a lost model must not look like an idle one
        for generation in list(self.generations):
            generation.stream.fail(error)
            self._end(generation)

    # The thread's side.

    def _run(self) -> None:
        failure = self._live()
        self._call_soon(lambda: self._ended(failure))

    def _live(self) -> MlxkError | None:
        """Load, work, close; why it ended, unless it was told to."""
        try:
            model = self._load()
        except MlxkError as error:
            return error
        except BaseException as error:
            log.exception("model_load_failed", model=self.name)
            return MlxkError(
                ErrorKind.OPERATION, f"Model '{self.name}' cannot be loaded ({type(error).__name__})."
            )
        self.beat = Beat(Phase.IDLE, self._clock())
        self._model = model
        self._call_soon(lambda: self._loaded(model))
        try:
            while not self._on_thread.leaving:
                self._turn(model)
        except BaseException as error:
            log.exception("runtime_died", model=self.name)
            return died(self.name, error)
        finally:
            self._close_model(model)
        return None

    def _close_model(self, model: BatchingTextModel) -> None:
        self.beat = Beat(Phase.CLOSING, self._clock())
        try:
            model.close()
        except Exception:
            log.exception("model_close_failed", model=self.name)

    def _turn(self, model: BatchingTextModel) -> None:
        """Take what the inbox has, then compute one step, or sleep until there is something to do."""
        state = self._on_thread
        self._take_inbox()
        if state.leaving or not state.running:
            return
        decoding = len(state.running) - len(state.not_begun)
        prefilling = bool(state.not_begun) and decoding < self.max_batch
        self.beat = Beat(Phase.PREFILLING if prefilling else Phase.DECODING, self._clock())
        try:
            deltas = model.step()
        except MlxkError as error:
            self._fail_running(error)
            self._measure(model)
            return
        self._route(model, deltas)

    def _take_inbox(self) -> None:
        if not self._on_thread.running:
            self.beat = Beat(Phase.IDLE, self._clock())
            command = self._inbox.get()
            self.beat = Beat(Phase.PREFILLING, self._clock())
            command()
            self._gather()
        while True:
            try:
                command = self._inbox.get_nowait()
            except Empty:
                return
            command()

    def _gather(self) -> None:
        deadline = time.monotonic() + _GATHERING_SECONDS
        while self._coming and (left := deadline - time.monotonic()) > 0:
            try:
                command = self._inbox.get(timeout=left)
            except Empty:
                return
            command()

    def _route(self, model: BatchingTextModel, deltas: Sequence[tuple[int, Delta]]) -> None:
        state = self._on_thread
        events: list[_Event] = []
        changed = False
        for handle, delta in deltas:
            generation = state.running.get(handle)
            if generation is None:
                continue
            if handle in state.not_begun:
                state.not_begun.discard(handle)
                changed = True
            if isinstance(delta, Finish):
                del state.running[handle]
                changed = True
            events.append((generation, delta))
        state.steps += 1
        if changed or state.steps % _STEPS_BETWEEN_STATS == 0:
            self._measure(model)
        if not state.running:
            self.beat = Beat(Phase.IDLE, self._clock())
        if events:
            self._send(events)

    def _measure(self, model: BatchingTextModel) -> None:
        self.stats = RuntimeStats(model.prompt_cache_nbytes, model.running_nbytes)

    def _begin(self, generation: Generation) -> None:
        state, model = self._on_thread, self._open_model()
        if generation.silent:
            self._send([(generation, None)])
            return
        try:
            handle = model.submit(generation.work.prepared)
        except MlxkError as error:
            self._send([(generation, error)])
            return
        generation.handle = handle
        state.running[handle] = generation
        state.not_begun.add(handle)

    def _stop(self, generation: Generation) -> None:
        state, handle = self._on_thread, generation.handle
        if handle is None or handle not in state.running:
            return
        del state.running[handle]
        state.not_begun.discard(handle)
        model = self._open_model()
        try:
            model.cancel(handle)
        except MlxkError as error:
            self._fail_running(error)
        self._measure(model)
        self._send([(generation, None)])

    def _trim(self, max_bytes: int) -> None:
        model = self._open_model()
        model.trim_prompt_cache(max_bytes)
        self._measure(model)

    def _leave(self) -> None:
        self._on_thread.leaving = True

    def _fail_running(self, error: MlxkError) -> None:
        state = self._on_thread
        failed = list(state.running.values())
        state.running.clear()
        state.not_begun.clear()
        self._send([(generation, error) for generation in failed])

    def _send(self, events: Sequence[_Event]) -> None:
        self._outbox.append(events)
        if not self._drain_scheduled:
            self._drain_scheduled = True
            self._call_soon(self._drain)

    def _call_soon(self, callback: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError:  # the event loop is closed: nobody is there to hear, so there is nothing to do
            self._on_thread.leaving = True


def _nothing() -> None:
    """A command that only wakes the thread."""
