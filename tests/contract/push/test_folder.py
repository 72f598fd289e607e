"""Which files of a folder go, and what is said of them first."""

import json

import pytest

from tests.contract.cli.conftest import Run
from tests.contract.push.conftest import REPO, TOKEN, Pushing


def test_what_is_ignored_by_itself(push: Pushing) -> None:
    expected = push.local()
    for path in (
        ".git/config", ".cache/huggingface/download/x.lock", ".hf_cache/x", "__pycache__/x.pyc", ".DS_Store",
        ".mlxk_workspace.json", "train.log", "x.tmp", ".mlxk-staging-0123456789abcdef/x", ".hfignore",
        "sub/.git/config", "shard.incomplete", "module/.git",
    ):  # fmt: skip
        file = push.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}" if path.endswith(".json") else "# x")
    assert push.create()["local_files_count"] == len(expected)
    assert push.contents() == expected


def test_hfignore_has_the_syntax_of_gitignore(push: Pushing) -> None:
    for path in ("a.txt", "keep.txt", "notes/deep/b.md", "train.log", "sub/root-only", "root-only"):
        file = push.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    rules = "# comment\n*.txt\n!keep.txt\nnotes/\n!train.log\n/root-only\n!.mlxk_workspace.json\n"
    (push.folder / ".hfignore").write_text(rules)
    (push.folder / ".mlxk_workspace.json").write_text("{}")
    push.create()
    added = set(push.contents())
    assert {"keep.txt", "train.log", "sub/root-only"} <= added
    assert not added & {"a.txt", "notes/deep/b.md", "root-only", ".hfignore", ".mlxk_workspace.json"}


def test_what_is_ignored_here_is_not_deleted_there(push: Pushing) -> None:
    (push.folder / "a.txt").write_text("x")
    push.create()
    (push.folder / "a.txt").unlink()
    (push.folder / ".hfignore").write_text("a.txt\n")
    assert push("--private").data["no_changes"] is True
    assert push.contents()["a.txt"] == b"x"


def test_a_link_inside_goes_as_the_file_it_leads_to(push: Pushing) -> None:
    (push.folder / "copy.json").symlink_to("config.json")
    push.create()
    assert push.contents()["copy.json"] == (push.folder / "config.json").read_bytes()


def test_what_looks_like_a_secret_is_told_and_pushed(push: Pushing) -> None:
    (push.folder / ".env").write_text("A=1")
    (push.folder / "notes.txt").write_text(f"my token is {TOKEN}")
    (push.folder / "k").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    outcome = push("--private", "--create")
    warnings = outcome.data["warnings"]
    assert [warning.split("'")[1] for warning in warnings] == [".env", "k", "notes.txt"]
    assert "a Hub token" in warnings[2]
    assert "a private key" in warnings[1]
    assert all(warning in outcome.err for warning in warnings)
    assert TOKEN not in outcome.out + outcome.err
    (push.folder / ".hfignore").write_text(".env\nk\nnotes.txt\n")
    assert "warnings" not in push("--private").data


def test_the_models_own_files_raise_no_suspicion(push: Pushing) -> None:
    assert "warnings" not in push("--check-only").data


def test_an_adapter_alone_may_be_pushed(push: Pushing) -> None:
    for file in push.folder.iterdir():
        file.unlink()
    (push.folder / "adapters.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")
    (push.folder / "adapter_config.json").write_text("{}")
    data = push("--private", "--create").data
    assert data["uploaded_files_count"] == 2
    assert any("config.json" in warning for warning in data["warnings"])


def test_check_only_needs_neither_network_nor_token(push: Pushing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    outcome = push("--check-only")
    health = outcome.data["workspace_health"]
    assert not push.server.traffic.all()
    assert outcome.code == 0
    assert outcome.data["no_changes"] is outcome.data["change_summary"] is outcome.data["commit_sha"] is None
    files = push.local()
    assert health["files_count"] == len(files)
    assert health["total_bytes"] == sum(map(len, files.values()))
    assert health["config"] == {"exists": True, "valid_json": True, "path": "config.json"}
    assert health["weights"] == {
        "count": 1,
        "formats": ["safetensors"],
        "index": {"has_index": False, "missing": []},
        "pattern_complete": True,
    }
    assert (health["anomalies"], health["healthy"]) == ([], True)


def test_check_only_says_what_is_wrong(push: Pushing) -> None:
    (push.folder / "model.safetensors").write_bytes(b"")
    (push.folder / "config.json").write_text("{")
    outcome = push("--check-only")
    health = outcome.data["workspace_health"]
    assert outcome.code == 1
    assert health["healthy"] is False
    assert health["config"]["valid_json"] is False
    assert {"config_invalid", "shard_empty"} <= {finding["code"] for finding in health["anomalies"]}


def test_check_only_names_missing_shards(push: Pushing) -> None:
    weights = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (push.folder / "model.safetensors").rename(push.folder / weights["a"])
    (push.folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weights}))
    found = push("--check-only").data["workspace_health"]["weights"]
    assert found["index"] == {"has_index": True, "missing": ["model-00002-of-00002.safetensors"]}
    assert found["pattern_complete"] is False


def test_for_people(push: Pushing, mlxk: Run) -> None:
    (push.folder / ".env").write_text("A=1")
    checked = mlxk("push", "./model", REPO, "--check-only")
    assert checked.out.endswith(": ready to push\n")
    assert ".env" in checked.err
    dry = mlxk("push", "./model", REPO, "--private", "--create", "--dry-run")
    assert "+ model.safetensors\n" in dry.out
    assert "Would create the repository and push to" in dry.out
    done = mlxk("push", "./model", REPO, "--private", "--create")
    assert done.out.startswith(f"Pushed to {REPO}, branch main: ")
    assert [line.partition(" ")[0] for line in done.err.splitlines()] == ["'.env'", "Created"]
    assert "/commit/" in done.out
    assert "Created the private repository" in done.err
    again = mlxk("push", "./model", REPO, "--private", "-q")
    assert again.out == f"Nothing to push: {REPO}, branch main, holds these files already.\n"
    assert again.err == ""
