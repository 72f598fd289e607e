"""What the tests of the cache share: a cache of its own, and a way to lose root's rights for a moment."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_NOBODY = 65534


@contextmanager
def without_root_rights() -> Iterator[None]:
    """Inside, permissions count even when the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """An empty cache directory."""
    root = tmp_path / "hub"
    root.mkdir()
    return root


@pytest.fixture
def shared_hub() -> Iterator[Path]:
    """An empty cache directory that every user may read, unlike pytest's own."""
    base = Path(tempfile.mkdtemp(prefix="mlxk-tests-"))
    base.chmod(0o755)
    root = base / "hub"
    root.mkdir()
    yield root
    for directory, names, _ in os.walk(base):
        for name in names:
            (Path(directory) / name).chmod(0o755)
    shutil.rmtree(base)
