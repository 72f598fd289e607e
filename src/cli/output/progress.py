"""Progress of long work: a bar on a terminal, nothing elsewhere."""

import sys
from typing import TYPE_CHECKING

from mlxk.domain.ports import Progress

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from mlxk.cli.invocation import Invocation

__all__ = ["NoProgress", "ProgressBar", "progress_for"]


def progress_for(invocation: "Invocation") -> Progress:
    """A bar on stderr if that is a terminal and the user did not ask for quiet."""
    if invocation.quiet or not sys.stderr.isatty():
        return NoProgress()
    return ProgressBar()


class NoProgress:
    """Progress that nobody watches."""

    def start(self, phase: str, total: int) -> None:
        """Nothing to draw."""

    def advance(self, file: str, count: int) -> None:
        """Nothing to draw."""

    def finish(self) -> None:
        """Nothing to draw."""


class ProgressBar:
    """One bar on stderr, gone when the work is over."""

    def __init__(self) -> None:
        self._bar: RichProgress | None = None
        self._task: TaskID | None = None

    def start(self, phase: str, total: int) -> None:
        """Draw an empty bar for `total` bytes, or one that only shows that something happens."""
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task(escape(phase), total=total or None)
        self._bar.start()

    def advance(self, file: str, count: int) -> None:  # noqa: ARG002 - one bar for all files
        """Fill the bar by `count` bytes."""
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task, count)

    def finish(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = self._task = None
