"""Volumes of a kind, for tests: images mounted through a loop device, and small disks in memory.

Mounting needs Linux, root and the file system's tools; without them a test is skipped and says what lacks.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_IMAGE_BYTES = 2 * 1024**3
_MKFS = {"btrfs": ["mkfs.btrfs", "-q"], "xfs": ["mkfs.xfs", "-q", "-m", "reflink=1"]}


def _require_mounting() -> None:
    if sys.platform != "linux":
        pytest.skip("mounting images is done on Linux only")
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")


@contextmanager
def loop_mounted(kind: str, place: Path) -> Iterator[Path]:
    """A new volume of a kind (`btrfs`, `xfs`), 2 GiB, of which only what is used takes space."""
    _require_mounting()
    mkfs = _MKFS[kind]
    if shutil.which(mkfs[0]) is None:
        pytest.skip(f"{mkfs[0]} is not installed")
    image, point = place / f"{kind}.img", place / kind
    image.touch()
    os.truncate(image, _IMAGE_BYTES)
    point.mkdir()
    subprocess.run([*mkfs, str(image)], check=True, capture_output=True)
    with _mounted(["-o", "loop", str(image)], point):
        yield point
    image.unlink()


@contextmanager
def memory_disk(place: Path, *, size: int, options: str = "") -> Iterator[Path]:
    """A disk of `size` bytes in memory."""
    _require_mounting()
    point = place / "memory-disk"
    point.mkdir()
    with _mounted(["-t", "tmpfs", "-o", f"size={size}{options}", "tmpfs"], point):
        yield point


@contextmanager
def _mounted(what: list[str], point: Path) -> Iterator[None]:
    mounted = subprocess.run(["mount", *what, str(point)], check=False, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"mounting is not permitted here: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(point)], check=True)


def used_bytes(volume: Path) -> int:
    """Bytes in use on a volume, after everything is written out."""
    subprocess.run(["sync", "-f", str(volume)], check=True)
    status = os.statvfs(volume)
    return (status.f_blocks - status.f_bfree) * status.f_frsize
