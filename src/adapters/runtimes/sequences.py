"""The generations of one engine that have not finished."""

from collections import deque
from dataclasses import dataclass, field
from typing import NewType

from mlxk.adapters.runtimes.decoding import SequenceDecoder
from mlxk.adapters.runtimes.grammars import GrammarMask
from mlxk.adapters.runtimes.preparing import PreparedText
from mlxk.domain.generation import Usage

__all__ = ["Handle", "Sequence", "Sequences"]

Handle = NewType("Handle", int)
"""Names one submitted generation of one engine."""


@dataclass(slots=True)
class Sequence:
    """One generation on its way.

    Attributes:
        uid: mlx-lm's number of it, once it is in the batch.
        cached: prompt tokens taken from the prompt cache.
        generated: tokens until now.
    """

    handle: Handle
    prepared: PreparedText
    decoder: SequenceDecoder
    grammar: GrammarMask | None = None
    uid: int | None = None
    cached: int = 0
    generated: int = 0

    def usage(self) -> Usage:
        """Tokens until now."""
        return Usage(self.prepared.prompt_tokens, self.generated, self.cached, self.decoder.reasoning_tokens)


@dataclass(slots=True)
class Sequences:
    """The generations that have not finished, by handle and, once in the batch, by mlx-lm's uid."""

    by_handle: dict[int, Sequence] = field(default_factory=dict)
    by_uid: dict[int, Sequence] = field(default_factory=dict)
    waiting: deque[Sequence] = field(default_factory=deque)

    def drop(self, sequence: Sequence) -> None:
        """Forget a generation."""
        self.by_handle.pop(sequence.handle, None)
        if sequence.uid is None:
            self.waiting.remove(sequence)
        else:
            self.by_uid.pop(sequence.uid, None)
