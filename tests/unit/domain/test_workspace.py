"""Content hash v2 as a recipe, and the decision between clean, modified and unknown."""

import fnmatch
import hashlib
import itertools
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxk.domain.manifest import DEFAULT_EXCLUDE_PATTERNS, Baseline, IndexedFile
from mlxk.domain.model import Cleanliness
from mlxk.domain.workspace import (
    Doubt,
    Exclusions,
    FileHash,
    HashKind,
    Obstacle,
    SeenTree,
    Stamp,
    Verdict,
    aggregate,
    decide,
    hash_kind,
    link_identity,
    name_and_size,
    normal_form,
    sha_of,
)

A, B, C = (f"sha256:{letter * 64}" for letter in "abc")
OUTSIDE = Obstacle("link", "a link that leads outside", "replace it")
BROKEN = Obstacle("b", "its header is empty", "download it again")


# The recipe


@pytest.mark.parametrize(
    ("path", "size", "kind"),
    [
        ("model.safetensors", 10, HashKind.SAFETENSORS_HEADER),
        ("model.safetensors", 2**40, HashKind.SAFETENSORS_HEADER),
        ("sub/.safetensors", 10, HashKind.SAFETENSORS_HEADER),
        ("model.safetensors.index.json", 10, HashKind.CONTENT),
        ("model.SAFETENSORS", 10, HashKind.CONTENT),
        ("model.gguf", 2**30, HashKind.CONTENT),
        ("model.gguf", 2**30 + 1, HashKind.NAME_AND_SIZE),
        ("empty", 0, HashKind.CONTENT),
    ],
)
def test_what_is_hashed_of_a_file(path: str, size: int, kind: HashKind) -> None:
    assert hash_kind(path, size) is kind


def test_the_bytes_that_stand_for_large_files_and_links() -> None:
    assert name_and_size("giant.bin", 2**30 + 1) == b"giant.bin\x001073741825"
    assert link_identity("sub/real.json") == b"SYMLINK\x00sub/real.json"
    assert sha_of(b"abc") == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@given(st.dictionaries(st.text().filter(lambda path: path.isprintable()), st.binary(max_size=4)))
def test_the_aggregate_is_the_written_formula_in_any_order(files: dict[str, bytes]) -> None:
    entries = [FileHash(path, sha_of(data)) for path, data in files.items()]
    concatenated = b"".join(
        path.encode() + b"\x00" + b"sha256:" + hashlib.sha256(files[path]).hexdigest().encode()
        for path in sorted(files, key=lambda path: path.encode())
    )
    assert aggregate(entries) == "sha256:" + hashlib.sha256(concatenated).hexdigest()
    assert aggregate(reversed(entries)) == aggregate(entries)


def test_a_known_aggregate() -> None:
    """`printf 'a.json\\0sha256:…b.json\\0sha256:…' | sha256sum`, so that no two mistakes can agree."""
    files = [FileHash("b.json", B), FileHash("a.json", A)]
    assert aggregate(files) == "sha256:cc83d44736f758cd7113709c25987552d6a8887dcd2fe15fe9b3a03ef87d40af"


def test_names_are_compared_in_normal_form_c() -> None:
    assert normal_form("e\u0301") == "é"
    assert normal_form("plain") == "plain"


# Exclusion


@pytest.mark.parametrize(
    ("name", "excluded"),
    [
        ("run.log", True),
        ("uv.lock", True),
        (".DS_Store", True),
        ("._config.json", True),
        ("Icon\r", True),
        ("config.json~", True),
        (".config.json.swp", True),
        (".mlxk_workspace.json", True),
        ("Icon", False),
        ("run.logs", False),
        ("RUN.LOG", False),
        ("config.json", False),
        (".gitattributes", False),
        (".git", False),
        ("catalog", False),
    ],
)
def test_files_left_out_by_default(name: str, excluded: bool) -> None:
    assert Exclusions(DEFAULT_EXCLUDE_PATTERNS).file(name) is excluded


@pytest.mark.parametrize(
    ("name", "excluded"),
    [
        *(
            (name, True)
            for name in (".git", ".hf_cache", "$RECYCLE.BIN", "System Volume Information", "venv")
        ),
        *((name, False) for name in ("git", "x.log", "sub", ".gitattributes")),
    ],
)
def test_directories_left_out_by_default(name: str, excluded: bool) -> None:
    assert Exclusions(DEFAULT_EXCLUDE_PATTERNS).directory(name) is excluded


def test_without_patterns_nothing_is_left_out() -> None:
    assert not Exclusions(()).file("a")
    assert not Exclusions(()).directory("a")


@given(st.lists(st.text("ab*?[]!-/.", max_size=5), max_size=5), st.text("ab*?[]!-.", min_size=1, max_size=5))
def test_patterns_mean_what_fnmatch_means(patterns: list[str], name: str) -> None:
    exclusions = Exclusions(patterns)
    assert exclusions.file(name) is any(
        fnmatch.fnmatchcase(name, pattern) for pattern in patterns if not pattern.endswith("/")
    )
    assert exclusions.directory(name) is any(
        fnmatch.fnmatchcase(name, pattern[:-1]) for pattern in patterns if pattern.endswith("/")
    )


# The decision


def baseline(**files: tuple[int, int, str]) -> Baseline:
    return Baseline(tuple(IndexedFile(path, *entry) for path, entry in sorted(files.items())))


TWO = baseline(a=(1, 10, A), b=(2, 20, B))
SAME = SeenTree({"a": Stamp(1, 10), "b": Stamp(2, 20)})


