"""Loaded text models, for one user and for many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from mlxk.domain.generation import Delta, Finish, GenerationRequest

__all__ = [
    "BatchingTextModel",
    "BatchingTextRuntime",
    "Prepared",
    "TextModel",
    "TextRuntime",
]


class TextModel(Protocol):
    """A loaded text model. Owned by one thread: the one that loaded it."""

    @property
    def context_length(self) -> int | None:
        """Tokens the model was made for, or None when its config does not say."""

    @property
    def has_chat_template(self) -> bool:
        """Whether conversations can be rendered."""

    def count_prompt_tokens(self, request: GenerationRequest) -> int:
        """Tokens of the rendered prompt."""

    def generate(self, request: GenerationRequest) -> Generator[Delta, None, None]:
        """Generate one answer, delta by delta, ending with a `Finish`.

        Closing the generator early stops the generation within one token and leaves the model clean.

        Raises:
            InvalidInput: the prompt does not fit the context; the message has both numbers.
        """

    def close(self) -> None:
        """Free the model. Safe to call twice."""


class TextRuntime(Protocol):
    """Loads text models."""

    def load(self, path: Path) -> TextModel:
        """Load the model in a directory.

        Raises:
            MlxkError: (`NOT_IMPLEMENTED`) the architecture is unknown here, (`OPERATION`) the weights do
                not fit the config or the tokenizer cannot be read.
        """


class Prepared(Protocol):
    """A request that was rendered and checked, ready for `BatchingTextModel.submit`."""

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the rendered prompt."""

    @property
    def max_tokens(self) -> int:
        """Most tokens this generation can have."""


class BatchingTextModel(TextModel, Protocol):
    """A text model that works on many generations at once.

    `prepare` and `kv_bytes` may be called from any one thread besides; everything else only from the
    thread that loaded the model.
    """

    @property
    def max_batch(self) -> int:
        """Generations that run at once; more wait inside. 1 for families that cannot be batched."""

    @property
    def active(self) -> int:
        """Generations that have not finished, those that wait for a place in the batch among them."""

    @property
    def prompt_cache_nbytes(self) -> int:
        """Bytes of computed prompts kept for later requests."""

    @property
    def running_nbytes(self) -> int:
        """Bytes of the caches of the generations in progress."""

    def kv_bytes(self, tokens: int) -> int:
        """Bytes that the caches of one generation take once they hold this many tokens."""

    def prepare(self, request: GenerationRequest, *, default_limit: int | None) -> Prepared:
        """Render and check a request.

        Args:
            default_limit: most tokens to generate when the request does not say; None leaves it to the
                context.

        Raises:
            InvalidInput: the prompt cannot be rendered or does not fit the context, a JSON schema cannot
                be compiled, or a biased token is not in the vocabulary.
            MlxkError: (`NOT_IMPLEMENTED`) tools for a model that cannot call any.
        """

    def submit(self, prepared: Prepared) -> int:
        """Accept a generation; `step` works on it.

        Returns:
            The handle that its deltas come with.

        Raises:
            MlxkError: (`OPERATION`) the model was closed.
        """

    def step(self) -> Sequence[tuple[int, Delta]]:
        """Compute one token of every running generation, or one piece of prompt, and give what came of it.

        Raises:
            MlxkError: the model failed; every generation in progress is gone and the model is clean.
        """

    def cancel(self, handle: int) -> Finish | None:
        """Stop a generation now; its last delta, or None when it had finished (or never was)."""

    def trim_prompt_cache(self, max_bytes: int) -> None:
        """Forget the least recently used computed prompts until no more than this many bytes are kept."""


class BatchingTextRuntime(Protocol):
    """Loads text models for a server."""

    def load(self, path: Path) -> BatchingTextModel:
        """As `TextRuntime.load`."""
