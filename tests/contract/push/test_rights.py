"""Repositories one may see and not write, and organisations one is no member of."""

import pytest

from tests.contract.hub_server import Fault, Trouble
from tests.contract.push.conftest import REPO, Pushing


def test_someone_elses_repository(push: Pushing) -> None:
    head = push.server.repositories.add("eve/open", {"a": b"1"}).refs["main"]
    outcome = push("--public", "--delete", repo="eve/open")
    assert (outcome.code, outcome.error["type"]) == (2, "access_denied")
    assert "write" in outcome.error["hint"]
    assert push.server.repositories.models["eve/open"].refs["main"] == head


def test_a_repository_in_an_organisation_of_others(push: Pushing) -> None:
    outcome = push("--private", "--create", repo="strangers/model")
    assert (outcome.code, outcome.error["type"]) == (2, "access_denied")
    assert "strangers/model" not in push.server.repositories.models


def test_a_branch_in_someone_elses_repository(push: Pushing) -> None:
    push.server.repositories.add("eve/open", {"a": b"1"})
    outcome = push("--public", "--create", "--branch", "mine", repo="eve/open")
    assert outcome.error["type"] == "access_denied"


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("/preupload/main", 403, "access_denied"),
        ("/preupload/main", 500, "upload_failed"),
        ("/preupload/main", 400, "push_operation_failed"),
        ("/commit/main", 403, "access_denied"),
        ("/commit/main", 409, "push_operation_failed"),
        ("/commit/main", 413, "push_operation_failed"),
        ("/commit/main", 502, "upload_failed"),
        ("/lfs/objects/batch", 500, "upload_failed"),
        ("/lfs/objects/batch", 403, "access_denied"),
        ("/lfs/verify", 500, "upload_failed"),
        ("/api/validate-yaml", 500, "upload_failed"),
    ],
)
def test_a_hub_that_refuses_on_the_way(push: Pushing, path: str, status: int, kind: str) -> None:
    (push.folder / "README.md").write_text("---\nlicense: mit\n---\n")
    push.server.faults.add(Fault(path, Trouble.STATUS, status, method="POST", times=9))
    error = push("--private", "--create").error
    assert error["type"] == kind, error
    assert error.get("retryable", False) == (kind == "upload_failed")
    push.server.faults.clear()
    assert push("--private").data["uploaded_files_count"] == len(push.contents()) == len(push.local())


def test_a_commit_whose_answer_is_lost(push: Pushing) -> None:
    push.server.faults.add(Fault("/commit/main", Trouble.RESET, method="POST"))
    assert push("--private", "--create").error["type"] == "upload_failed"


def test_a_model_card_that_the_hub_refuses(push: Pushing) -> None:
    (push.folder / "README.md").write_text("---\nlicense: [mit\n---\n")
    error = push("--private", "--create").error
    assert error["type"] == "ValidationError"
    assert "README.md" in error["message"]
    assert push.server.repositories.models[REPO].log == []


def test_a_model_card_that_is_no_text(push: Pushing) -> None:
    (push.folder / "README.md").write_bytes(b"\xff\xfe\x00")
    error = push("--private", "--create").error
    assert (error["type"], "UTF-8" in error["message"]) == ("ValidationError", True)


def test_a_hub_without_xet(push: Pushing, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    pytest.importorskip("hf_xet")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    error = push("--private", "--create").error
    assert (error["type"], error["retryable"]) == ("upload_failed", True)
    assert "HF_HUB_DISABLE_XET=1" in error["hint"]
    assert push.server.repositories.models[REPO].log == []


def test_a_storage_that_refuses_the_signed_url(push: Pushing) -> None:
    import hashlib

    weights = hashlib.sha256(push.local()["model.safetensors"]).hexdigest()
    push.server.faults.add(Fault(weights, Trouble.STATUS, 403, method="PUT"))
    error = push("--private", "--create").error
    assert error["type"] == "upload_failed"
    assert "model.safetensors" in error["message"]
    assert "Signature" not in str(error)
