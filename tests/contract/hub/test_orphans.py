"""Which temporary files go, and which stay."""

import os
import time
from pathlib import Path

import pytest

from mlxk.adapters.hub.cache_layout import RepoFolder
from mlxk.adapters.hub.orphans import remove_orphans, try_lock
from mlxk.domain.naming import RepoId

ETAG = "ab" * 32
HOUR = 3600.0
DAY = 24 * HOUR


@pytest.fixture
def folder(tmp_path: Path) -> RepoFolder:
    folder = RepoFolder(tmp_path / "hub", RepoId("org/model"))
    folder.prepare()
    return folder


def _leave(folder: RepoFolder, name: str, age: float) -> Path:
    path = folder.blobs / name
    path.write_bytes(b"x")
    then = time.time() - age
    os.utime(path, (then, then))
    return path


@pytest.mark.parametrize(
    ("name", "age", "goes"),
    [
        (f"{ETAG}.12345678.incomplete", HOUR, True),
        (f"{ETAG}.incomplete", HOUR, True),
        (f"{ETAG}.12345678.incomplete", 10, False),
        (f"{ETAG}.mlxk-partial", DAY, False),
        (f"{ETAG}.mlxk-partial", 60 * DAY, True),
        (ETAG, 60 * DAY, False),
        ("something.else", 60 * DAY, False),
    ],
)
def test_by_age(folder: RepoFolder, name: str, age: float, goes: bool) -> None:
    path = _leave(folder, name, age)
    assert remove_orphans(folder) == ((name,) if goes else ())
    assert path.exists() is not goes


def test_a_part_of_what_is_there_in_full_goes(folder: RepoFolder) -> None:
    path = _leave(folder, f"{ETAG}.mlxk-partial", HOUR)
    _leave(folder, ETAG, 10)
    assert remove_orphans(folder) == (path.name,)


def test_what_somebody_works_on_stays(folder: RepoFolder) -> None:
    path = _leave(folder, f"{ETAG}.12345678.incomplete", HOUR)
    with try_lock(folder.lock(ETAG), 0.1) as taken:
        assert taken
        assert remove_orphans(folder) == ()
    assert path.exists()


def test_nothing_there_is_nothing_to_remove(tmp_path: Path) -> None:
    assert remove_orphans(RepoFolder(tmp_path, RepoId("org/model"))) == ()
