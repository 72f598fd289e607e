"""SIGKILL for `mlxk pull`, at moments that nobody chose, and the same command again.

`MLXK_SOAK_KILLS` sets how often (`make soak`), `MLXK_SOAK_SEED` repeats a run.
"""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy
import pytest
from huggingface_hub import scan_cache_dir

from mlxk.app.container import container_for
from mlxk.app.health import HealthRequest
from tests.contract.cli.conftest import TIMEOUT, environment
from tests.contract.cli.hub_commands.conftest import contents_of, left_behind
from tests.contract.damaged_models import CachedModel, healthy_sharded_model
from tests.contract.hub_server import Fault, HubServer, Repository, Trouble, serving
from tests.isolation import Place, delete_tree, isolated_place
from tests.memory_ports import ProgressRecorder

NAME = "org/model"
KILLS = int(os.environ.get("MLXK_SOAK_KILLS") or 30)
SEED = int(os.environ.get("MLXK_SOAK_SEED") or 20)
KILLS_IN_A_ROW = 3
EXTRA_FILES = 12
BYTES_A_SECOND = 1_500_000


@pytest.fixture(scope="module")
def server() -> Iterator[HubServer]:
    with serving() as running:
        yield running


@pytest.fixture
def repository(server: HubServer, tmp_path: Path) -> Repository:
    """A whole model in a dozen files, some of which take a moment."""
    model: CachedModel = healthy_sharded_model(tmp_path / "elsewhere", NAME)
    files = contents_of(model)
    chance = numpy.random.default_rng(SEED)
    files |= {f"extra/{number}.bin": chance.bytes(200_000 + number) for number in range(EXTRA_FILES)}
    server.faults.clear()
    server.faults.add(Fault(".bin", Trouble.SLOW, BYTES_A_SECOND, times=1_000_000))
    return server.repositories.add(NAME, files)


def start(place: Place, server: HubServer) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "mlxk", "pull", NAME, "--json"],
        env=environment(place, {"HF_ENDPOINT": server.url, "HF_HUB_DISABLE_XET": "1"}),
        cwd=place.work, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def finish(place: Place, server: HubServer) -> float:
    """Let a pull come to its end; seconds that took."""
    begin = time.monotonic()
    out, err = start(place, server).communicate(timeout=TIMEOUT)
    assert err == b"", err
    assert json.loads(out)["data"]["download_status"] in ("success", "already_exists")
    return time.monotonic() - begin


def check_nothing_half_written_is_in_view(place: Place, repository: Repository) -> None:
    """What has its final name is whole, and the snapshot has everything or does not exist."""
    folder = place.hub / "models--org--model"
    for blob in (folder / "blobs").glob("*"):
        if "." not in blob.name:
            assert digest_of(blob) == blob.name
    for snapshot in (folder / "snapshots").glob("*"):
        listed = repository.commits[snapshot.name]
        there = {str(path.relative_to(snapshot)) for path in snapshot.rglob("*") if path.is_file()}
        assert there == set(listed)
    for ref in (folder / "refs").glob("*"):
        assert (folder / "snapshots" / ref.read_text()).is_dir()
    for listing in (folder / "trees").glob("*"):
        json.loads(listing.read_text())


def digest_of(blob: Path) -> str:
    content = blob.read_bytes()
    if len(blob.name) == 64:
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def check_whole(place: Place, repository: Repository) -> None:
    """Complete, verified, seen by the Hub's own client, and without litter."""
    snapshot = place.hub / "models--org--model/snapshots" / repository.refs["main"]
    for path, file in repository.commits[repository.refs["main"]].items():
        assert (snapshot / path).read_bytes() == file.data
    container = container_for(environment(place))
    container.remembered.override(place.root / "remembered")
    health = container.check_health()(HealthRequest(NAME, verify=True), ProgressRecorder())
    assert (health.summary.total, health.summary.unhealthy_count) == (1, 0)
    scanned = scan_cache_dir(place.hub)
    assert [found.repo_id for found in scanned.repos] == [NAME]
    assert not scanned.warnings
    assert left_behind(place.hub) == []


def test_killed_at_any_moment_and_started_again(
    server: HubServer, repository: Repository, tmp_path: Path
) -> None:
    chance = random.Random(SEED)
    place = isolated_place(tmp_path / "unharmed")
    whole = finish(place, server)
    check_whole(place, repository)
    landed = 0
    for number in range(KILLS):
        if number % KILLS_IN_A_ROW == 0:
            place = isolated_place(tmp_path / f"place-{number}")
        child = start(place, server)
        time.sleep(chance.uniform(0.3, 1) * whole)
        child.send_signal(signal.SIGKILL)
        child.communicate(timeout=TIMEOUT)
        landed += child.returncode == -signal.SIGKILL
        check_nothing_half_written_is_in_view(place, repository)
        if number % KILLS_IN_A_ROW == KILLS_IN_A_ROW - 1 or number == KILLS - 1:
            finish(place, server)
            check_whole(place, repository)
            delete_tree(place.root)
    assert landed > 0
