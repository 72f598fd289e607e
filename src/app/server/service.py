"""Answers work: finds and warms the model, admits the request, and gives its deltas as they come."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from mlxk.app.server.work import ServedModel, ServerState, Work
from mlxk.domain.generation import Delta
from mlxk.domain.keep_alive import KeepAlive

__all__ = ["Answering", "Service"]


class Answering(Protocol):
    """Work that was admitted."""

    @property
    def model(self) -> str:
        """The model's full name."""

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the rendered prompt, of all prompts together."""

    def __aiter__(self) -> AsyncIterator[Sequence[tuple[int, Delta]]]:
        """The deltas as they come, each with its choice; the last of each choice is a `Finish`.

        Raises:
            MlxkError: (`RUNTIME_LOST`) the model failed; (`SERVER_SHUTDOWN`) the grace period is over.
        """


class Service(Protocol):
    """What the HTTP routes need; all of it is called from the event loop and never blocks it."""

    def answer(self, work: Work) -> AbstractAsyncContextManager[Answering]:
        """Admit work; leaving the context cancels what is unfinished, within a token.

        Raises:
            MlxkError: (`MODEL_NOT_FOUND`, `AMBIGUOUS_MATCH`, `NOT_IMPLEMENTED`, `OPERATION`) no such
                model, or it cannot do this; (`VALIDATION`) the prompt does not fit or cannot be rendered;
                (`QUEUE_FULL`, `MODELS_BUSY`, `INSUFFICIENT_MEMORY`) no room, now or ever;
                (`RUNTIME_LOST`, `SERVER_SHUTDOWN`) nobody to do it.
        """

    async def models(self) -> Sequence[ServedModel]:
        """Healthy and runnable models: preloaded ones first, then by name."""

    async def model(self, name: str) -> ServedModel:
        """One of them, or one that is loaded.

        Raises:
            MlxkError: (`MODEL_NOT_FOUND`, `AMBIGUOUS_MATCH`, `NOT_IMPLEMENTED`, `OPERATION`) as `answer`.
        """

    async def load(self, name: str, keep_alive: KeepAlive | None = None) -> ServedModel:
        """Warm a model.

        Raises:
            MlxkError: as `answer`.
        """

    async def unload(self, name: str) -> ServedModel:
        """Drop a model once it is idle; no error when it is not loaded.

        Raises:
            MlxkError: (`MODEL_NOT_FOUND`, `AMBIGUOUS_MATCH`) as `answer`; (`MODELS_BUSY`) it is generating.
        """

    async def prompt_tokens(self, work: Work) -> int:
        """Tokens of the rendered prompt of work that is not done.

        Raises:
            MlxkError: as `answer`.
        """

    def state(self) -> ServerState:
        """How the server is now."""
