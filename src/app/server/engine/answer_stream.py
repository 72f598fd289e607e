"""The deltas of one client's work on their way from a model's thread to that client.

A plain list and one future, not a queue per token: a client that keeps up takes what a step gave, one that
lags takes all that came meanwhile, with neighbouring pieces of text joined so that a slow client costs the
length of its answer and no more.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

from mlxk.domain.errors import MlxkError
from mlxk.domain.generation import Delta, Finish, joined

__all__ = ["AnswerStream", "coalesce"]

_COALESCED_AT = 256


def coalesce(deltas: Iterable[tuple[int, Delta]]) -> list[tuple[int, Delta]]:
    """Join neighbouring pieces of text, or of reasoning, of each choice; the choices come one after another.

    Args:
        deltas: each with its choice.
    """
    choices: dict[int, list[Delta]] = {}
    for choice, delta in deltas:
        choices.setdefault(choice, []).append(delta)
    return [(choice, delta) for choice, found in choices.items() for delta in joined(found)]


class AnswerStream:
    """Work that was admitted, or waits for it (`Answering`). Lives on the event loop.

    Args:
        model: the model's full name.
        prompt_tokens: tokens of the rendered prompt, of all prompts together.
        choices: generations that will finish.
        on_finish: called when the last of them has finished, however long the client takes to read.
    """

    def __init__(
        self, model: str, prompt_tokens: int, choices: int, on_finish: Callable[[], None] = lambda: None
    ) -> None:
        self._model = model
        self._prompt_tokens = prompt_tokens
        self._unfinished = choices
        self._on_finish = on_finish
        self._pending: list[tuple[int, Delta]] = []
        self._coalesce_at = _COALESCED_AT
        self._error: MlxkError | None = None
        self._admitted = False
        self._waiter: asyncio.Future[None] | None = None

    @property
    def model(self) -> str:
        """The model's full name."""
        return self._model

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the rendered prompt, of all prompts together."""
        return self._prompt_tokens

    @property
    def admitted(self) -> bool:
        """Whether a choice of the work has begun."""
        return self._admitted

    @property
    def pending(self) -> int:
        """Deltas that the client has not taken yet."""
        return len(self._pending)

    def put(self, choice: int, delta: Delta) -> None:
        """Add a choice's next delta."""
        self._pending.append((choice, delta))
        if isinstance(delta, Finish):
            self._unfinished -= 1
            if not self._unfinished:
                self._on_finish()
        if len(self._pending) >= self._coalesce_at:
            self._pending = coalesce(self._pending)
            self._coalesce_at = max(_COALESCED_AT, 2 * len(self._pending))
        self._wake()

    def admit(self) -> None:
        """Say that the work has begun."""
        self._admitted = True
        self._wake()

    def fail(self, error: MlxkError) -> None:
        """End the work with an error, after the deltas that came before it; the first error counts."""
        if self._unfinished and self._error is None:
            self._error = error
            self._wake()

    async def wait_until_admitted(self) -> None:
        """Return once the work has begun.

        Raises:
            MlxkError: it failed before, or a choice of it did where another has begun.
        """
        while not self._admitted and self._error is None:
            await self._wait()
        if self._error is not None:
            raise self._error

    def __aiter__(self) -> AsyncIterator[Sequence[tuple[int, Delta]]]:
        return self

    async def __anext__(self) -> Sequence[tuple[int, Delta]]:
        """All deltas that have come since the last call, at least one.

        Raises:
            MlxkError: (`RUNTIME_LOST`, `SERVER_SHUTDOWN`, `INSUFFICIENT_MEMORY`, `OPERATION`) see `fail`.
        """
        while not self._pending:
            if self._error is not None:
                raise self._error
            if not self._unfinished:
                raise StopAsyncIteration
            await self._wait()
        taken, self._pending = self._pending, []
        self._coalesce_at = _COALESCED_AT
        return taken

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
