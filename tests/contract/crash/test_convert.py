"""Killing `mlxk convert` at any moment: the same command again ends in a whole workspace, and no litter.

`MLXK_SOAK_KILLS` is how often each kind of conversion is killed.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlxk.adapters.bundled import BundledModels
from mlxk.adapters.runtimes.text import MlxTextRuntime
from mlxk.adapters.snapshot_facts import SnapshotReader
from mlxk.adapters.workspace_integrity import DiskIntegrity
from mlxk.domain.health import assess
from mlxk.domain.model import Cleanliness, ModelRecord, Source
from tests.contract.cli.conftest import environment
from tests.contract.cli.conftest import place as place
from tests.isolation import Place

KILLS = int(os.environ.get("MLXK_SOAK_KILLS", "15"))
INTERRUPTS = max(3, KILLS // 10)
TIMEOUT = 60
MODES = {
    "quantize": ["--quantize", "4"],
    "repair-index": ["--repair-index"],
    "dequantize": ["--dequantize"],
}
FEW = max(3, KILLS // 5)
"""How often dequantizing is killed, which takes the same steps as quantizing."""

# Another directory must not mean another mlxk than the one that these tests import.
_PATHS = [str(Path(path).absolute()) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
_CODE = {"PYTHONPATH": os.pathsep.join(_PATHS)}


def source(place: Place, mode: str) -> str:
    """What is converted: the demo, or a packed one."""
    return str(place.root / "packed") if mode == "dequantize" else "demo"


@pytest.fixture(autouse=True)
def packed(place: Place, request: pytest.FixtureRequest) -> None:
    """What there is to open, where that is to be done."""
    if request.node.callspec.params["mode"] == "dequantize":
        assert convert(place, "quantize").wait(TIMEOUT) == 0
        (place.work / "made").rename(place.root / "packed")


def convert(place: Place, mode: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "mlxk", "convert", source(place, mode), "./made", *MODES[mode], "--json"],
        env=environment(place, _CODE), cwd=place.work, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def whole(target: Path) -> bool:
    """Whether it is healthy, indexed, as its manifest says, and loads."""
    MlxTextRuntime().load(target).close()
    facts = SnapshotReader().facts(ModelRecord(str(target), str(target), Source.WORKSPACE))
    return (
        assess(facts).healthy
        and (target / "model.safetensors.index.json").is_file()
        and DiskIntegrity().state(target).cleanliness is Cleanliness.CLEAN
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT], ids=["kill", "ctrl-c"])
def test_again_after_being_stopped(place: Place, mode: str, stop: signal.Signals) -> None:
    target = place.work / "made"
    chance = random.Random(f"{mode} {stop}")
    started = time.perf_counter()
    assert convert(place, mode).wait(TIMEOUT) == 0
    duration = time.perf_counter() - started
    kills = FEW if mode == "dequantize" else KILLS
    for _ in range(kills if stop is signal.SIGKILL else INTERRUPTS):
        if target.exists():
            target.rename(place.root / f"done-{time.monotonic_ns()}")
        child = convert(place, mode)
        time.sleep(chance.uniform(0.3, 1.1) * duration)
        child.send_signal(stop)
        child.communicate(timeout=TIMEOUT)
        assert not target.exists() or whole(target)
        if stop is signal.SIGINT and child.returncode == 130:
            assert not target.exists()
            assert list(place.work.iterdir()) == []
        finished = target.exists()
        again = convert(place, mode)
        out, err = again.communicate(timeout=TIMEOUT)
        envelope = json.loads(out)
        if again.returncode:  # it was finished, to the very end
            assert finished, err
            assert envelope["error"]["type"] == "InvalidTargetError"
        assert whole(target)
        assert [path.name for path in place.work.iterdir()] == ["made"]


@pytest.mark.parametrize("mode", MODES)
def test_what_was_killed_between_renaming_and_cleaning_up_is_finished(place: Place, mode: str) -> None:
    from mlxk.adapters.staging import StagingArea
    from mlxk.domain.staging import staging_path

    assert convert(place, mode).wait(TIMEOUT) == 0
    (demo,) = BundledModels().records()
    original = source(place, mode) if mode == "dequantize" else demo.path
    path = staging_path("convert", str(place.work / "made"))
    detail = " 4 bits, group size 64" if mode == "quantize" else ""
    area = StagingArea()
    area.create(path, f"convert {original} {mode}{detail}", str(place.work / "made"))
    (Path(path) / "workspace").mkdir()
    area.publish(path, str(place.work / "published"))
    again = convert(place, mode)
    out, _ = again.communicate(timeout=TIMEOUT)
    assert again.returncode == 0
    assert json.loads(out)["data"]["health_status"] == "healthy"
    assert sorted(path.name for path in place.work.iterdir()) == ["made", "published"]
