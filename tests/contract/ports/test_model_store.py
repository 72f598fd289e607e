"""The contract of `ModelStore`: the cache on disk, and its stand-in in memory."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mlxk.adapters.bundled import BundledModels
from mlxk.adapters.hf_cache import HuggingFaceCache
from mlxk.domain.errors import AmbiguousMatch, ErrorKind, MlxkError, ModelNotFound
from mlxk.domain.model import Source
from mlxk.domain.ports import ModelStore
from tests.contract.damaged_models import CachedModel
from tests.memory_ports import MemoryModelStore, Repository

NEW, OLD, OTHER = "a1b2" + "0" * 36, "a1c3" + "0" * 36, "f" * 40
MakeStore = Callable[..., ModelStore]


@pytest.fixture(params=["memory", "cache"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> MakeStore:
    """Makes a store with some repositories."""
    if request.param == "memory":
        return MemoryModelStore

    def on_disk(*repositories: Repository) -> ModelStore:
        root = tmp_path / "hub"
        root.mkdir()
        for repository in repositories:
            _write(root, repository)
        return HuggingFaceCache(root)

    return on_disk


def _write(root: Path, repository: Repository) -> None:
    directory = root / f"models--{repository.name.replace('/', '--')}"
    for age, commit in enumerate(repository.commits):
        model = CachedModel(directory, commit)
        model.add("config.json", commit.encode())
        os.utime(model.snapshot, ns=(0, 10**18 - age * 10**9))
    for ref, commit in repository.refs.items():
        CachedModel(directory).refer(ref, commit)


def test_a_store_with_nothing_has_no_records(store: MakeStore) -> None:
    assert list(store().records()) == []


def test_records_are_sorted_by_name(store: MakeStore) -> None:
    found = store(
        Repository("org/b", [NEW]), Repository("org/a", [NEW]), Repository("zoo/a", [OLD])
    ).records()
    assert [record.name for record in found] == ["org/a", "org/b", "zoo/a"]
    assert {record.source for record in found} == {Source.CACHE}
    assert all(Path(record.path).name == record.revision for record in found)


@pytest.mark.parametrize(
    ("refs", "expected"),
    [({"main": OLD}, OLD), ({}, NEW), ({"main": OTHER}, NEW), ({"dev": OLD}, NEW)],
    ids=["main", "no ref", "main names nothing here", "another branch"],
)
def test_a_record_is_what_main_names_else_the_newest(
    store: MakeStore, refs: dict[str, str], expected: str
) -> None:
    (record,) = store(Repository("org/a", [NEW, OLD], refs)).records()
    assert record.revision == expected


def test_other_revisions_come_newest_first(store: MakeStore) -> None:
    here = store(Repository("org/a", [NEW, OLD, OTHER], {"main": OLD}))
    (record,) = here.records()
    assert [other.revision for other in here.revisions(record)] == [NEW, OTHER]


@pytest.mark.parametrize(
    ("revision", "expected"),
    [
        ("dev", OTHER),
        ("pr/1", OLD),
        (OLD, OLD),
        ("a1b", NEW),
        ("A1B2", NEW),
        ("fff", OTHER),
    ],
)
def test_a_revision_is_a_ref_a_commit_or_its_beginning(
    store: MakeStore, revision: str, expected: str
) -> None:
    here = store(Repository("org/a", [NEW, OLD, OTHER], {"main": NEW, "dev": OTHER, "pr/1": OLD}))
    found = here.at_revision(here.records()[0], revision)
    assert (found.name, found.revision, Path(found.path).name) == ("org/a", expected, expected)


@pytest.mark.parametrize("revision", ["nope", "a1", "0123", "main/x", "../..", "A" * 41, "gone"])
def test_an_unknown_revision_names_those_that_are_here(store: MakeStore, revision: str) -> None:
    here = store(Repository("org/a", [NEW, OLD], {"main": NEW, "gone": OTHER}))
    with pytest.raises(ModelNotFound) as caught:
        here.at_revision(here.records()[0], revision)
    hint = caught.value.hint or ""
    assert "main" in hint
    assert NEW[:12] in hint
    assert OLD[:12] in hint


def test_two_commits_that_begin_alike_are_ambiguous(store: MakeStore) -> None:
    twin = NEW[:6] + "1" * 34
    here = store(Repository("org/a", [NEW, twin], {"main": NEW}))
    with pytest.raises(AmbiguousMatch) as caught:
        here.at_revision(here.records()[0], NEW[:6])
    assert list(caught.value.matches) == sorted([NEW, twin])


def test_a_place_that_cannot_be_read_says_so(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("no cache")
    for place in (MemoryModelStore(unreadable=True), HuggingFaceCache(file)):
        with pytest.raises(MlxkError) as caught:
            place.records()
        assert caught.value.kind is ErrorKind.PERMISSION
        assert caught.value.hint


def test_the_bundled_model_has_no_revisions() -> None:
    here = BundledModels()
    (record,) = here.records()
    assert list(here.revisions(record)) == []
    with pytest.raises(ModelNotFound):
        here.at_revision(record, "main")
