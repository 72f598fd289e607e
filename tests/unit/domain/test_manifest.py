"""Manifests: what is read, what is refused and what is kept."""

import json
import posixpath
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxk.domain.manifest import (
    DEFAULT_EXCLUDE_PATTERNS,
    Baseline,
    Flaw,
    IndexedFile,
    Manifest,
    Operation,
    Origin,
    Refusal,
    document_of,
    known_tensor_digests,
    parse_manifest,
    path_problem,
    pinned,
)
from mlxk.domain.model import FileFact, JsonObject, JsonValue

SHA = "sha256:" + "a" * 64
KNOWN = {
    "mlxk_version",
    "created_at",
    "source_repo",
    "source_revision",
    "managed",
    "operation",
    "hash_algorithm",
    "content_hash",
    "hash_modified",
    "exclude_patterns",
    "file_index",
    "tensor_digests",
    "recipe",
}

json_values: st.SearchStrategy[JsonValue] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
texts = st.none() | st.text(min_size=1)
shas = st.binary(min_size=32, max_size=32).map(lambda digest: f"sha256:{digest.hex()}")
paths = st.text(min_size=1).filter(lambda path: path_problem(path) is None)
files = st.builds(
    IndexedFile,
    path=paths,
    size=st.integers(0, 2**50),
    mtime_ns=st.integers(-(2**40), 2**62),
    sha=shas,
    extra=st.dictionaries(
        st.text().filter(lambda name: name not in ("path", "size", "mtime_ns", "sha")), json_values
    ),
)
baselines = st.builds(
    Baseline,
    files=st.lists(files, unique_by=lambda file: file.path).map(
        lambda found: tuple(sorted(found, key=lambda file: file.path))
    ),
    exclude_patterns=st.lists(st.text(max_size=20)).map(tuple),
)
manifests = st.builds(
    Manifest,
    mlxk_version=texts,
    created_at=texts,
    source_repo=texts,
    source_revision=texts,
    operation=texts,
    content_hash=st.none() | shas,
    hash_modified=texts,
    baseline=baselines,
    tensor_digests=st.dictionaries(paths, shas.map(lambda sha: sha[7:])),
    recipe=st.none() | st.dictionaries(st.text(), json_values),
    extra=st.dictionaries(st.text().filter(lambda name: name not in KNOWN), json_values),
)


def document(**changes: JsonValue) -> JsonObject:
    entry: JsonObject = {"path": "config.json", "size": 2, "mtime_ns": 3, "sha": SHA}
    whole: dict[str, JsonValue] = {
        "mlxk_version": "2.0.6",
        "created_at": "2026-04-20T10:30:00Z",
        "source_repo": "org/model",
        "source_revision": "b" * 40,
        "managed": True,
        "operation": "clone",
        "hash_algorithm": "v2",
        "content_hash": SHA,
        "hash_modified": "2026-04-20T10:30:01Z",
        "exclude_patterns": ["*.log"],
        "file_index": [entry],
    }
    return whole | changes


def parsed(**changes: JsonValue) -> Manifest:
    manifest = parse_manifest(document(**changes))
    assert isinstance(manifest, Manifest)
    return manifest


@given(manifests)
def test_writing_and_reading_gives_the_same(manifest: Manifest) -> None:
    text = json.dumps(document_of(manifest))
    assert parse_manifest(json.loads(text)) == manifest


@given(st.dictionaries(st.sampled_from(sorted(KNOWN)) | st.text(), json_values))
def test_no_document_raises_and_none_loses_what_it_does_not_know(content: dict[str, JsonValue]) -> None:
    manifest = parse_manifest(content | {"managed": True})
    assert isinstance(manifest, Manifest)
    again = document_of(manifest)
    for name in content.keys() - KNOWN:
        assert again[name] == content[name]
    assert parse_manifest(again) == manifest


def test_every_field_is_read() -> None:
    assert parsed(tensor_digests={"a": "c" * 64}, recipe={"bits": 4}, strange=[1]) == Manifest(
        mlxk_version="2.0.6",
        created_at="2026-04-20T10:30:00Z",
        source_repo="org/model",
        source_revision="b" * 40,
        operation="clone",
        content_hash=SHA,
        hash_modified="2026-04-20T10:30:01Z",
        baseline=Baseline((IndexedFile("config.json", 2, 3, SHA),), ("*.log",)),
        tensor_digests={"a": "c" * 64},
        recipe={"bits": 4},
        extra={"strange": [1]},
    )


@pytest.mark.parametrize("managed", [None, False, "true", 1, []])
def test_only_managed_workspaces_have_a_manifest(managed: JsonValue) -> None:
    assert parse_manifest(document(managed=managed)) == Refusal(Flaw.NOT_MANAGED)


