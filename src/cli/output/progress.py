"""Progress of long work: bars on a terminal, JSON lines when asked for, nothing elsewhere."""

import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from mlxk.domain.ports import FileProgress

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from mlxk.cli.invocation import Invocation

__all__ = ["JsonLines", "NoProgress", "ProgressBar", "progress_for"]

LINE_EVERY = 0.5
"""Seconds between two JSON lines about one file."""


def progress_for(invocation: "Invocation", *, lines: bool = False) -> FileProgress:
    """Bars on stderr where that is a terminal, unless quiet or JSON is asked for; or JSON lines there.

    Args:
        lines: the user asked for progress, which is JSON lines under --json and where bars cannot be drawn.
    """
    at_terminal = sys.stderr.isatty()
    if lines and (invocation.json or not at_terminal):
        return JsonLines()
    if invocation.quiet or invocation.json or not at_terminal:
        return NoProgress()
    return ProgressBar()


class NoProgress:
    """Progress that nobody watches."""

    def expect(self, sizes: Mapping[str, int]) -> None:
        """Nothing to draw."""

    def start(self, phase: str, total: int) -> None:
        """Nothing to draw."""

    def advance(self, file: str, count: int) -> None:
        """Nothing to draw."""

    def finish(self) -> None:
        """Nothing to draw."""


class JsonLines:
    """JSON on stderr, a line each: `event`, `phase`, `file`, `bytes`, `total`, `all_bytes`, `all_total`.

    `bytes` and `total` are the file's (`total` null where it is not known), the others those of the phase. A
    file has a line at most twice a second, and one when it is done.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._expected: Mapping[str, int] = {}
        self._phase = ""
        self._total = 0
        self._done: dict[str, int] = {}
        self._told: dict[str, float] = {}

    def expect(self, sizes: Mapping[str, int]) -> None:
        """Know the files of the next phase."""
        self._expected = dict(sizes)

    def start(self, phase: str, total: int) -> None:
        """A phase begins; nothing is written yet."""
        self._phase, self._total = phase, total
        self._done, self._told = {}, {}

    def advance(self, file: str, count: int) -> None:
        """Write a line when the file is done, or the last line about it is old enough."""
        self._done[file] = self._done.get(file, 0) + count
        now = self._clock()
        is_done = count != 0 and self._done[file] == self._expected.get(file)
        if is_done or now - self._told.get(file, -LINE_EVERY) >= LINE_EVERY:
            self._told[file] = now
            self._write(file)

    def finish(self) -> None:
        """Forget the files of this phase."""
        self._expected = {}

    def _write(self, file: str) -> None:
        line = {
            "event": "progress",
            "phase": self._phase,
            "file": file,
            "bytes": self._done[file],
            "total": self._expected.get(file),
            "all_bytes": sum(self._done.values()),
            "all_total": self._total,
        }
        sys.stderr.write(f"{json.dumps(line)}\n")
        sys.stderr.flush()


class ProgressBar:
    """A bar on stderr for all, below it one for each file on its way; gone when the work is over."""

    def __init__(self) -> None:
        self._bar: RichProgress | None = None
        self._task: TaskID | None = None
        self._expected: dict[str, int] = {}
        self._files: dict[str, TaskID] = {}
        self._done: dict[str, int] = {}

    def expect(self, sizes: Mapping[str, int]) -> None:
        """Know the files of the next work, to draw those on their way."""
        self._expected = dict(sizes)

    def start(self, phase: str, total: int) -> None:
        """Draw an empty bar for `total` bytes, or one that only shows that something happens."""
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress
        from rich.table import Column

        self._bar = RichProgress(
            TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis")),
            BarColumn(),
            DownloadColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=False,  # a quiet stdout stays quiet
        )
        self._files, self._done = {}, {}
        self._task = self._bar.add_task(escape(phase), total=total or None)
        self._bar.start()

    def advance(self, file: str, count: int) -> None:
        """Fill the bar by `count` bytes, and that of the file."""
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task, count)
            self._advance_file(self._bar, file, count)

    def finish(self) -> None:
        """Take the bars away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = self._task = None
            self._expected = {}

    def _advance_file(self, bar: "RichProgress", file: str, count: int) -> None:
        from rich.markup import escape

        size = self._expected.get(file)
        if size is None or len(self._expected) == 1:
            return
        self._done[file] = done = self._done.get(file, 0) + count
        if done >= size:
            if (task := self._files.pop(file, None)) is not None:
                bar.remove_task(task)
            return
        if file not in self._files:
            self._files[file] = bar.add_task(f"  {escape(file)}", total=size)
        bar.update(self._files[file], completed=done)
