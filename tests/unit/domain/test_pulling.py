"""What a pull asks for, when something counts as left half done, and what a repair fetches."""

import pytest

from mlxk.domain.errors import InvalidInput
from mlxk.domain.hub import Holdings, HubFile, RepoInfo, hub_file, missing
from mlxk.domain.model import ModelRecord, Source
from mlxk.domain.naming import RepoId
from mlxk.domain.pulling import is_half_done, wanted
from mlxk.domain.repair import damaged_files, no_repair

COMMIT = "c" * 40


def file(path: str, letter: str) -> HubFile:
    return hub_file(path, 10, "0" * 40, lfs_sha256=letter * 64)


A, B, AGAIN = file("a", "a"), file("b", "b"), file("again", "a")
INFO = RepoInfo(RepoId("org/model"), "main", COMMIT, (A, B, AGAIN))


@pytest.mark.parametrize(
    ("text", "revision", "ids", "meant"),
    [
        ("org/name", None, ["org/name"], "main"),
        ("org/name@v1", None, ["org/name"], "v1"),
        ("org/name", "v1", ["org/name"], "v1"),
        ("org/name@v1", "v1", ["org/name"], "v1"),
        ("name", None, ["mlx-community/name", "name"], "main"),
    ],
)
def test_what_is_asked_for(text: str, revision: str | None, ids: list[str], meant: str) -> None:
    found = wanted(text, revision)
    assert ([str(repo_id) for repo_id in found.ids], found.revision) == (ids, meant)


@pytest.mark.parametrize("text", ["./x", "/x", "~", "", "a/b/c", "a--b", "org/name@", "x" * 90])
def test_what_cannot_be_asked_for(text: str) -> None:
    with pytest.raises(InvalidInput):
        wanted(text)


def test_an_empty_revision_is_none() -> None:
    for text, revision in (("org/name@", None), ("org/name", ""), ("org/name@v1", "")):
        with pytest.raises(InvalidInput):
            wanted(text, revision)


def half_done(held: Holdings) -> bool:
    return is_half_done(INFO, missing(INFO, held))


def test_half_done() -> None:
    a, b = "a" * 64, "b" * 64
    nothing = frozenset[str]()
    assert not half_done(Holdings({}, {}, nothing))
    assert not half_done(Holdings({a: 10}, {b: 3}, nothing)), "our own, which is gone on with"
    assert half_done(Holdings({}, {}, nothing, foreign=frozenset({b}))), "begun by another program"
    assert not half_done(Holdings({a: 10}, {}, nothing, foreign=frozenset({a}))), "finished since"
    assert half_done(Holdings({a: 10}, {}, frozenset({"a"}))), "a snapshot with holes"
    assert not half_done(Holdings({a: 10, b: 10}, {}, frozenset({"a"}))), "only links are missing"


def test_a_repair_fetches_what_is_named_and_what_is_missing() -> None:
    whole = missing(INFO, Holdings({"a" * 64: 10, "b" * 64: 10}, {}, frozenset({"a", "b", "again"})))
    assert damaged_files(INFO, whole, ["b", "nowhere", "."]) == (B,)
    without = missing(INFO, Holdings({"b" * 64: 10}, {}, frozenset({"b"})))
    assert damaged_files(INFO, without, []) == (A, AGAIN)
    unlinked = missing(INFO, Holdings({"a" * 64: 10, "b" * 64: 10}, {}, frozenset({"a", "again"})))
    assert damaged_files(INFO, unlinked, []) == (B,)


def test_what_no_download_repairs() -> None:
    assert no_repair(ModelRecord("org/x", "/x", Source.CACHE, COMMIT)) is None
    assert "mlxk pull org/x" in (no_repair(ModelRecord("org/x", "/x", Source.CACHE)) or "")
    assert "workspace" in (no_repair(ModelRecord("/x", "/x", Source.WORKSPACE)) or "")
    assert "mlxk" in (no_repair(ModelRecord("demo", "/x", Source.BUNDLED)) or "")
