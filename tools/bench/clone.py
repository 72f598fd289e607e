"""How fast trees are copied: against `cp --reflink=always` where blocks can be shared, and a plain `cp`.

    python -m tools.bench.clone

Mounts btrfs and XFS images through loop devices, so it needs Linux and root. What counts are the ratios:
both sides run in turn on the same volume. A `cp` is timed with the start of its process, which is part of
what it costs.
"""

import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlxk.adapters.tree_copy import VolumeTreeCopier

__all__ = ["main"]

_RUNS = 7
_IMAGE_BYTES = 12 * 1024**3
_MEGABYTE = 1024 * 1024
_MKFS = {"btrfs": ["mkfs.btrfs", "-q"], "xfs": ["mkfs.xfs", "-q"]}


@dataclass(frozen=True, slots=True)
class Shape:
    """A model to copy: weight files of a size in MiB, and small files beside them."""

    name: str
    shards: int
    megabytes: int
    small: int = 12


SHAPES = (Shape("tiny", 1, 1), Shape("1 GB", 4, 256), Shape("4 GB", 1, 4096), Shape("many files", 0, 0, 2000))


class Silent:
    """A `Progress` that nobody watches."""

    def start(self, phase: str, total: int) -> None:
        """Nothing."""

    def advance(self, file: str, count: int) -> None:
        """Nothing."""

    def finish(self) -> None:
        """Nothing."""


def main() -> None:
    """Print a line per volume and shape."""
    print(f"{'volume':8}{'model':12}{'mlxk':>10}{'cp reflink':>12}{'ratio':>7}{'plain cp':>11}{'ratio':>8}")
    for kind in _MKFS:
        with tempfile.TemporaryDirectory() as place, _volume(kind, Path(place)) as volume:
            for shape in SHAPES:
                _measure(kind, shape, volume)


def _measure(kind: str, shape: Shape, volume: Path) -> None:
    snapshot = _build(volume / "cache", shape)
    target = volume / "target"
    copier = VolumeTreeCopier.for_this_system()

    def ours() -> None:
        copier.copy(snapshot, target, progress=Silent())

    mine, reflink, plain = _medians(
        [ours, _cp(snapshot, target, "always"), _cp(snapshot, target, "never")], target
    )
    print(
        f"{kind:8}{shape.name:12}{mine * 1000:8.1f}ms{reflink * 1000:10.1f}ms{mine / reflink:7.2f}"
        f"{plain * 1000:9.1f}ms{mine / plain:8.3f}"
    )
    shutil.rmtree(volume / "cache")


def _cp(source: Path, target: Path, reflink: str) -> Callable[[], object]:
    command = ["cp", "-rL", "--preserve=timestamps", f"--reflink={reflink}", str(source), str(target)]
    return lambda: subprocess.run(command, check=True)


def _medians(contestants: Sequence[Callable[[], object]], target: Path) -> list[float]:
    """Median seconds of each, run in turn so that a busy moment hits all."""
    times: list[list[float]] = [[] for _ in contestants]
    for _ in range(_RUNS):
        for contestant, taken in zip(contestants, times, strict=True):
            subprocess.run(["sync", "-f", str(target.parent)], check=True)
            begin = time.perf_counter()
            contestant()
            taken.append(time.perf_counter() - begin)
            shutil.rmtree(target)
    return [statistics.median(taken) for taken in times]


def _build(cache: Path, shape: Shape) -> Path:
    repository = cache / "models--org--name"
    snapshot = repository / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    block = os.urandom(_MEGABYTE)
    sizes = [shape.megabytes] * shape.shards + [0] * shape.small
    for number, megabytes in enumerate(sizes):
        blob = repository / "blobs" / f"{number:064x}"
        with blob.open("wb") as stream:
            stream.writelines(block for _ in range(megabytes))
            stream.write(block[:4000])
        (snapshot / f"file-{number:05d}.bin").symlink_to(f"../../blobs/{blob.name}")
    subprocess.run(["sync", "-f", str(cache)], check=True)
    return snapshot


@contextmanager
def _volume(kind: str, place: Path) -> Iterator[Path]:
    image, point = place / "image", place / "volume"
    image.touch()
    os.truncate(image, _IMAGE_BYTES)
    point.mkdir()
    subprocess.run([*_MKFS[kind], str(image)], check=True, capture_output=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(point)], check=True)
    try:
        yield point
    finally:
        subprocess.run(["umount", str(point)], check=True)


if __name__ == "__main__":
    main()
