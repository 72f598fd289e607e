"""The person and the machine: progress, consent, memory and versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlxk.domain.compatibility import Runtimes
    from mlxk.domain.consent import Consent
    from mlxk.domain.memory import MemoryFacts

__all__ = [
    "Confirmer",
    "FileProgress",
    "Host",
    "Progress",
]


class Progress(Protocol):
    """Hears how far long work is; the CLI draws it, the tests record it."""

    def start(self, phase: str, total: int) -> None:
        """Work of `total` bytes begins; 0 where nobody can say how much it is."""

    def advance(self, file: str, count: int) -> None:
        """`count` more bytes of `file` are done; a negative count takes back what must be done again."""

    def finish(self) -> None:
        """The work is over, finished or not."""


class FileProgress(Progress, Protocol):
    """Progress that also knows how large each file is, to tell which are on their way."""

    def expect(self, sizes: Mapping[str, int]) -> None:
        """The files of the work that starts next, by path, in bytes."""


class Confirmer(Protocol):
    """Asks the user before something that cannot be taken back, or that takes long."""

    def __call__(self, question: str, /) -> Consent:
        """The answer to a question that yes or no answers."""


class Host(Protocol):
    """This machine: its memory and the runtimes installed on it."""

    def memory(self) -> MemoryFacts:
        """Physical and available memory now."""

    def runtimes(self) -> Runtimes:
        """What the installed runtimes support, read without importing them."""
