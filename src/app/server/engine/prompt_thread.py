"""A thread that renders and checks prompts for one model, so that a long one does not stall its batch."""

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from mlxk.domain.errors import MlxkError
from mlxk.domain.watch import Beat, Phase

__all__ = ["PromptThread"]

_Result = TypeVar("_Result")


class _Job(Generic[_Result]):
    """A call that waits for its result, which `answer` gives to the event loop."""

    def __init__(self, call: Callable[[], _Result], result: "asyncio.Future[_Result]") -> None:
        self._call = call
        self.result = result

    def run(self) -> Callable[[], None]:
        """Make the call, unless nobody waits for it; what is to be done on the event loop then."""
        if self.result.done():
            return lambda: None
        try:
            value = self._call()
        except Exception as error:  # noqa: BLE001  # it is raised where the result is awaited
            failure = error
            return lambda: self._fail(failure)
        return lambda: self._give(value)

    def _give(self, value: _Result) -> None:
        if not self.result.done():
            self.result.set_result(value)

    def _fail(self, error: Exception) -> None:
        if not self.result.done():
            self.result.set_exception(error)


class PromptThread:
    """Makes calls one after another on a thread of its own, which does not keep the process alive.

    Args:
        clock: seconds, for the beat.

    Attributes:
        beat: what the thread does, written at each change.
    """

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop, clock: Callable[[], float]) -> None:
        self._loop = loop
        self._clock = clock
        self._jobs: SimpleQueue[_Job[Any] | None] = SimpleQueue()
        self._waiting: set[asyncio.Future[Any]] = set()
        self._thread = threading.Thread(target=self._run, name=f"mlxk-prompts-{name}", daemon=True)
        self.beat = Beat(Phase.IDLE, clock())

    @property
    def running(self) -> bool:
        """Whether the thread lives."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    async def call(self, function: Callable[[], _Result]) -> _Result:
        """The result of a function that was called on the thread.

        Raises:
            MlxkError: the thread was given up meanwhile.
            Exception: what the function raises.
        """
        result: asyncio.Future[_Result] = self._loop.create_future()
        self._waiting.add(result)
        try:
            self._jobs.put(_Job(function, result))
            return await result
        finally:
            self._waiting.discard(result)

    def close(self, error: MlxkError) -> None:
        """End the thread after its present call; who waits for a result gets the error."""
        for result in self._waiting:
            if not result.done():
                result.set_exception(error)
        self._jobs.put(None)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            self.beat = Beat(Phase.PREFILLING, self._clock())
            outcome = job.run()
            self.beat = Beat(Phase.IDLE, self._clock())
            try:
                self._loop.call_soon_threadsafe(outcome)
            except RuntimeError:  # the event loop is closed: nobody waits any more
                return
