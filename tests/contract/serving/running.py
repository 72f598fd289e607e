"""`mlxk serve` as a process of its own, on a free port of loopback, and clients of it."""

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from tests.isolation import Place

__all__ = ["MLXK", "Served", "serving"]

LIMIT = 90.0
"""Seconds for anything that a slow, busy machine has to do."""

MLXK = (sys.executable, "-m", "mlxk", "serve", "--port", "0", "--json")


@dataclass(frozen=True, slots=True)
class Served:
    """A running server.

    Attributes:
        log: the file with its stderr.
    """

    base_url: str
    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def port(self) -> int:
        return int(self.base_url.rpartition(":")[2])

    @property
    def rss(self) -> int:
        """Bytes."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def client(self, **options: object) -> httpx.Client:
        """A plain HTTP client of it."""
        return httpx.Client(base_url=self.base_url, timeout=LIMIT, **options)  # type: ignore[arg-type]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the exit code."""
        self.process.send_signal(number)
        return self.process.wait(LIMIT)

    def logged(self) -> str:
        """What it wrote to stderr until now."""
        return self.log.read_text(errors="replace")


@contextlib.contextmanager
def serving(
    place: Place,
    *flags: str,
    environ: Mapping[str, str] = {},
    command: Sequence[str] = MLXK,
    may_log_tracebacks: bool = False,
) -> Iterator[Served]:
    """Start a server and wait until it listens; it is gone when the context ends.

    It must have printed one envelope and nothing else on stdout, and no traceback unless it may.
    """
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "stderr"
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                [*command, *flags],
                env={**place.environment(), **environ},
                cwd=place.work,
                stdout=subprocess.PIPE,
                stderr=stderr,
            )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, f"it ended with {process.wait(LIMIT)}: {log.read_text(errors='replace')}"
            yield Served(json.loads(line)["data"]["base_url"], process, log)
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(LIMIT)
            process.kill()
            out, _ = process.communicate()
        assert out == b""
        logged = log.read_text(errors="replace")
        assert may_log_tracebacks or "Traceback" not in logged, logged
