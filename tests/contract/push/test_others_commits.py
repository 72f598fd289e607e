"""Commits of others on the branch a workspace came from are not undone silently."""

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mlxk.adapters.workspace_integrity import DiskIntegrity
from mlxk.domain.manifest import MANIFEST_NAME, Operation, Origin
from mlxk.domain.model import Cleanliness
from tests.contract.hub_server import Content
from tests.contract.push.conftest import REPO, Pushing


@pytest.fixture
def clone(push: Pushing) -> Pushing:
    """The folder is a workspace that came from what the branch holds."""
    commit = push.create()["commit_sha"]
    DiskIntegrity().found(push.folder, Origin(REPO, commit, Operation.CLONE))
    return push


def commit_of_others(push: Pushing, changes: Mapping[str, bytes]) -> str:
    held = push.repository.commits[push.repository.refs["main"]]
    return push.repository.commit({**held, **{path: Content(data) for path, data in changes.items()}})


def manifest(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / MANIFEST_NAME).read_text())
    return read


def test_what_others_changed_is_not_undone(clone: Pushing) -> None:
    theirs = commit_of_others(clone, {"config.json": b"{}"})
    outcome = clone("--private", "--delete")
    assert (outcome.code, outcome.error["type"]) == (1, "push_operation_failed")
    assert theirs[:8] in outcome.error["message"]
    assert all(word in outcome.error["hint"] for word in ("--dry-run", "--overwrite", "mlxk clone"))
    assert clone.repository.refs["main"] == theirs
    dry = clone("--private", "--dry-run").data
    assert dry["modified_files"] == ["config.json"]
    assert dry["warnings"] == [f"This push would be refused: {outcome.error['message']}"]
    assert clone("--private", "--overwrite").data["change_summary"]["modified"] == 1
    assert clone.contents()["config.json"] == (clone.folder / "config.json").read_bytes()


def test_ones_own_pushes_go_on(clone: Pushing) -> None:
    for text in ("one", "two"):
        (clone.folder / "notes.txt").write_text(text)
        sha = clone("--private").data["commit_sha"]
        assert manifest(clone.folder)["pushed_commits"][-1] == sha
    assert len(manifest(clone.folder)["pushed_commits"]) == 2
    assert "warnings" not in clone("--private").data


def test_the_note_leaves_the_workspace_as_clean_as_it_was(clone: Pushing) -> None:
    (clone.folder / "notes.txt").write_text("one")
    DiskIntegrity().pin(clone.folder)
    before = manifest(clone.folder)
    sha = clone("--private").data["commit_sha"]
    assert manifest(clone.folder) == {**before, "pushed_commits": [sha]}
    assert DiskIntegrity().state(clone.folder).cleanliness is Cleanliness.CLEAN
    (clone.folder / "notes.txt").write_text("two")
    DiskIntegrity().pin(clone.folder)
    assert manifest(clone.folder)["pushed_commits"] == [sha]


def test_a_push_whose_note_was_lost_is_made_good_by_the_next(clone: Pushing) -> None:
    path = clone.folder / MANIFEST_NAME
    before = path.read_bytes()
    (clone.folder / "notes.txt").write_text("one")
    sha = clone("--private").data["commit_sha"]
    path.write_bytes(before)
    assert clone("--private").data["no_changes"] is True
    assert manifest(clone.folder)["pushed_commits"] == [sha]


def test_a_manifest_that_cannot_be_written_is_told(clone: Pushing) -> None:
    (clone.folder / "notes.txt").write_text("one")
    (clone.folder / f"{MANIFEST_NAME}.{threading.get_native_id()}.tmp").mkdir()  # in the new one's way
    data = clone("--private").data
    assert data["commit_sha"] == clone.repository.refs["main"]
    assert "--overwrite" in data["warnings"][-1]
    assert "pushed_commits" not in manifest(clone.folder)


@pytest.mark.parametrize("kept", [None, "x", [1, "y"], {"a": 1}])
def test_a_strange_note_counts_as_none(clone: Pushing, kept: object) -> None:
    (clone.folder / MANIFEST_NAME).write_text(json.dumps({**manifest(clone.folder), "pushed_commits": kept}))
    (clone.folder / "notes.txt").write_text("one")
    sha = clone("--private").data["commit_sha"]
    assert manifest(clone.folder)["pushed_commits"] == [sha]


def test_a_workspace_of_another_repository_and_a_new_branch_lose_nothing(clone: Pushing) -> None:
    commit_of_others(clone, {"config.json": b"{}"})
    assert clone("--private", "--create", "--branch", "dev").data["change_summary"]["modified"] == 1
    clone.server.repositories.add("ada/other", {"a.txt": b"1"})
    (clone.folder / "a.txt").write_text("2")
    before = (clone.folder / MANIFEST_NAME).read_bytes()
    assert clone("--public", repo="ada/other").data["change_summary"]["modified"] == 1
    assert (clone.folder / MANIFEST_NAME).read_bytes() == before
