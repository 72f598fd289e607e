"""Ctrl-C, whenever it comes: exit code 130, no traceback, and nothing left behind."""

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.cli.conftest import TIMEOUT, environment
from tests.contract.damaged_models import healthy_model
from tests.isolation import Place
from tests.json_contract import check_envelope

ENDLESS = ["--no-chat-template", "--temperature", "5", "--top-p", "1", "--seed", "1"]


def interrupted(place: Place, *arguments: str, after: float) -> tuple[int, str, str]:
    """Run a command and send SIGINT after some seconds; exit code, stdout and stderr."""
    child = subprocess.Popen(
        # As `-m mlxk`, but what Python itself does before its first line is not ours to guard.
        [sys.executable, "-c", "import sys; from mlxk.cli.main import main; print(flush=True); main()", *arguments],
        env=environment(place), cwd=place.work, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    with child:
        child.stdout.readline()
        time.sleep(after)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=TIMEOUT)
    return child.returncode, out, err


def check(code: int, out: str, err: str) -> None:
    assert "Traceback" not in err, err
    assert "Exception ignored" not in err, err
    assert code in (0, 130), (code, out, err)  # 0 when it was over before


@pytest.fixture
def busy(place: Place) -> Iterator[Place]:
    """Many models to look at, and one that takes seconds to hash."""
    for number in range(150):
        healthy_model(place.hub, f"org/model-{number}")
    yield place
    _heavy(place).unlink(missing_ok=True)


def _heavy(place: Place) -> Path:
    return place.root / "heavy"


PHASES = {
    "start-up": (["--version"], [0.0, 0.02, 0.05, 0.09]),
    "listing": (["list", "--all"], [0.0, 0.1, 0.2, 0.3]),
    "loading": (["run", "demo", "Tell me all.", *ENDLESS], [0.2, 0.5, 0.8, 1.1, 1.5]),
}


@pytest.mark.parametrize("phase", PHASES)
def test_ctrl_c_at_any_moment(busy: Place, phase: str) -> None:
    arguments, delays = PHASES[phase]
    codes = set()
    for delay in delays:
        code, out, err = interrupted(busy, *arguments, after=delay + random.uniform(0, 0.02))
        check(code, out, err)
        codes.add(code)
    assert 130 in codes


def test_ctrl_c_while_verifying_keeps_what_is_done(place: Place) -> None:
    small = healthy_model(place.hub, "org/heavy")
    blob = small.blob("model.safetensors")
    with blob.open("r+b") as file:
        file.truncate(12 * 1024**3)  # sparse: costs no disk, and takes long to hash
    code, out, err = interrupted(place, "health", "org", "--verify", "--json", after=1.5)
    check(code, out, err)
    assert code == 130
    envelope = json.loads(out)
    check_envelope(envelope)
    assert envelope["error"]["type"] == "UserCancelledError"
    assert err == "Error: Interrupted.\n"
    remembered = [path.read_text() for path in (place.root / "xdg-cache" / "mlxk").glob("*.json")]
    assert any(small.blob("config.json").name in text for text in remembered)


def test_ctrl_c_while_generating_keeps_what_was_said(place: Place) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "mlxk", "run", "demo", "Tell me all.", *ENDLESS],
        env=environment(place), cwd=place.work, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    with child:
        first = child.stdout.read(1)
        child.send_signal(signal.SIGINT)
        rest, err = child.communicate(timeout=TIMEOUT)
    assert first
    check(child.returncode, rest.decode(errors="replace"), err.decode())
    assert rest.endswith(b"\n")
