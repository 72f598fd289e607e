"""The copiers under contract, each with a place whose volume it is made for, and a model to copy."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mlxk.adapters.tree_copy import VolumeTreeCopier
from mlxk.adapters.tree_copy.reflink import Reflink
from mlxk.domain.clone_steps import CopyMethod
from mlxk.domain.ports import TreeCopier
from tests.contract.volumes import loop_mounted


@dataclass(frozen=True, slots=True)
class Bench:
    """A copier, a directory on the volume it is for, and how it should copy there."""

    copier: TreeCopier
    place: Path
    method: CopyMethod


@dataclass
class Recorder:
    """A `Progress` that keeps what it hears."""

    total: int = -1
    done: dict[str, int] = field(default_factory=dict)
    finished: int = 0

    def start(self, phase: str, total: int) -> None:
        assert phase == "copy"
        self.total = total

    def advance(self, file: str, count: int) -> None:
        assert count >= 0
        self.done[file] = self.done.get(file, 0) + count

    def finish(self) -> None:
        self.finished += 1


@pytest.fixture(scope="session")
def btrfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with loop_mounted("btrfs", tmp_path_factory.mktemp("volume")) as volume:
        yield volume


@pytest.fixture(scope="session")
def xfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with loop_mounted("xfs", tmp_path_factory.mktemp("volume")) as volume:
        yield volume


@pytest.fixture(params=["plain", "reflink-btrfs", "reflink-xfs"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    if request.param == "plain":
        return Bench(VolumeTreeCopier([]), tmp_path, CopyMethod.COPY)
    volume: Path = request.getfixturevalue(request.param.removeprefix("reflink-"))
    place = volume / tmp_path.name
    place.mkdir()
    return Bench(VolumeTreeCopier([Reflink()]), place, CopyMethod.REFLINK)


@pytest.fixture
def progress() -> Recorder:
    return Recorder()


def make_snapshot(place: Path) -> Path:
    """A snapshot in a cache's layout: links into `blobs`, with a folder, an empty file and a hole."""
    repository = place / "models--org--name"
    snapshot = repository / "snapshots" / ("a" * 40)
    (snapshot / "1_Pooling").mkdir(parents=True)
    (repository / "blobs").mkdir()
    contents = {
        "config.json": b'{"model_type": "llama"}',
        "model.safetensors": os.urandom(300_000),
        "1_Pooling/config.json": b"{}",
        "empty.txt": b"",
    }
    for number, (name, content) in enumerate(contents.items()):
        blob = repository / "blobs" / f"{number:064x}"
        blob.write_bytes(content)
        blob.chmod(0o444 if number else 0o640)
        os.utime(blob, ns=(1, 1_700_000_000_123_456_789 + number))
        (snapshot / name).symlink_to("../" * (name.count("/") + 2) + f"blobs/{blob.name}")
    with (repository / "blobs" / "sparse").open("wb") as stream:
        stream.seek(64 * 1024 * 1024)
        stream.write(b"end")
    (snapshot / "sparse.bin").symlink_to("../../blobs/sparse")
    return snapshot


@pytest.fixture
def snapshot(bench: Bench) -> Path:
    return make_snapshot(bench.place)
