"""A command on a pseudo-terminal of a chosen width, which is its controlling terminal."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from tests.contract.cli.conftest import TIMEOUT, environment
from tests.isolation import Place

__all__ = ["Terminal"]


class Terminal:
    """Starts `mlxk` with all three streams on a terminal.

    Attributes:
        output: everything it wrote so far, line ends as `\\n`.
    """

    def __init__(
        self,
        place: Place,
        arguments: Sequence[str],
        *,
        columns: int = 80,
        environ: Mapping[str, str | None] = {},
    ) -> None:
        self._main, secondary = pty.openpty()
        fcntl.ioctl(secondary, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self._raw = b""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mlxk", *arguments],
            stdin=secondary, stdout=secondary, stderr=secondary, cwd=place.work, start_new_session=True,
            env=environment(place, {"TERM": "xterm-256color", "COLUMNS": None, **environ}),
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(secondary)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        os.close(self._main)

    @property
    def output(self) -> str:
        return self._raw.decode(errors="replace").replace("\r\n", "\n")

    def type(self, text: str) -> None:
        """Type on its keyboard; `\\x03` is Ctrl-C."""
        os.write(self._main, text.encode())

    def wait_for(self, text: str) -> None:
        """Read until some text was written."""
        deadline = time.monotonic() + TIMEOUT
        while text not in self.output:
            assert self._read(deadline), f"never wrote {text!r}: {self.output!r}"

    def wait(self) -> int:
        """Read until it ends; returns its exit code."""
        deadline = time.monotonic() + TIMEOUT
        while self._read(deadline):
            pass
        assert "Traceback" not in self.output
        return self._process.wait(timeout=TIMEOUT)

    def _read(self, deadline: float) -> bool:
        """Read what comes next; false when the terminal is closed."""
        assert select.select([self._main], [], [], max(0, deadline - time.monotonic()))[0], self.output
        try:
            piece = os.read(self._main, 65536)
        except OSError:  # how Linux says that the other end is closed
            return False
        self._raw += piece
        return bool(piece)
