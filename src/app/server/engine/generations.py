"""One choice of a client's work on its way through a model."""

from collections.abc import Callable
from dataclasses import dataclass

from mlxk.app.server.engine.answer_stream import AnswerStream
from mlxk.domain.ports import Prepared

__all__ = ["Generation", "PreparedWork"]


@dataclass(frozen=True, slots=True)
class PreparedWork:
    """A request that was rendered, with the bytes that its caches take after so many tokens.

    Attributes:
        begin_bytes: with its prompt and the first stretch of its answer.
        whole_bytes: with the longest answer it may have.
    """

    prepared: Prepared
    begin_bytes: int
    whole_bytes: int


@dataclass(eq=False, slots=True)
class Generation:
    """One choice of a client's work, from its admission on.

    Attributes:
        number: counts all generations of a service, in the order of their arrival.
        handle: the model's name for it; belongs to the runtime thread.
        ended: whether the model has nothing to do with it any more; belongs to the event loop.
        on_end: called once, then.
    """

    stream: AnswerStream
    choice: int
    work: PreparedWork
    number: int
    on_end: Callable[["Generation"], None]
    handle: int | None = None
    silent: bool = False
    ended: bool = False
