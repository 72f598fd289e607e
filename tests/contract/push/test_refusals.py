"""What is not pushed: by whom, where to, and which files; nothing changes on the Hub then."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.cli.conftest import Outcome, Run
from tests.contract.hub_server import Access, Fault, Trouble
from tests.contract.push.conftest import READ_TOKEN, REPO, USER, Pushing
from tests.isolation import Place


@pytest.fixture(autouse=True)
def _nothing_was_written(push: Pushing) -> Iterator[None]:
    yield
    writes = {"/commit/", "/api/repos/create", "/branch/"}
    assert not [
        r for r in push.server.traffic.all() if r.method == "POST" and any(w in r.path for w in writes)
    ]


def refused(outcome: Outcome, kind: str, *words: str) -> None:
    """An error of this kind, whose message and hint have these words."""
    error = outcome.error
    assert error["type"] == kind, error
    text = f"{error['message']} {error.get('hint')}"
    assert all(word in text for word in words), text


def test_who_may_see_it_must_be_said(push: Pushing) -> None:
    refused(push(), "ValidationError", "--private", "--public")
    refused(push("--private", "--public"), "ValidationError", "exclude")
    refused(push("--dry-run"), "ValidationError", "--private")
    refused(push("--dry-run", "--check-only"), "ValidationError", "exclude")
    assert not push.server.traffic.all()


def test_without_a_token(push: Pushing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    outcome = push("--private")
    refused(outcome, "auth_error", "hf auth login", "HF_TOKEN")
    assert outcome.code == 2
    assert not push.server.traffic.all()


def test_with_a_token_the_hub_does_not_know(push: Pushing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_" + "unknown99X" * 4)
    refused(push("--private"), "auth_error", "does not know", "hf auth login")


def test_with_a_token_for_reading_only(push: Pushing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", READ_TOKEN)
    outcome = push("--private", "--create")
    refused(outcome, "access_denied", "reading only", "write access")
    assert outcome.code == 2


def test_a_repository_that_is_missing_or_hidden(push: Pushing) -> None:
    outcome = push("--private")
    refused(outcome, "repo_not_found", REPO, "--create")
    assert outcome.code == 2
    push.server.repositories.add("eve/hidden", {"a": b"1"}, Access.PRIVATE)
    refused(push("--private", repo="eve/hidden"), "repo_not_found", "--create")


def test_a_branch_that_is_missing(push: Pushing) -> None:
    push.server.repositories.add(REPO, {"a": b"1"})
    refused(push("--public", "--branch", "dev"), "repo_not_found", "'dev'", "--create")


def test_a_private_push_into_a_public_repository_and_the_reverse(push: Pushing) -> None:
    push.server.repositories.add(REPO, {"a": b"1"})
    for mode in ((), ("--dry-run",), ("--create",)):
        refused(push("--private", *mode), "ValidationError", "is public", "--public", f"{REPO}/settings")
    push.server.repositories.add(REPO, {"a": b"1"}, Access.PRIVATE, readers=frozenset({USER}))
    refused(push("--public"), "ValidationError", "is private", "--private", f"{REPO}/settings")


@pytest.mark.parametrize("name", ["model", "a/b/c", f"{USER}/x--y", f"{USER}/" + "x" * 95, "org/m@dev", ""])
def test_names_that_are_no_repository(push: Pushing, name: str) -> None:
    refused(push("--private", repo=name), "ValidationError")
    assert not push.server.traffic.all()


def test_a_name_that_is_too_long_is_counted(push: Pushing) -> None:
    refused(push("--private", repo="o/" + "x" * 103), "ValidationError", "105/96 characters")


@pytest.mark.parametrize("branch", ["", "a b", "../x", "f" * 40])
def test_names_that_are_no_branch(push: Pushing, branch: str) -> None:
    refused(push("--private", "--branch", branch), "ValidationError", "cannot be used")


def test_an_empty_message(push: Pushing) -> None:
    refused(push("--private", "--commit", " "), "ValidationError", "--commit")


def test_an_empty_folder_and_one_with_everything_ignored(push: Pushing, mlxk: Run, place: Place) -> None:
    (place.work / "empty").mkdir()
    refused(mlxk("push", "./empty", REPO, "--private", "--json"), "ValidationError", "nothing to push")
    (push.folder / ".hfignore").write_text("*\n")
    refused(push("--private"), "ValidationError", "nothing to push", ".hfignore")


def test_no_folder_a_file_and_no_path(push: Pushing, mlxk: Run, place: Place) -> None:
    refused(mlxk("push", "./nowhere", REPO, "--private", "--json"), "workspace_not_found", "./nowhere")
    (place.work / "file").write_text("x")
    refused(mlxk("push", "./file", REPO, "--private", "--json"), "ValidationError", "is a file")
    refused(mlxk("push", "a\0b", REPO, "--private", "--json"), "ValidationError", "NUL")


def test_from_inside_the_cache(push: Pushing, mlxk: Run, place: Place) -> None:
    snapshot = place.hub / "models--org--name" / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (place.work / "link").symlink_to(snapshot)
    for typed in (str(snapshot), str(place.hub), "./link"):
        refused(mlxk("push", typed, REPO, "--private", "--json"), "ValidationError", "cache", "mlxk clone")


def test_damaged_weights(push: Pushing) -> None:
    (push.folder / "model.safetensors").write_bytes(b"")
    refused(push("--private"), "ValidationError", "damaged", "model.safetensors", "--check-only")
    assert not push.server.traffic.all()


def test_damage_in_an_ignored_file_does_not_matter(push: Pushing) -> None:
    (push.folder / "old.safetensors").write_bytes(b"cut")
    refused(push("--private"), "ValidationError", "old.safetensors")
    (push.folder / ".hfignore").write_text("old.*\n")
    refused(push("--private"), "repo_not_found")


@pytest.mark.parametrize("target", ["/etc/hostname", "nowhere"])
def test_links_that_lead_out_or_nowhere(push: Pushing, target: str) -> None:
    (push.folder / "link.txt").symlink_to(target)
    refused(push("--private"), "ValidationError", "link.txt", "link")


def test_a_file_that_cannot_be_read(push: Pushing) -> None:
    if os.getuid() == 0:
        pytest.skip("root can read everything")
    (push.folder / "config.json").chmod(0)
    refused(push("--private"), "ValidationError", "config.json")


@pytest.mark.parametrize("content", [b"!\n", b"ok\n\\\n", b"\xff\xfe"])
def test_ignore_rules_that_cannot_be_used(push: Pushing, content: bytes) -> None:
    (push.folder / ".hfignore").write_bytes(content)
    refused(push("--private"), "ValidationError", ".hfignore")


@pytest.mark.parametrize("path", ["/api/whoami-v2", f"/api/models/{REPO}", f"/api/models/{REPO}/refs"])
@pytest.mark.parametrize("trouble", [Trouble.STATUS, Trouble.NOT_JSON, Trouble.RESET, Trouble.ODD_STATUS])
def test_a_hub_that_is_out_of_order(push: Pushing, path: str, trouble: Trouble) -> None:
    push.server.repositories.add(REPO, {"a": b"1"})
    push.server.faults.add(Fault(path, trouble, 503, times=9))
    outcome = push("--public")
    assert outcome.error["type"] == "NetworkError", outcome.error
    assert outcome.code == 2


def test_a_hub_that_is_not_there(push: Pushing, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert push("--private").error["type"] == "NetworkError"


def test_offline(push: Pushing, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants
    from huggingface_hub.utils import close_session

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    close_session()
    try:
        refused(push("--private"), "NetworkError", "HF_HUB_OFFLINE")
    finally:
        monkeypatch.undo()
        close_session()


def test_for_people(push: Pushing, mlxk: Run, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    outcome = mlxk("push", "./model", REPO, "--private")
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.startswith(f"Error: The Hub has no repository '{REPO}'")
    assert "Hint: " in outcome.err


def test_a_path_of_another_folder(push: Pushing, mlxk: Run, place: Place, folder: Path) -> None:
    folder.rename(place.workspaces / "named")
    refused(mlxk("push", "named", REPO, "--private", "--json"), "repo_not_found")


@pytest.mark.parametrize("what", ["HF_HOME", "cache", "token", "stored_tokens", "home", "above home", "root"])
def test_a_folder_that_holds_what_is_no_model(
    push: Pushing, mlxk: Run, place: Place, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = push.folder / "x"
    kept.mkdir()
    (kept / "token").write_text("t")
    (kept / "stored_tokens").write_text("t")
    folder = push.folder
    match what:
        case "HF_HOME":
            monkeypatch.setenv("HF_HOME", str(kept))
        case "cache":
            monkeypatch.setenv("HF_HUB_CACHE", str(kept))
        case "token":
            monkeypatch.setenv("HF_TOKEN_PATH", str(kept / "token"))
        case "stored_tokens":
            (kept / "token").unlink()
            monkeypatch.setenv("HF_TOKEN_PATH", str(kept / "token"))
        case "home" | "above home":
            monkeypatch.setenv("HOME", str(folder if what == "home" else kept))
        case _:
            folder = Path("/")
    for typed in (folder, place.work / "a-link"):
        if typed != folder:
            typed.symlink_to(folder)
        refused(mlxk("push", str(typed), REPO, "--private", "--json"), "ValidationError", "is, or holds")
    assert not push.server.traffic.all()


SECRETS = ["my token is hf_" + "aB3dE6gH9j" * 4, "-----BEGIN PRIVATE KEY-----", "AKIA" + "Q3EGR7ZKLM2WPX5T"]


@pytest.mark.parametrize("text", SECRETS)
def test_a_secret_is_not_shown_to_everyone(push: Pushing, text: str) -> None:
    (push.folder / "notes.txt").write_text(text)
    for mode in ((), ("--dry-run",), ("--create",)):
        outcome = push("--public", *mode)
        refused(outcome, "ValidationError", "'notes.txt'", "--public", ".hfignore")
        assert text.split()[-1] not in outcome.out + outcome.err
    assert not push.server.traffic.all()
    (push.folder / ".hfignore").write_text("notes.txt")
    refused(push("--public"), "repo_not_found")


def test_a_placeholder_may_be_shown(push: Pushing) -> None:
    (push.folder / "README.md").write_text("export HF_TOKEN=hf_" + "x" * 34)
    refused(push("--public"), "repo_not_found")


@pytest.mark.parametrize("inside", [True, False])
def test_links_to_folders(push: Pushing, place: Place, inside: bool) -> None:
    target = (push.folder if inside else place.work) / "data"
    target.mkdir()
    (target / "a.txt").write_text("x")
    (push.folder / "sub").mkdir()
    (push.folder / "sub" / "linked").symlink_to(target)
    refused(push("--private"), "ValidationError", "'sub/linked'", "folder", ".hfignore")
    for rule in ("linked", "linked/", "sub/"):
        (push.folder / ".hfignore").write_text(rule)
        refused(push("--private"), "repo_not_found")