@pytest.mark.parametrize(
    ("seen", "cleanliness"),
    [
        (SAME, Cleanliness.CLEAN),
        (SeenTree({**SAME.files, "c": Stamp(0, 0)}), Cleanliness.MODIFIED),
        (SeenTree({"a": Stamp(1, 10)}), Cleanliness.MODIFIED),
        (SeenTree({}), Cleanliness.MODIFIED),
        (SeenTree({"a": Stamp(1, 10), "b": Stamp(3, 20)}), Cleanliness.MODIFIED),
        (SeenTree({"a": Stamp(1, 99), "b": Stamp(3, 20)}), Cleanliness.MODIFIED),
        (SeenTree({"a": Stamp(1, 10)}, {"b": B}), Cleanliness.CLEAN),
        (SeenTree({"a": Stamp(1, 10)}, {"b": C}), Cleanliness.MODIFIED),
        (SeenTree(SAME.files, {"link": C}), Cleanliness.MODIFIED),
        (SeenTree(SAME.files, {}, [OUTSIDE]), Cleanliness.UNKNOWN),
        (SeenTree({}, {}, [OUTSIDE]), Cleanliness.UNKNOWN),
    ],
)
def test_what_a_stat_is_enough_for(seen: SeenTree, cleanliness: Cleanliness) -> None:
    verdict = decide(TWO, seen, {})
    assert isinstance(verdict, Verdict)
    assert verdict.cleanliness is cleanliness
    assert (verdict.hint is None) is (cleanliness is Cleanliness.CLEAN)
    assert not verdict.heal


def test_an_empty_workspace_may_be_clean() -> None:
    assert decide(Baseline(()), SeenTree(), {}) == Verdict(Cleanliness.CLEAN)


def test_files_with_another_time_are_worth_reading_the_quickest_first() -> None:
    was = baseline(a=(9, 1, A), b=(5, 1, B), c=(2**31, 1, C), d=(1, 1, C))
    seen = SeenTree({"a": Stamp(9, 2), "b": Stamp(5, 2), "c": Stamp(2**31, 2), "d": Stamp(1, 1)})
    doubt = decide(was, seen, {})
    assert isinstance(doubt, Doubt)
    assert [file.path for file in doubt.files] == ["c", "b", "a"]
    doubt = decide(was, seen, {"c": C, "b": B})
    assert isinstance(doubt, Doubt)
    assert [file.path for file in doubt.files] == ["a"]


TOUCHED = SeenTree({"a": Stamp(1, 11), "b": Stamp(2, 21)})


@pytest.mark.parametrize(
    ("hashed", "cleanliness", "heal"),
    [
        ({"a": A, "b": B}, Cleanliness.CLEAN, {"a": 11, "b": 21}),
        ({"a": A, "b": C}, Cleanliness.MODIFIED, {"a": 11}),
        ({"a": C, "b": B}, Cleanliness.MODIFIED, {"b": 21}),
        ({"a": C}, Cleanliness.MODIFIED, {}),
        ({"b": C}, Cleanliness.MODIFIED, {}),
        ({"a": A, "b": BROKEN}, Cleanliness.UNKNOWN, {"a": 11}),
    ],
)
def test_what_reading_tells(
    hashed: dict[str, str | Obstacle], cleanliness: Cleanliness, heal: dict[str, int]
) -> None:
    verdict = decide(TWO, TOUCHED, hashed)
    assert isinstance(verdict, Verdict)
    assert (verdict.cleanliness, verdict.heal) == (cleanliness, heal)


def test_hints_name_the_file_and_a_way_out() -> None:
    for seen, hashed in itertools.product(
        (TOUCHED, SeenTree({}), SeenTree({}, {}, [OUTSIDE])), ({"a": C}, {"b": C})
    ):
        verdict = decide(TWO, seen, hashed)
        assert isinstance(verdict, Verdict)
        assert verdict.hint
        assert any(name in verdict.hint for name in ("a", "b", "link"))
        assert "recalc-hash" in verdict.hint or "replace" in verdict.hint


names = st.sampled_from("abcde")


@given(
    st.dictionaries(names, st.tuples(st.integers(0, 2), st.integers(0, 2), st.sampled_from([A, B]))),
    st.dictionaries(names, st.tuples(st.integers(0, 2), st.integers(0, 2), st.sampled_from([A, B]))),
)
def test_asking_for_hashes_one_by_one_ends_in_the_truth(
    was: dict[str, tuple[int, int, str]], now: dict[str, tuple[int, int, str]]
) -> None:
    """Whoever trusts size and time and hashes all others comes to the same result."""
    before = baseline(**was)
    seen = SeenTree({path: Stamp(size, mtime) for path, (size, mtime, _) in now.items()})
    hashed: dict[str, str | Obstacle] = {}
    while isinstance(verdict := decide(before, seen, hashed), Doubt):
        path = verdict.files[0].path
        assert path not in hashed
        hashed[path] = now[path][2]

    same = was.keys() == now.keys() and all(
        was[path] == now[path] or (was[path][0] == now[path][0] and was[path][1] == now[path][1])
        or (was[path][0] == now[path][0] and was[path][2] == now[path][2])
        for path in was
    )  # fmt: skip
    assert verdict.cleanliness is (Cleanliness.CLEAN if same else Cleanliness.MODIFIED)
    if same:
        healed = before.with_mtimes(verdict.heal)
        assert {file.path: file.mtime_ns for file in healed.files} == {p: now[p][1] for p in now}


def test_normal_form_is_idempotent_for_every_pattern() -> None:
    assert all(unicodedata.is_normalized("NFC", pattern) for pattern in DEFAULT_EXCLUDE_PATTERNS)
