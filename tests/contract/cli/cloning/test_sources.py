"""`mlxk clone`: which model and which commit are cloned, against a Hub on this machine and a cache."""

import json
from collections.abc import Mapping

import pytest

from tests.contract.cli.cloning.asking import OTHER, failed
from tests.contract.cli.conftest import Run
from tests.contract.cloning import (
    REPO,
    SHARD,
    assert_clone,
    in_cache,
    litter,
    names,
    on_hub,
    tree_digest,
)
from tests.contract.hub_server import Fault, HubServer, Trouble
from tests.contract.hub_server.repositories import Content
from tests.isolation import Place


def test_from_the_hub_without_touching_the_cache(
    server: HubServer, files: Mapping[str, Content], place: Place, mlxk: Run
) -> None:
    commit = on_hub(server, files).refs["main"]
    before = tree_digest(place.hub)
    data = mlxk("clone", REPO, "--json").data
    assert_clone(place.workspaces / "model", files)
    assert tree_digest(place.hub) == before
    details = data.pop("details")
    assert data == {
        "model": REPO,
        "clone_status": "success",
        "message": f"Cloned {REPO} at {commit[:12]} to {place.workspaces / 'model'}.",
        "target_dir": str(place.workspaces / "model"),
        "health_check": True,
        "health": "healthy",
        "health_reason": "Multi-file model complete",
    }
    assert (details["commit"], details["copy_method"]) in [(commit, "copy"), (commit, "reflink")]
    assert details["bytes_downloaded"] == sum(len(content.data) for content in files.values())


def test_from_the_cache_without_a_download(
    server: HubServer, files: Mapping[str, Content], place: Place, mlxk: Run
) -> None:
    in_cache(place.hub, files, on_hub(server, files).refs["main"])
    before = tree_digest(place.hub)
    done = mlxk("clone", "MODEL", "./here")  # as elsewhere, a part of the name is enough
    assert done.code == 0, done.err
    assert_clone(place.work / "here", files)
    assert tree_digest(place.hub) == before
    assert server.traffic.downloads() == []
    assert "Cloned org/model" in done.out
    assert "Health      healthy" in done.out


def test_the_manifest_knows_the_origin_and_the_digests(
    server: HubServer, files: Mapping[str, Content], place: Place, mlxk: Run
) -> None:
    commit = on_hub(server, files).refs["main"]
    mlxk("clone", REPO)
    manifest = json.loads((place.workspaces / "model" / ".mlxk_workspace.json").read_text())
    assert (manifest["source_repo"], manifest["source_revision"]) == (REPO, commit)
    assert manifest["operation"] == "clone"
    assert manifest["tensor_digests"] == {
        name: content.sha256 for name, content in files.items() if name.endswith(".safetensors")
    }


def test_the_hub_says_which_commit_is_current(
    server: HubServer, files: Mapping[str, Content], place: Place, mlxk: Run
) -> None:
    repository = on_hub(server, files)
    in_cache(place.hub, files, repository.refs["main"])
    newer = {**files, "NEWS.md": Content(b"news")}
    repository.commit(newer)
    mlxk("clone", REPO)
    assert_clone(place.workspaces / "model", newer)


def test_an_explicit_revision(
    server: HubServer, files: Mapping[str, Content], place: Place, mlxk: Run
) -> None:
    repository = on_hub(server, files)
    first = repository.refs["main"]
    branch = {**files, "BRANCH.md": Content(b"branch")}
    repository.commit(branch, "dev")
    repository.commit({**files, "NEWS.md": Content(b"news")})
    assert mlxk("clone", f"{REPO}@dev", "dev").code == 0
    assert mlxk("clone", REPO, "dev2", "--branch", "dev").code == 0
    assert mlxk("clone", REPO, "first", "--revision", first).code == 0
    assert_clone(place.workspaces / "dev", branch)
    assert_clone(place.workspaces / "dev2", branch)
    assert_clone(place.workspaces / "first", files)


def test_a_bare_name_is_looked_for_in_mlx_community(
    server: HubServer, files: Mapping[str, Content], place: Place, mlxk: Run
) -> None:
    on_hub(server, files, "mlx-community/tiny")
    assert mlxk("clone", "tiny", "--json").data["model"] == "mlx-community/tiny"
    assert_clone(place.workspaces / "tiny", files)


def test_a_full_id_never_means_another_model(
    server: HubServer, files: Mapping[str, Content], place: Place, mlxk: Run
) -> None:
    in_cache(place.hub, files, OTHER, "org/model-4bit")
    on_hub(server, files)
    assert mlxk("clone", REPO, "--json").data["model"] == REPO


@pytest.mark.usefixtures("no_hub")
def test_offline_the_caches_main_is_cloned_and_the_message_says_so(
    files: Mapping[str, Content], place: Place, mlxk: Run
) -> None:
    in_cache(place.hub, files, OTHER)
    data = mlxk("clone", REPO, "--json").data
    assert "the Hub could not be reached" in data["message"]
    assert data["details"]["commit"] == OTHER
    assert_clone(place.workspaces / "model", files)


