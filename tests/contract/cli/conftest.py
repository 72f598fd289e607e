"""The command line for real: in this process, or as a process of its own, in a place of the test's own."""

import io
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlxk.adapters.bundled import BundledModels
from mlxk.cli.main import run_program
from tests.isolation import Place, is_foreign, isolated_place
from tests.json_contract import check_envelope

TIMEOUT = 60


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    def envelope(self) -> dict[str, Any]:
        """The one envelope on stdout, held against its schema."""
        assert self.out.endswith("\n")
        envelope: dict[str, Any] = json.loads(self.out)
        check_envelope(envelope)
        return envelope

    @property
    def data(self) -> dict[str, Any]:
        """The data of a successful envelope."""
        envelope = self.envelope()
        assert envelope["status"] == "success", envelope
        found: dict[str, Any] = envelope["data"]
        return found

    @property
    def error(self) -> dict[str, Any]:
        """The error of a failed envelope."""
        envelope = self.envelope()
        assert envelope["status"] == "error", envelope
        found: dict[str, Any] = envelope["error"]
        return found


Run = Callable[..., Outcome]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """An empty cache and workspace home; this process sees them and nothing of the user's."""
    made = isolated_place(tmp_path / "place")
    for name in list(os.environ):
        if is_foreign(name):
            monkeypatch.delenv(name)
    for name, value in made.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.chdir(made.work)
    return made


@pytest.fixture
def mlxk(place: Place, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run a command in this process; `stdin` is what a pipe brings."""

    def run(*arguments: str, stdin: bytes = b"") -> Outcome:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        capfd.readouterr()
        code = run_program(list(arguments))
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return Outcome(code, out, err)

    handlers = logging.getLogger().handlers[:]
    yield run
    logging.getLogger().handlers[:] = handlers


@pytest.fixture
def process(place: Place) -> Run:
    """Run a command as a process of its own; variables that are None are unset."""

    def run(
        *arguments: str | bytes,
        environ: Mapping[str, str | None] = {},
        stdin: bytes = b"",
        shell: str | None = None,
    ) -> Outcome:
        command: list[str | bytes] = [sys.executable, "-m", "mlxk", *arguments]
        if shell is not None:
            command = ["/bin/sh", "-c", shell, sys.executable, *arguments]
        done = subprocess.run(
            command,
            env=environment(place, environ), cwd=place.work, input=stdin,
            capture_output=True, check=False, timeout=TIMEOUT,
        )  # fmt: skip
        out, err = (stream.decode(errors="surrogateescape") for stream in (done.stdout, done.stderr))
        assert "Traceback" not in err, err
        return Outcome(done.returncode, out, err)

    return run


def environment(place: Place, changes: Mapping[str, str | None] = {}) -> dict[str, str]:
    """The environment of a process: the place's, with some variables set and others (None) unset."""
    merged: dict[str, str | None] = {**place.environment(), **changes}
    return {name: value for name, value in merged.items() if value is not None}


@pytest.fixture(scope="session")
def overfitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model that answers word for word, built once per session."""
    from tests.contract.tiny_models import build_overfitted_qwen3

    return build_overfitted_qwen3(tmp_path_factory.mktemp("models") / "overfitted")


@pytest.fixture
def parrot(overfitted: Path, place: Place) -> str:
    """The name of the overfitted model, in this place's cache."""
    cached = place.hub / "models--org--parrot" / "snapshots" / ("a" * 40)
    shutil.copytree(overfitted, cached)
    (place.hub / "models--org--parrot" / "refs").mkdir()
    (place.hub / "models--org--parrot" / "refs" / "main").write_text("a" * 40)
    return "org/parrot"


@pytest.fixture
def demo_copy(place: Place) -> Callable[[Path], Path]:
    """Copies the bundled model to a directory."""

    def copy(target: Path) -> Path:
        (record,) = BundledModels().records()
        shutil.copytree(record.path, target, ignore=shutil.ignore_patterns("__pycache__"))
        return target

    return copy