ENTRY = {"path": "a", "size": 1, "mtime_ns": 1, "sha": SHA}


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"hash_algorithm": "v1"}, Refusal(Flaw.OTHER_ALGORITHM)),
        ({"hash_algorithm": None}, Refusal(Flaw.OTHER_ALGORITHM)),
        ({"hash_algorithm": "v3", "file_index": 7}, Refusal(Flaw.OTHER_ALGORITHM)),
        ({"file_index": None}, Refusal(Flaw.NO_INDEX)),
        ({"file_index": "a"}, Refusal(Flaw.NO_INDEX)),
        ({"file_index": [ENTRY, 1]}, Refusal(Flaw.BAD_ENTRY, "number 2")),
        ({"file_index": [ENTRY | {"size": 1.0}]}, Refusal(Flaw.BAD_ENTRY, "number 1")),
        ({"file_index": [ENTRY | {"size": True}]}, Refusal(Flaw.BAD_ENTRY, "number 1")),
        ({"file_index": [ENTRY | {"size": -1}]}, Refusal(Flaw.BAD_ENTRY, "number 1")),
        ({"file_index": [ENTRY | {"mtime_ns": None}]}, Refusal(Flaw.BAD_ENTRY, "number 1")),
        ({"file_index": [ENTRY | {"sha": "a" * 64}]}, Refusal(Flaw.BAD_ENTRY, "number 1")),
        ({"file_index": [ENTRY | {"path": "../a"}]}, Refusal(Flaw.BAD_PATH, "'../a'")),
        ({"file_index": [ENTRY, ENTRY]}, Refusal(Flaw.DUPLICATE_PATH, "a")),
        ({"exclude_patterns": "*.log"}, Refusal(Flaw.BAD_PATTERNS)),
        ({"exclude_patterns": ["a", 1]}, Refusal(Flaw.BAD_PATTERNS)),
    ],
    ids=str,
)
def test_a_baseline_that_cannot_be_used_is_refused_and_kept(
    changes: dict[str, JsonValue], refusal: Refusal
) -> None:
    manifest = parsed(**changes)
    assert manifest.baseline == refusal
    assert manifest.source_repo == "org/model"
    assert refusal.flaw.value in refusal.message
    assert refusal.subject in refusal.message
    again = document_of(manifest)
    assert {name: again[name] for name in changes} == changes


def test_without_patterns_the_default_ones_govern() -> None:
    baseline = parsed(exclude_patterns=None).baseline
    assert isinstance(baseline, Baseline)
    assert baseline.exclude_patterns == DEFAULT_EXCLUDE_PATTERNS


def test_digests_that_make_no_sense_are_left_out() -> None:
    digests: JsonValue = {"a": "c" * 64, "../b": "c" * 64, "d": "short", "e": 1, "f": "C" * 64}
    assert parsed(tensor_digests=digests).tensor_digests == {"a": "c" * 64}
    assert parsed(tensor_digests=[1]).tensor_digests == {}


# Paths


@pytest.mark.parametrize(
    "path",
    [
        *("", "/a", "//a", "..", "../a", "a/..", "a/../b", ".", "./a", "a/.", "a//b", "a/", "a\\b"),
        *("C:", "c:/a", "1:", "\0", "a\0", "e\u0301", "\ud800", "a/\udcff"),
    ],
)
def test_bad_paths(path: str) -> None:
    assert path_problem(path)


@pytest.mark.parametrize(
    "path", ["a", "a/b", "...", "..a", "a..b/c", ".a", "é", "日本/語", "a b", "ab:c", "~", "-"]
)
def test_good_paths(path: str) -> None:
    assert path_problem(path) is None


@given(st.text())
def test_a_good_path_stays_in_its_directory(path: str) -> None:
    if path_problem(path) is None:
        assert posixpath.normpath(posixpath.join("/ws", path)) == f"/ws/{path}"
        assert unicodedata.normalize("NFC", path).encode().decode() == path


# Making


def test_a_new_manifest_says_where_it_comes_from() -> None:
    origin = Origin("org/model", "b" * 40, Operation.CONVERT, {"a": "c" * 64}, {"bits": 4})
    new = origin.manifest("0.1.0", "now")
    baseline = Baseline((IndexedFile("a", 1, 2, SHA),))
    written = document_of(pinned(new, baseline, SHA, "then"))

    assert written == {
        "mlxk_version": "0.1.0",
        "created_at": "now",
        "source_repo": "org/model",
        "source_revision": "b" * 40,
        "managed": True,
        "operation": "convert",
        "content_hash": SHA,
        "hash_modified": "then",
        "hash_algorithm": "v2",
        "exclude_patterns": list(DEFAULT_EXCLUDE_PATTERNS),
        "file_index": [{"path": "a", "size": 1, "mtime_ns": 2, "sha": SHA}],
        "recipe": {"bits": 4},
    }
    assert document_of(new)["tensor_digests"] == {"a": "c" * 64}


@pytest.mark.parametrize(
    ("after", "kept"),
    [
        (IndexedFile("a", 1, 2, SHA), True),
        (IndexedFile("a", 1, 3, SHA), False),
        (IndexedFile("a", 2, 2, SHA), False),
        (IndexedFile("a", 1, 2, SHA[:-1] + "b"), False),
        (IndexedFile("b", 1, 2, SHA), False),
    ],
)
def test_pinning_keeps_digests_of_untouched_files_only(after: IndexedFile, kept: bool) -> None:
    entry: JsonValue = [{"path": "a", "size": 1, "mtime_ns": 2, "sha": SHA}]
    manifest = parsed(file_index=entry, tensor_digests={"a": "c" * 64})
    assert bool(pinned(manifest, Baseline((after,)), SHA, "now").tensor_digests) is kept


def test_healed_times_change_nothing_else() -> None:
    before = Baseline((IndexedFile("a", 1, 2, SHA, {"x": 1}), IndexedFile("b", 1, 2, SHA)), ("*.log",))
    assert before.with_mtimes({"a": 9}) == Baseline(
        (IndexedFile("a", 1, 9, SHA, {"x": 1}), IndexedFile("b", 1, 2, SHA)), ("*.log",)
    )


def test_blob_names_give_digests_of_weights() -> None:
    files = [
        FileFact("model.safetensors", 1, blob="a" * 64),
        FileFact("config.json", 1, blob="b" * 40),
        FileFact("tokenizer.json", 1, blob="c" * 64),
        FileFact("plain.safetensors", 1),
    ]
    assert known_tensor_digests(files) == {"model.safetensors": "a" * 64}