@pytest.mark.usefixtures("no_hub")
@pytest.mark.parametrize("revision", [OTHER, OTHER[:7], "main"])
def test_offline_a_revision_of_the_cache(
    files: Mapping[str, Content], place: Place, mlxk: Run, revision: str
) -> None:
    in_cache(place.hub, files, OTHER)
    data = mlxk("clone", f"{REPO}@{revision}", "--json").data
    assert data["details"]["commit"] == OTHER
    assert ("could not be reached" in data["message"]) == (revision == "main")


@pytest.mark.usefixtures("no_hub")
def test_offline_half_a_model_is_none(files: Mapping[str, Content], place: Place, mlxk: Run) -> None:
    (in_cache(place.hub, files, OTHER).snapshot / SHARD).unlink()
    error = failed(mlxk("clone", REPO, "--json"), "PullFailedError", 2, "pull_failed")
    assert "org/model is in the cache, but incomplete or damaged." in str(error["message"])
    assert litter(place.workspaces) == []


@pytest.mark.usefixtures("no_hub")
def test_offline_another_revision_is_none(files: Mapping[str, Content], place: Place, mlxk: Run) -> None:
    in_cache(place.hub, files, OTHER)
    error = failed(mlxk("clone", f"{REPO}@v1.0", "--json"), "PullFailedError", 2, "pull_failed")
    assert "org/model is in the cache, but not at this revision." in str(error["message"])


def test_offline_by_choice_a_truncated_file_is_told_from_no_model(
    files: Mapping[str, Content], place: Place, mlxk: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    blob = in_cache(place.hub, files, OTHER).blob(SHARD)
    blob.write_bytes(files[SHARD].data[:-1])
    error = failed(mlxk("clone", REPO, "--json"), "PullFailedError", 2, "pull_failed")
    assert "HF_HUB_OFFLINE is set" in str(error["message"])
    assert "org/model is in the cache, but incomplete or damaged." in str(error["message"])
    assert error["hint"] == "unset HF_HUB_OFFLINE to allow the network"


def test_why_the_hub_gives_no_answer_is_said(server: HubServer, mlxk: Run) -> None:
    server.faults.add(Fault(f"/api/models/{REPO}/revision/main", Trouble.NOT_JSON, times=9))
    error = failed(mlxk("clone", REPO, "--json"), "PullFailedError", 2, "pull_failed")
    assert error["message"] == (
        "The answer about 'org/model' is none that a Hub gives. org/model is not in the cache."
    )
    assert "login page" in str(error["hint"])


def test_half_a_model_in_the_cache_is_downloaded_whole(
    server: HubServer, files: Mapping[str, Content], place: Place, mlxk: Run
) -> None:
    cached = in_cache(place.hub, files, on_hub(server, files).refs["main"])
    cached.blob(SHARD).unlink()
    before = tree_digest(place.hub)
    assert mlxk("clone", REPO).code == 0
    assert_clone(place.workspaces / "model", files)
    assert tree_digest(place.hub) == before


def test_a_damaged_model_is_cloned_to_be_repaired(
    server: HubServer, files: Mapping[str, Content], place: Place, mlxk: Run
) -> None:
    on_hub(server, {name: content for name, content in files.items() if name != SHARD})
    data = mlxk("clone", REPO, "--json").data
    assert (data["clone_status"], data["health"]) == ("success", "unhealthy")
    assert SHARD in data["health_reason"]


def test_without_a_health_check_nothing_is_said_of_it(place: Place, mlxk: Run) -> None:
    data = mlxk("clone", "demo", "--no-health-check", "--json").data
    assert data["health_check"] is False
    assert "health" not in data
    assert "health_reason" not in data


def test_the_bundled_model_and_a_workspace(place: Place, mlxk: Run) -> None:
    assert "commit" not in mlxk("clone", "demo", "mine", "--json").data["details"]
    (place.workspaces / "mine" / "notes.txt").write_text("mine")
    data = mlxk("clone", "mine", "yours", "--json").data
    assert data["model"] == str(place.workspaces / "mine")
    assert (place.workspaces / "yours" / "notes.txt").read_text() == "mine"
    models = {model["name"]: model for model in mlxk("list", "--json").data["models"]}
    assert models[str(place.workspaces / "mine")]["clean"] is False
    assert models[str(place.workspaces / "yours")]["clean"] is True
    assert models[str(place.workspaces / "yours")]["origin"] == "demo"
    assert mlxk("clone", "./nowhere").code == 1
    assert litter(place.workspaces) == []


# A dry run


def test_a_dry_run_prints_the_plan_and_does_nothing(
    server: HubServer, files: Mapping[str, Content], place: Place, mlxk: Run
) -> None:
    on_hub(server, files)
    done = mlxk("clone", REPO, "--dry-run")
    assert "2. download org/model at" in done.out
    assert done.out.splitlines()[-1].endswith("nothing was done.")
    data = mlxk("clone", REPO, "--dry-run", "--json").data
    assert data["clone_status"] == "preparing"
    assert data["details"]["plan"] == done.out.splitlines()[:-1]
    assert names(place.workspaces) == []
    assert server.traffic.downloads() == []
