"""What of a Hub's words is believed, what is missing, and how long to try."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxk.domain.errors import ErrorKind, MlxkError
from mlxk.domain.hub import (
    Holdings,
    HubFile,
    RepoInfo,
    RetryPolicy,
    bytes_to_download,
    check_file_names,
    hub_file,
    missing,
    name_problem,
    revision_problem,
    space_shortage,
)
from mlxk.domain.naming import RepoId
from mlxk.domain.verification import DigestKind, Trust

COMMIT = "c" * 40
NOTHING = Holdings({}, {}, frozenset())


def _file(path: str, size: int, letter: str = "a") -> HubFile:
    return hub_file(path, size, "0" * 40, lfs_sha256=letter * 64)


def _info(*files: HubFile, revision: str = "main") -> RepoInfo:
    return RepoInfo(RepoId("org/model"), revision, COMMIT, files)


@pytest.mark.parametrize(
    "path", ["config.json", "a/b/c.txt", ".gitattributes", "..a", "a..", "é/ü", "a b", "~x"]
)
def test_ordinary_names(path: str) -> None:
    assert name_problem(path) is None


@pytest.mark.parametrize(
    "path", ["/x", "//x", "a//b", "a/", "./a", "a/.", "", "..", "../x", "a/..", "a/../b"]
)
def test_names_that_are_no_way_down(path: str) -> None:
    assert name_problem(path)


@pytest.mark.parametrize(
    "path",
    ["a\\b", "\\\\x", "c:x", "C:/x", "a\0b", "a\nb", "\x7f", "\ud800", "x" * 256, "/".join(["x" * 200] * 6)],
)
def test_names_that_cannot_be_written(path: str) -> None:
    assert name_problem(path)


@given(st.text(max_size=40))
def test_a_name_without_problem_stays_below_its_folder(path: str) -> None:
    import posixpath

    if name_problem(path) is None:
        inside = posixpath.normpath(posixpath.join("/folder", path))
        assert inside == f"/folder/{path}"


@pytest.mark.parametrize(
    "paths",
    [
        ("README.md", "readme.md"),
        ("caf\u00e9", unicodedata.normalize("NFD", "caf\u00e9")),
        ("stra\u00dfe", "STRASSE"),
        ("x", "x"),
        ("a", "a/b"),
        ("a/b/c", "A/B"),
    ],
)
def test_names_that_collide(paths: tuple[str, ...]) -> None:
    for order in (paths, paths[::-1]):
        with pytest.raises(MlxkError, match="cannot be used"):
            check_file_names(order)


def test_names_that_do_not_collide() -> None:
    check_file_names(["a/b", "a/c", "ab", "A/d", "a.b"])


@pytest.mark.parametrize("revision", ["main", "refs/pr/1", "v1.0", COMMIT])
def test_ordinary_revisions(revision: str) -> None:
    assert revision_problem(revision) is None


def test_digests_go_by_how_a_file_is_kept() -> None:
    assert _file("x", 1).digest.kind is DigestKind.SHA256
    assert hub_file("x", 1, "0" * 40).digest.kind is DigestKind.GIT_BLOB_SHA1
    assert hub_file("x", 1, "0" * 40, xet_hash="../x").xet_hash is None


@pytest.mark.parametrize(
    ("size", "oid", "sha256"),
    [
        (-1, "0" * 40, None),
        (1, "0" * 39, None),
        (1, "../x", None),
        (1, "0" * 64, None),
        (1, "0" * 40, "0" * 40),
    ],
)
def test_a_file_that_makes_no_sense(size: int, oid: str, sha256: str | None) -> None:
    with pytest.raises(MlxkError) as caught:
        hub_file("x", size, oid, sha256)
    assert caught.value.kind is ErrorKind.DOWNLOAD_FAILED


def test_everything_is_missing_at_first() -> None:
    small, big = _file("small", 10, "a"), _file("big", 1000, "b")
    found = missing(_info(small, big), NOTHING)
    assert found.files == (big, small)
    assert (found.bytes, found.begun, found.unplaced, found.complete) == (1010, 0, (), False)
    assert found.stale_ref


def test_what_was_begun_counts_unless_it_is_too_long() -> None:
    big = _file("big", 1000, "b")
    key = big.digest.value
    assert missing(_info(big), Holdings({}, {key: 400}, frozenset())).bytes == 600
    assert missing(_info(big), Holdings({}, {key: 1400}, frozenset())).bytes == 1000
    assert missing(_info(big), Holdings({key: 999}, {}, frozenset())).files == (big,)


def test_equal_contents_are_wanted_once_and_placed_twice() -> None:
    one, two = _file("one", 10), _file("two", 10)
    assert missing(_info(one, two), NOTHING).bytes == 10
    assert _info(one, two).size == 10
    here = Holdings({one.digest.value: 10}, {}, frozenset({"one"}))
    assert missing(_info(one, two), here).unplaced == (two,)


def test_complete_and_its_ref() -> None:
    one = _file("one", 10)
    blobs, placed = {one.digest.value: 10}, frozenset({"one"})
    assert missing(_info(one), Holdings(blobs, {}, placed)).complete
    assert missing(_info(one), Holdings(blobs, {}, placed, ref="d" * 40)).stale_ref
    assert not missing(_info(one), Holdings(blobs, {}, placed, ref=COMMIT)).stale_ref
    assert not missing(_info(one, revision=COMMIT), Holdings(blobs, {}, placed)).stale_ref


def test_how_much_a_fetch_can_take() -> None:
    here, begun, twin = _file("here", 10, "a"), _file("begun", 100, "b"), _file("twin", 100, "b")
    held = Holdings({here.digest.value: 10}, {begun.digest.value: 40}, frozenset())
    assert bytes_to_download([here, begun, twin], held, Trust.SIZE) == 60
    assert bytes_to_download([here, begun, twin], held, Trust.DIGEST) == 70


def test_waiting_doubles_up_to_its_limit_and_ends() -> None:
    policy = RetryPolicy(attempts=6, first_wait=1, longest_wait=8)
    assert [policy.wait(failures) for failures in range(7)] == [1, 1, 2, 4, 8, 8, None]


def test_retry_after_is_obeyed_within_reason() -> None:
    policy = RetryPolicy(longest_retry_after=60)
    assert policy.wait(1, retry_after=30) == 30
    assert policy.wait(1, retry_after=0) == 0
    assert policy.wait(1, retry_after=61) is None


def test_room() -> None:
    assert space_shortage(10, 10) is None
    shortage = space_shortage(5_000_000_000, 1_000_000_000)
    assert shortage is not None
    assert shortage.kind is ErrorKind.INSUFFICIENT_DISK
    assert "5.0GB" in shortage.message
    assert "1.0GB" in shortage.message
