"""Where a workspace may be made."""

import os
from pathlib import Path

import pytest

from mlxk.adapters.clone_target import TargetDirectories
from mlxk.adapters.destination import DiskDestinations
from mlxk.domain.clone_plan import TargetState
from tests.contract.cache.conftest import shared_hub as shared_hub
from tests.contract.cache.conftest import without_root_rights


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("cache", "source", "empty", "full"):
        (tmp_path / name).mkdir()
    (tmp_path / "full" / "x").touch()
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "linked").symlink_to("empty")
    (tmp_path / "to-cache").symlink_to("cache")
    return tmp_path


@pytest.mark.parametrize(
    ("target", "state"),
    [
        ("new", TargetState.ABSENT),
        ("empty", TargetState.EMPTY),
        ("full", TargetState.NOT_EMPTY),
        ("file", TargetState.FILE),
        ("dangling", TargetState.FILE),
        ("linked", TargetState.FILE),
        ("no/new", TargetState.NO_PARENT),
        ("file/new", TargetState.BELOW_FILE),
        ("file/no/new", TargetState.BELOW_FILE),
        ("cache", TargetState.IN_CACHE),
        ("cache/models--a--b/x", TargetState.IN_CACHE),
        ("to-cache/x", TargetState.IN_CACHE),
        ("full/../cache/x", TargetState.IN_CACHE),
        ("cached", TargetState.ABSENT),
    ],
)
def test_states(place: Path, target: str, state: TargetState) -> None:
    found = DiskDestinations(TargetDirectories(None, place / "cache")).look(
        f"{place}/{target}", f"{place}/source"
    )
    assert found.state is state
    assert not found.overlaps


def test_a_directory_that_cannot_be_written_to(shared_hub: Path) -> None:
    (shared_hub / "locked").mkdir(mode=0o555)
    with without_root_rights():
        found = DiskDestinations(TargetDirectories(None, None)).look(f"{shared_hub}/locked/new", "/usr")
    assert found.state is TargetState.UNWRITABLE


@pytest.mark.parametrize("target", ["locked/x", "locked/a/b/x", "locked"])
def test_a_directory_that_cannot_be_looked_into(shared_hub: Path, target: str) -> None:
    (shared_hub / "locked").mkdir(mode=0)
    try:
        with without_root_rights():
            found = DiskDestinations(TargetDirectories(None, None)).look(f"{shared_hub}/{target}", "/usr")
    finally:
        (shared_hub / "locked").chmod(0o755)
    assert found.state is TargetState.UNWRITABLE


@pytest.mark.parametrize(
    ("target", "overlaps"), [("source", True), ("source/x", True), ("source2", False), ("other", False)]
)
def test_the_source_itself(place: Path, target: str, overlaps: bool) -> None:
    assert (
        DiskDestinations(TargetDirectories(None, None)).look(f"{place}/{target}", f"{place}/source").overlaps
        is overlaps
    )


def test_space_and_volume(place: Path) -> None:
    found = DiskDestinations(TargetDirectories(None, None)).look(f"{place}/new", f"{place}/source")
    assert found.same_volume
    assert found.free == pytest.approx(os.statvfs(place).f_bavail * os.statvfs(place).f_frsize, rel=0.2)
    assert (
        not DiskDestinations(TargetDirectories(None, None)).look("/proc/new", f"{place}/source").same_volume
    )
