"""What every dialect offers: a body becomes an `Ask`, and its renderer turns deltas into bytes.

Nothing here, nor in the dialects, knows HTTP.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from mlxk.app.server.errors import ErrorBody
from mlxk.app.server.work import Work
from mlxk.domain.generation import Answer, Delta

__all__ = ["Ask", "Opening", "Renderer"]


@dataclass(frozen=True, slots=True)
class Opening:
    """What is known once work was admitted.

    Attributes:
        token: unique among answers; letters and digits, for ids.
        created: seconds since 1970.
        model: the model's full name.
        prompt_tokens: tokens of the rendered prompt, of all prompts together.
    """

    token: str
    created: int
    model: str
    prompt_tokens: int


class Renderer(Protocol):
    """Renders one answer, whole or as server-sent events; made anew for each request.

    `whole`, or `begin`, then `deltas` any number of times, then `end` or `failure`. Events are complete
    and end with an empty line; empty bytes are no event.
    """

    def whole(self, opening: Opening, answers: Sequence[Answer]) -> bytes:
        """The JSON document of a finished answer; one `Answer` for each choice."""

    def begin(self, opening: Opening) -> bytes:
        """Events before the first delta."""

    def deltas(self, batch: Sequence[tuple[int, Delta]]) -> bytes:
        """Events of the next deltas, each with its choice."""

    def end(self) -> bytes:
        """Events after every choice has finished."""

    def failure(self, error: ErrorBody) -> bytes:
        """The event that ends a stream whose generation failed."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A request, read.

    Attributes:
        work: its choices follow each other in the answer.
        stream: whether it is answered by server-sent events.
    """

    work: Work
    stream: bool
    renderer: Renderer
