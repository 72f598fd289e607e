"""The two servers that are compared, as processes on loopback with the same model."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

__all__ = ["RunningServer", "mlx_lm_server", "mlxk_server"]

START_LIMIT = 120.0


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that answers, and the model's name there."""

    name: str
    port: int
    model: str
    process: "subprocess.Popen[bytes]"

    @property
    def rss(self) -> int:
        """Bytes of memory it takes now."""
        return int(psutil.Process(self.process.pid).memory_info().rss)


@contextlib.contextmanager
def mlxk_server(model: Path | None) -> Iterator[RunningServer]:
    """`mlxk serve`, with a model loaded or without."""
    port = _free_port()
    words = ["serve", "--port", str(port), "--log-level", "warning"]
    words += ["--model", str(model)] if model else []
    name = model.name if model else "demo"
    with _running([sys.executable, "-m", "mlxk", *words], f"http://127.0.0.1:{port}/ready") as process:
        yield RunningServer("mlxk", port, name, process)


@contextlib.contextmanager
def mlx_lm_server(model: Path, *, batch: int = 32) -> Iterator[RunningServer]:
    """`mlx_lm.server` with the same model, and room for all clients in its batch."""
    port = _free_port()
    words = ["--model", str(model), "--port", str(port), "--log-level", "WARNING"]
    words += ["--decode-concurrency", str(batch), "--prompt-concurrency", "8"]
    with _running(
        [sys.executable, "-m", "mlx_lm", "server", *words], f"http://127.0.0.1:{port}/health"
    ) as process:
        _warm(port, str(model))
        yield RunningServer("mlx_lm.server", port, str(model), process)


@contextlib.contextmanager
def _running(command: Sequence[str], probe: str) -> "Iterator[subprocess.Popen[bytes]]":
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "HF_HUB_OFFLINE": "1"})
        try:
            _await(probe, process)
            yield process
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read()[-2000:].decode(errors="replace"))
            raise
        finally:
            process.terminate()
            process.wait(60)


def _await(probe: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(probe, timeout=5):
            return
        time.sleep(0.01)
    raise RuntimeError(f"no answer from {probe}")


def _warm(port: int, model: str) -> None:
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 2})
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/chat/completions", body.encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=START_LIMIT) as answer:
        answer.read()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
