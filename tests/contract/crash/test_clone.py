"""`mlxk clone`, killed at moments nobody chose: the same again ends in a whole workspace and no litter.

`MLXK_SOAK_KILLS` sets how many kills each way of cloning takes, `MLXK_SOAK_SEED` when they come.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.contract.cli.conftest import TIMEOUT, environment
from tests.contract.cloning import REPO, assert_clone, contents, in_cache, litter, names, on_hub, tree_digest
from tests.contract.hub_server import Fault, HubServer, Trouble
from tests.contract.hub_server.repositories import Content
from tests.contract.volumes import memory_disk
from tests.isolation import Place

KILLS = int(os.environ.get("MLXK_SOAK_KILLS", "15"))
SEED = int(os.environ.get("MLXK_SOAK_SEED", "20"))
BIG = 24_000_000
MB = 1_000_000


@dataclass(frozen=True)
class Cloning:
    """One way to clone: the command, and what must come of it."""

    place: Place
    url: str
    files: Mapping[str, Content]

    def start(self, target: Path) -> "subprocess.Popen[str]":
        variables: dict[str, str | None] = {"HF_ENDPOINT": self.url, "HF_HUB_DISABLE_XET": "1"}
        return subprocess.Popen(
            [sys.executable, "-m", "mlxk", "clone", REPO, str(target), "--json"],
            env=environment(self.place, variables), cwd=self.place.work,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def finish(self, target: Path) -> dict[str, Any]:
        """Run the command to its end; its envelope."""
        out, err = self.start(target).communicate(timeout=TIMEOUT)
        assert "Traceback" not in err, err
        envelope: dict[str, Any] = json.loads(out)
        return envelope


@contextmanager
def started(cloning: Cloning, target: Path) -> Iterator["subprocess.Popen[str]"]:
    child = cloning.start(target)
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def seconds_of_work(cloning: Cloning, target: Path) -> float:
    """From the first trace on disk to the end, undisturbed."""
    with started(cloning, target) as child:
        _wait_for_staging(child, target.parent)
        begin = time.monotonic()
        child.communicate(timeout=TIMEOUT)
        return time.monotonic() - begin


def _wait_for_staging(child: "subprocess.Popen[str]", parent: Path) -> None:
    while child.poll() is None and not litter(parent):
        time.sleep(0.001)


def kill_at_random(cloning: Cloning, target: Path, chance: random.Random, work: float) -> None:
    """Mostly while it works on disk, now and then at any moment before."""
    with started(cloning, target) as child:
        if chance.random() < 0.9:
            _wait_for_staging(child, target.parent)
            time.sleep(chance.uniform(0, work))
        else:
            time.sleep(chance.uniform(0, 1))
        child.send_signal(signal.SIGKILL)


def assert_survives(cloning: Cloning, make_target: Callable[[int], Path]) -> None:
    chance = random.Random(SEED)
    first = make_target(-1)
    work = seconds_of_work(cloning, first)
    assert_clone(first, cloning.files)
    cache = tree_digest(cloning.place.hub)
    killed = 0
    while killed < KILLS:
        target = make_target(killed)
        for _ in range(chance.choice([1, 1, 2, 3])):
            kill_at_random(cloning, target, chance, work)
            killed += 1
        whole = target.exists()
        envelope = cloning.finish(target)
        if envelope["status"] == "error":
            assert whole, envelope
            assert envelope["error"]["type"] == "InvalidTargetError"
        else:
            assert envelope["data"]["health"] == "healthy"
        assert_clone(target, cloning.files)
    assert tree_digest(cloning.place.hub) == cache


def _targets(place: Place) -> Callable[[int], Path]:
    """A directory of its own for each, so that litter is seen."""

    def make(number: int) -> Path:
        parent = place.root / "targets" / str(number)
        parent.mkdir(parents=True)
        return parent / "model"

    return make


@pytest.fixture
def big(tmp_path: Path, server: HubServer) -> Mapping[str, Content]:
    server.repositories.models.clear()
    server.faults.clear()
    return contents(tmp_path / "scratch", padding=BIG)


def test_killed_while_cloning_from_the_cache(
    server: HubServer, place: Place, big: Mapping[str, Content]
) -> None:
    in_cache(place.hub, big, on_hub(server, big).refs["main"])
    assert_survives(Cloning(place, server.url, big), _targets(place))
    assert server.traffic.downloads() == []


def test_killed_while_cloning_from_the_hub(
    server: HubServer, place: Place, big: Mapping[str, Content]
) -> None:
    on_hub(server, big)
    server.faults.add(Fault("vocabulary.bin", Trouble.SLOW, 40 * MB, times=1000))
    assert_survives(Cloning(place, server.url, big), _targets(place))


# A full disk


@pytest.fixture
def small(tmp_path: Path, server: HubServer) -> Mapping[str, Content]:
    server.repositories.models.clear()
    server.faults.clear()
    server.traffic.clear()
    return contents(tmp_path / "scratch", padding=2 * MB)


def _disk_full(envelope: dict[str, Any]) -> None:
    assert envelope["error"]["type"] == "insufficient_disk", envelope
    assert envelope["data"]["clone_status"] == "filesystem_error"


def test_a_download_that_cannot_fit_is_not_begun(
    server: HubServer, place: Place, small: Mapping[str, Content], tmp_path: Path
) -> None:
    on_hub(server, small)
    with memory_disk(tmp_path, size=MB) as disk:
        _disk_full(Cloning(place, server.url, small).finish(disk / "model"))
        assert names(disk) == []
    assert server.traffic.downloads() == []


def test_a_copy_that_does_not_fit_leaves_nothing(
    server: HubServer, place: Place, small: Mapping[str, Content], tmp_path: Path
) -> None:
    in_cache(place.hub, small, on_hub(server, small).refs["main"])
    with memory_disk(tmp_path, size=MB) as disk:
        _disk_full(Cloning(place, server.url, small).finish(disk / "model"))
        assert names(disk) == []


def test_a_disk_without_any_space_left(
    server: HubServer, place: Place, small: Mapping[str, Content], tmp_path: Path
) -> None:
    in_cache(place.hub, small, on_hub(server, small).refs["main"])
    with memory_disk(tmp_path, size=MB) as disk:
        with (disk / "full").open("wb", buffering=0) as full:
            while full.write(bytes(4096)) == 4096 and shutil.disk_usage(disk).free:
                pass
        _disk_full(Cloning(place, server.url, small).finish(disk / "model"))
        assert names(disk) == ["full"]


def test_a_download_that_fits_once_is_kept_for_when_there_is_room(
    server: HubServer, place: Place, small: Mapping[str, Content], tmp_path: Path
) -> None:
    on_hub(server, small)
    cloning = Cloning(place, server.url, small)
    with memory_disk(tmp_path, size=5 * MB) as disk:
        (disk / "other").write_bytes(bytes(2 * MB))
        envelope = cloning.finish(disk / "model")
        _disk_full(envelope)
        (staging,) = litter(disk)
        assert f"rm -r {disk / staging}" in envelope["error"]["hint"]
        (disk / "other").unlink()
        asked = len(server.traffic.downloads())
        assert cloning.finish(disk / "model")["status"] == "success"
        assert len(server.traffic.downloads()) == asked
        assert_clone(disk / "model", small)
