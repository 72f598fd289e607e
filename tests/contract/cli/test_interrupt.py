"""Ctrl-C, whenever it comes: exit code 130, no traceback, and nothing left behind."""

import json
import random
import signal
import subprocess
import sys
import time

import pytest

from tests.contract.cli.conftest import TIMEOUT, environment
from tests.contract.damaged_models import healthy_model
from tests.isolation import Place
from tests.json_contract import check_envelope

ENDLESS = ["--no-chat-template", "--temperature", "5", "--top-p", "1", "--seed", "1"]


def start(place: Place, *arguments: str) -> "subprocess.Popen[str]":
    """Start a command, and wait until Python runs its first line.

    What Python does before a program's first line and after its last is not ours to guard.
    """
    started = "from mlxk.cli.main import main; print(flush=True); main()"
    child = subprocess.Popen(
        [sys.executable, "-c", started, *arguments],
        env=environment(place), cwd=place.work, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
    )  # fmt: skip
    assert child.stdout is not None
    child.stdout.readline()
    return child


def interrupt(child: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """Send SIGINT; exit code, stdout and stderr. Over but for Python's own end counts as 0."""
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=TIMEOUT)
    over = child.returncode == -signal.SIGINT and out != "" and err == ""
    return 0 if over else child.returncode, out, err


def check(code: int, out: str, err: str) -> None:
    assert "Traceback" not in err, err
    assert "Exception ignored" not in err, err
    assert code in (0, 130), (code, out, err)  # 0 when it was over before


@pytest.fixture
def busy(place: Place) -> Place:
    """Many models to look at."""
    for number in range(150):
        healthy_model(place.hub, f"org/model-{number}")
    return place


PHASES = {
    "start-up": (["--version"], [0.0, 0.03, 0.07]),
    "listing": (["list", "--all"], [0.0, 0.15, 0.3]),
    "loading": (["run", "demo", "Tell me all.", *ENDLESS], [0.3, 0.7, 1.1, 1.5]),
}


@pytest.mark.parametrize("phase", PHASES)
def test_ctrl_c_at_any_moment(busy: Place, phase: str) -> None:
    arguments, delays = PHASES[phase]
    codes = set()
    for delay in delays:
        child = start(busy, *arguments)
        time.sleep(delay + random.uniform(0, 0.02))
        code, out, err = interrupt(child)
        check(code, out, err)
        codes.add(code)
    assert 130 in codes


def test_ctrl_c_while_verifying_keeps_what_is_done(place: Place) -> None:
    small = healthy_model(place.hub, "org/heavy")
    blob = small.blob("model.safetensors")
    with blob.open("r+b") as file:
        file.truncate(8 * 1024**3)  # sparse: costs no disk, and takes long to hash
    child = start(place, "health", "org", "--verify", "--json")
    deadline = time.monotonic() + TIMEOUT
    while small.blob("config.json").name not in _remembered(place):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    code, out, err = interrupt(child)
    check(code, out, err)
    assert code == 130
    envelope = json.loads(out)
    check_envelope(envelope)
    assert envelope["error"]["type"] == "UserCancelledError"
    assert err == "Error: Interrupted.\n"
    assert small.blob("config.json").name in _remembered(place)


def _remembered(place: Place) -> str:
    return "".join(path.read_text() for path in (place.root / "xdg-cache" / "mlxk").rglob("*.json"))


def test_ctrl_c_while_generating_keeps_what_was_said(place: Place) -> None:
    child = start(place, "run", "demo", "Tell me all.", *ENDLESS)
    assert child.stdout is not None
    first = child.stdout.read(1)
    code, rest, err = interrupt(child)
    assert first
    check(code, rest, err)
    assert rest.endswith("\n")
