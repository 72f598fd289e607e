"""Files that would be deleted on the Hub: only with consent, and some never."""

import io
import json
import sys
from collections.abc import Callable

import pytest

from mlxk.cli.main import run_program
from tests.contract.push.conftest import REPO, Pushing
from tests.isolation import delete_tree


class Terminal(io.StringIO):
    """A person at the keyboard, or a screen."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def typed(push: Pushing, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], tuple[int, str]]:
    """Pushes on a terminal where somebody types an answer; the exit code and what was on the screen."""

    def run(answer: str) -> tuple[int, str]:
        screen = Terminal()
        monkeypatch.setattr(sys, "stdin", Terminal(answer))
        monkeypatch.setattr(sys, "stderr", screen)
        return run_program(["push", str(push.folder), REPO, "--private"]), screen.getvalue()

    return run


def with_extras(push: Pushing, count: int) -> str:
    """A branch with files the folder does not have (any more); returns its head."""
    for number in range(count):
        (push.folder / f"extra-{number}.txt").write_text("x")
    push.create()
    for number in range(count):
        (push.folder / f"extra-{number}.txt").unlink()
    return push.repository.refs["main"]


def test_nothing_is_deleted_where_nobody_can_be_asked(push: Pushing) -> None:
    head = with_extras(push, 5)
    outcome = push("--private")
    assert (outcome.code, outcome.error["type"]) == (1, "ValidationError")
    assert "5 files" in outcome.error["message"]
    assert "'extra-0.txt', 'extra-1.txt', 'extra-2.txt' and 2 more" in outcome.error["message"]
    assert "--delete" in outcome.error["hint"]
    assert push.repository.refs["main"] == head
    assert push("--private", "--delete").data["change_summary"] == {"added": 0, "modified": 0, "deleted": 5}
    assert push.contents() == push.local()


def test_on_a_terminal_one_is_asked(push: Pushing, typed: Callable[[str], tuple[int, str]]) -> None:
    head = with_extras(push, 1)
    code, screen = typed("n\n")
    assert code == 130
    assert f"Delete 1 file from {REPO}, branch main: 'extra-0.txt'? [y/N]" in screen
    assert "Nothing was pushed." in screen
    assert push.repository.refs["main"] == head
    code, screen = typed("y\n")
    assert code == 0
    assert push.contents() == push.local()


def test_without_deletions_nobody_is_asked(push: Pushing) -> None:
    push.create()
    (push.folder / "new.txt").write_text("x")
    assert push("--private").data["change_summary"] == {"added": 1, "modified": 0, "deleted": 0}


@pytest.mark.parametrize("kept", [["README.md"], ["config.json"], ["model.safetensors"]])
def test_a_model_is_never_emptied_by_the_wrong_folder(push: Pushing, kept: list[str]) -> None:
    (push.folder / "README.md").write_text("# x")
    push.create()
    head = push.repository.refs["main"]
    for path in list(push.folder.iterdir()):
        if path.name not in kept:
            delete_tree(path) if path.is_dir() else path.unlink()
    dry = push("--private", "--dry-run")
    outcome = push("--private", "--delete")
    assert outcome.error["type"] == "ValidationError"
    assert "right folder" in outcome.error["hint"]
    assert ("'model.safetensors'" in outcome.error["message"]) == (kept != ["model.safetensors"])
    assert ("'config.json'" in outcome.error["message"]) == (kept != ["config.json"])
    assert push.repository.refs["main"] == head
    assert dry.data["warnings"][-1] == f"This push would be refused: {outcome.error['message']}"
    assert json.dumps(dry.data["deleted_files"]).count("config.json") >= (kept != ["config.json"])


def test_a_new_branch_loses_nothing(push: Pushing) -> None:
    head = with_extras(push, 1)
    data = push("--private", "--create", "--branch", "dev").data
    assert data["change_summary"] == {"added": 0, "modified": 0, "deleted": 1}
    assert push.repository.refs["main"] == head
