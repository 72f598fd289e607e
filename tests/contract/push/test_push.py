"""`mlxk push`: what arrives on the Hub is what the folder holds."""

from dataclasses import replace

import pytest

from tests.contract.hub_server import Content, Fault, Trouble
from tests.contract.push.conftest import REPO, TOKEN, USER, Pushing


def test_the_first_push_makes_the_repository(push: Pushing) -> None:
    before = push.local()
    data = push.create()
    assert push.contents() == push.local() == before
    assert push.repository.access.name == "PRIVATE"
    assert push.repository.log == ["Push model with mlxk"]
    assert data["commit_sha"] == push.repository.refs["main"]
    assert data["commit_url"] == f"{push.server.url}/{REPO}/commit/{data['commit_sha']}"
    assert data["repo_url"] == f"{push.server.url}/{REPO}"
    assert (data["repo_id"], data["branch"]) == (REPO, "main")
    assert data["created_repo"] is True
    assert data["no_changes"] is False
    assert data["uploaded_files_count"] == data["local_files_count"] == len(before)
    assert data["change_summary"] == {"added": len(before), "modified": 0, "deleted": 0}
    assert "dry_run" not in data
    assert "workspace_health" not in data


def test_a_second_push_changes_nothing(push: Pushing) -> None:
    first = push.create()["commit_sha"]
    push.server.traffic.clear()
    data = push("--private").data
    assert data["no_changes"] is True
    assert data["commit_sha"] is data["commit_url"] is None
    assert data["change_summary"] == {"added": 0, "modified": 0, "deleted": 0}
    assert push.repository.refs["main"] == first
    assert not [request for request in push.server.traffic.all() if request.method == "POST"]


def test_what_differs_is_uploaded_and_what_is_gone_is_deleted(push: Pushing) -> None:
    push.create()
    (push.folder / "new file [1].txt").write_text("new")
    config = push.folder / "generation_config.json"
    config.write_text(config.read_text() + "\n")
    (push.folder / "README.md").unlink(missing_ok=True)
    (push.folder / "old.txt").write_text("x")
    push("--private", "--delete").data  # noqa: B018 - it succeeds
    (push.folder / "old.txt").unlink()
    same_size = push.folder / "new file [1].txt"
    same_size.write_text("NEW")
    dry = push("--private", "--dry-run").data
    done = push("--private", "--delete", "--commit", "Change it").data
    assert push.contents() == push.local()
    assert done["change_summary"] == {"added": 0, "modified": 1, "deleted": 1}
    assert done["uploaded_files_count"] == 1
    assert push.repository.log[-1] == "Change it"
    assert dry["dry_run_summary"] == done["change_summary"]
    assert (dry["added_files"], dry["modified_files"], dry["deleted_files"]) == (
        [],
        ["new file [1].txt"],
        ["old.txt"],
    )


def test_a_dry_run_tells_and_does_nothing(push: Pushing) -> None:
    dry = push("--private", "--create", "--dry-run").data
    assert REPO not in push.server.repositories.models
    assert (dry["dry_run"], dry["would_create_repo"], dry["would_create_branch"]) == (True, True, False)
    assert dry["added_files"] == sorted(push.local())
    assert dry["commit_sha"] is dry["change_summary"] is None
    assert dry["no_changes"] is False
    assert not [request for request in push.server.traffic.all() if request.method != "GET"]
    done = push.create()
    assert done["change_summary"] == dry["dry_run_summary"]
    dry = push("--private", "--dry-run").data
    assert dry["no_changes"] is True
    assert (dry["added_files"], dry["modified_files"], dry["deleted_files"]) == ([], [], [])


def test_weights_of_equal_size_are_compared_by_their_digest(push: Pushing) -> None:
    push.create()
    weights = push.folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    push.server.traffic.clear()
    assert push("--private").data["change_summary"] == {"added": 0, "modified": 1, "deleted": 0}
    assert len(push.server.traffic.uploads()) == 1
    assert push.contents() == push.local()


def test_a_branch_is_made_from_main(push: Pushing) -> None:
    push.create()
    main = push.repository.refs["main"]
    (push.folder / "extra.txt").write_text("extra")
    dry = push("--private", "--create", "--branch", "feature/x", "--dry-run").data
    assert (dry["would_create_repo"], dry["would_create_branch"]) == (False, True)
    data = push("--private", "--create", "--branch", "feature/x").data
    assert data["change_summary"] == {"added": 1, "modified": 0, "deleted": 0} == dry["dry_run_summary"]
    assert push.contents("feature/x") == push.local()
    assert push.repository.refs["main"] == main
    assert data["created_repo"] is False


def test_a_new_branch_that_holds_it_all_gets_no_commit(push: Pushing) -> None:
    push.create()
    data = push("--private", "--create", "--branch", "same").data
    assert data["no_changes"] is True
    assert push.repository.refs["same"] == push.repository.refs["main"]


def test_a_new_repository_with_a_branch(push: Pushing) -> None:
    data = push("--public", "--create", "--branch", "dev").data
    assert data["created_repo"] is True
    assert push.contents("dev") == push.local()
    assert push.contents("main") == {}
    assert push.repository.access.name == "PUBLIC"


def test_a_branch_that_the_hub_does_not_know_yet_is_tried_again(push: Pushing) -> None:
    unknown = Fault("/preupload/main", Trouble.STATUS, 404, method="POST", code="RevisionNotFound")
    push.server.faults.add(unknown)
    assert push.create()["created_repo"] is True
    assert push.contents() == push.local()


def test_a_branch_that_stays_unknown_is_an_error(push: Pushing) -> None:
    unknown = Fault("/preupload/main", Trouble.STATUS, 404, method="POST", code="RevisionNotFound", times=2)
    push.server.faults.add(unknown)
    assert push("--private", "--create").error["type"] == "push_operation_failed"


@pytest.mark.parametrize("trouble", [Trouble.RESET, Trouble.STATUS])
def test_a_lost_connection_costs_only_what_had_not_arrived(push: Pushing, trouble: Trouble) -> None:
    push.create()
    head = push.repository.refs["main"]
    (push.folder / "adapters.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}" + b"a" * 0)
    (push.folder / "extra.bin").write_bytes(b"b" * 300_000)
    digests = _digests(push)
    push.server.faults.add(
        Fault(
            digests["extra.bin"], trouble, 503 if trouble is Trouble.STATUS else 1000, method="PUT", times=6
        )
    )
    failed = push("--private")
    assert (failed.code, failed.error["type"], failed.error["retryable"]) == (2, "upload_failed", True)
    assert "extra.bin" in failed.error["message"]
    assert "Signature" not in failed.out
    assert push.repository.refs["main"] == head
    push.server.traffic.clear()
    data = push("--private").data
    assert data["change_summary"]["added"] == 2
    assert push.server.traffic.uploads() == [digests["extra.bin"]]
    assert push.contents() == push.local()


def _digests(push: Pushing) -> dict[str, str]:
    import hashlib

    return {path: hashlib.sha256(data).hexdigest() for path, data in push.local().items()}


def test_a_connection_lost_once_is_only_logged_and_the_log_is_redacted(push: Pushing) -> None:
    weights = _digests(push)["model.safetensors"]
    push.server.faults.add(Fault(weights, Trouble.RESET, 1000, method="PUT"))
    outcome = push("--private", "--create")
    logs = outcome.data["hf_logs"]
    assert any(weights in line and "[REDACTED_TOKEN]" in line for line in logs), logs
    assert "SIGNED-AND-SECRET" not in outcome.out + outcome.err
    assert TOKEN not in outcome.out + outcome.err
    assert push.contents() == push.local()


def test_a_commit_of_someone_else_is_not_overwritten(push: Pushing) -> None:
    push.create()
    (push.folder / "mine.txt").write_text("mine")
    head = push.repository.refs["main"]
    push.server.faults.add(Fault("/commit/main", Trouble.STATUS, 412, method="POST"))
    error = push("--private").error
    assert error["type"] == "push_operation_failed"
    assert "changed meanwhile" in error["message"]
    assert push.repository.refs["main"] == head


def test_what_the_hub_leaves_out_is_told(push: Pushing) -> None:
    push.create()
    (push.folder / ".gitignore").write_text("*.txt\n")
    push("--private").data  # noqa: B018 - it succeeds
    (push.folder / "note.txt").write_text("note")
    error = push("--private").error
    assert error["type"] == "push_operation_failed"
    assert "note.txt" in error["message"]
    assert ".gitignore" in error["hint"]


def test_a_hub_that_fails_after_the_commit_does_not_make_it_a_failure(push: Pushing) -> None:
    push.create()
    (push.folder / "note.txt").write_text("note")
    content = {
        path: file.data for path, file in push.repository.commits[push.repository.refs["main"]].items()
    }
    after = _commit_after(push, {**content, "note.txt": b"note"})
    push.server.faults.add(Fault(f"/revision/{after}", Trouble.STATUS, 500, times=9))
    assert push("--private").data["commit_sha"] == after


def _commit_after(push: Pushing, files: dict[str, bytes]) -> str:
    """The commit that these files would become, without making it."""
    held = push.repository.commits[push.repository.refs["main"]]
    twin = replace(push.repository, commits=dict(push.repository.commits), refs=dict(push.repository.refs))
    return twin.commit({path: held.get(path) or Content(data) for path, data in files.items()})


def test_the_remote_gitattributes_stay(push: Pushing) -> None:
    push.create()
    push("--private").data  # noqa: B018 - it succeeds
    assert ".gitattributes" in push.repository.commits[push.repository.refs["main"]]


def test_an_own_gitattributes_goes_and_is_then_known(push: Pushing) -> None:
    (push.folder / ".gitattributes").write_text("*.safetensors filter=lfs\n")
    push.create()
    assert push("--private").data["no_changes"] is True


def test_an_organisation_one_may_write_to(push: Pushing) -> None:
    repository = push.server.repositories.add("org/shared", {"README.md": b"old"})
    repository.writers = frozenset({USER})
    data = push("--public", "--delete", repo="org/shared").data
    assert data["change_summary"]["modified"] + data["change_summary"]["deleted"] == 1
