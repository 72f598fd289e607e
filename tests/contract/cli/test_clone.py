"""`mlxk clone`, against a Hub on this machine and a cache of the test's own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.contract.cli.conftest import TIMEOUT, Outcome, Run, environment
from tests.contract.cloning import (
    REPO,
    SHARD,
    assert_clone,
    contents,
    in_cache,
    litter,
    names,
    on_hub,
    tree_digest,
)
from tests.contract.hub_server import Fault, HubServer, Trouble, serving
from tests.contract.hub_server.repositories import Access, Content
from tests.contract.volumes import memory_disk
from tests.isolation import Place

OTHER = "b" * 40


@pytest.fixture(scope="module")
def running_hub() -> Iterator[HubServer]:
    with serving() as server:
        yield server


@pytest.fixture
def server(running_hub: HubServer, monkeypatch: pytest.MonkeyPatch, place: Place) -> Iterator[HubServer]:
    """An empty Hub, which this process's client asks. (It reads its environment when it is imported.)"""
    from huggingface_hub import constants

    running_hub.repositories.models.clear()
    running_hub.repositories.users.clear()
    running_hub.faults.clear()
    running_hub.traffic.clear()
    _ask(running_hub.url, monkeypatch, place)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    yield running_hub
    running_hub.faults.clear()


def _ask(url: str, monkeypatch: pytest.MonkeyPatch, place: Place) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(place.root / "no-token"))


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch, place: Place) -> None:
    """Nobody answers."""
    _ask("http://127.0.0.1:9", monkeypatch, place)


@pytest.fixture
def files(tmp_path: Path) -> Mapping[str, Content]:
    return contents(tmp_path / "scratch")


def failed(done: Outcome, kind: str, code: int, status: str) -> dict[str, object]:
    """The error of a clone that failed, with its data."""
    envelope = done.envelope()
    assert (done.code, envelope["error"]["type"]) == (code, kind), envelope
    assert envelope["data"]["clone_status"] == status
    assert envelope["data"]["message"] == envelope["error"]["message"]
    error: dict[str, object] = envelope["error"]
    return error


# What is cloned


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
    failed(mlxk("clone", REPO, "--json"), "PullFailedError", 2, "pull_failed")
    assert litter(place.workspaces) == []


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


def test_edit_list_and_pin(place: Place, mlxk: Run) -> None:
    """The tour of the README."""

    def source() -> str:
        (line,) = [line for line in mlxk("list").out.splitlines() if line.startswith("mine")]
        return line.split()[4]

    mlxk("clone", "demo", "mine")
    assert source() == "ws"
    config = place.workspaces / "mine" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "note": 1}))
    assert source() == "ws*"
    shown = mlxk("show", "mine", "--recalc-hash", "--json").data["model"]
    assert shown["clean"] is True
    assert source() == "ws"


def test_only_workspaces_have_a_hash_to_renew(place: Place, mlxk: Run, demo_copy: object) -> None:
    done = mlxk("show", "demo", "--recalc-hash", "--json")
    assert (done.code, done.error["type"]) == (1, "ValidationError")
    (place.workspaces / "flat").mkdir()
    (place.workspaces / "flat" / "config.json").write_text("{}")
    done = mlxk("show", "flat", "--recalc-hash", "--json")
    assert (done.code, done.error["type"]) == (1, "ValidationError")


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


# Where to


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("full", "not empty"),
        ("./file", "not a directory"),
        ("./file/below", "does not exist"),
        ("./link", "not a directory"),
        ("./no/where", "does not exist"),
        ("../hf/hub/models--org--model/mine", "inside the model cache"),
        ("../hf/hub", "inside the model cache"),
        ("./cache/mine", "inside the model cache"),
        ("/", "not empty"),
    ],
)
def test_targets_that_are_none(
    server: HubServer, files: Mapping[str, Content], place: Place, mlxk: Run, target: str, says: str
) -> None:
    in_cache(place.hub, files, on_hub(server, files).refs["main"])
    (place.workspaces / "full").mkdir()
    (place.workspaces / "full" / "mine.txt").write_text("mine")
    (place.work / "file").write_text("mine")
    (place.work / "link").symlink_to(place.work / "nowhere")
    (place.work / "cache").symlink_to(place.hub)
    before = tree_digest(place.root)
    done = mlxk("clone", REPO, target, "--json")
    error = failed(done, "InvalidTargetError", 3, "filesystem_error")
    assert says in str(error["message"])
    assert error["hint"]
    assert tree_digest(place.root) == before
    assert server.traffic.all() == [], "what is wrong with the target is said before the Hub is asked"


@pytest.mark.parametrize("target", ["", "a\0b", "x" * 300])
def test_targets_that_are_no_paths(place: Place, mlxk: Run, target: str) -> None:
    done = mlxk("clone", "demo", target, "--json")
    assert done.code in (1, 3)
    assert done.error["hint"]
    assert names(place.workspaces) == names(place.work) == []


def test_an_empty_directory_is_a_target(place: Place, mlxk: Run) -> None:
    (place.work / "empty").mkdir()
    assert mlxk("clone", "demo", "./empty").code == 0
    assert (place.work / "empty" / "config.json").is_file()


def test_a_disk_that_cannot_be_written(tmp_path: Path, place: Place, mlxk: Run) -> None:
    with memory_disk(tmp_path, size=1 << 20, options=",ro") as disk:
        done = mlxk("clone", "demo", f"{disk}/mine", "--json")
    failed(done, "InvalidTargetError", 3, "filesystem_error")


# What the Hub refuses


def test_what_the_hub_does_not_have_or_hides(
    server: HubServer, files: Mapping[str, Content], place: Place, mlxk: Run
) -> None:
    on_hub(server, files, "org/gated", Access.GATED)
    on_hub(server, files, "org/private", Access.PRIVATE)
    on_hub(server, files)
    for name, kind, code in [
        ("org/nothing", "access_denied", 2),
        ("org/private", "access_denied", 2),
        ("org/gated", "access_denied", 2),
        (f"{REPO}@nothing", "model_not_found", 1),
    ]:
        error = failed(mlxk("clone", name, "--json"), kind, code, "pull_failed")
        assert error["hint"]
    assert names(place.workspaces) == []
    assert server.traffic.downloads() == []


def test_a_misspelt_name_is_told_what_is_here(
    server: HubServer, files: Mapping[str, Content], place: Place, mlxk: Run
) -> None:
    in_cache(place.hub, files, OTHER, "mlx-community/tiny-chat")
    error = failed(mlxk("clone", "tiny-chta", "--json"), "access_denied", 2, "pull_failed")
    assert error["matches"] == ["mlx-community/tiny-chat"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["org/a/b"], "not a valid model id"),
        (["org/--x"], "not a valid model id"),
        (["org/x@a", "--revision", "b"], "Two revisions"),
        (["./x", "--revision", "b"], "no revisions"),
        (["org/x@../../up"], "cannot be used"),
        (["demo@main"], "no revisions"),
    ],
)
def test_models_that_are_none(server: HubServer, mlxk: Run, arguments: list[str], says: str) -> None:
    done = mlxk("clone", *arguments, "--json")
    envelope = done.envelope()
    assert done.code == 1
    assert says in envelope["error"]["message"]


def test_content_that_is_not_what_was_listed(
    server: HubServer, files: Mapping[str, Content], place: Place, mlxk: Run
) -> None:
    on_hub(server, files)
    server.faults.add(Fault(SHARD, Trouble.WRONG_BYTES, times=10))
    failed(mlxk("clone", REPO, "--json"), "PullFailedError", 2, "pull_failed")
    assert names(place.workspaces) == []


def test_a_lost_connection_keeps_what_came(
    server: HubServer, place: Place, mlxk: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlxk.adapters.hub import fetcher
    from mlxk.domain.hub import RetryPolicy

    impatient = fetcher.BlobSource(timeout=0.5, retries=RetryPolicy(attempts=2, first_wait=0.01))
    monkeypatch.setattr(fetcher, "BlobSource", lambda: impatient)
    files = contents(tmp_path / "big", padding=3_000_000)
    on_hub(server, files)
    server.faults.add(Fault("vocabulary.bin", Trouble.CUT, 1_000_000), *NOTHING_MORE)
    error = failed(mlxk("clone", REPO, "--json"), "PullFailedError", 2, "pull_failed")
    assert error["retryable"] is True
    (staging,) = litter(place.workspaces)
    assert f"rm -r {place.workspaces / staging}" in str(error["hint"])
    server.faults.clear()
    assert mlxk("clone", REPO, "--json").data["details"]["bytes_resumed"] >= 1_000_000
    assert_clone(place.workspaces / "model", files)


NOTHING_MORE = [Fault("vocabulary.bin", Trouble.CUT, 0, times=20)]


@contextmanager
def copying_fails(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The download is done, and then the disk fails."""
    from mlxk.adapters.tree_copy import VolumeTreeCopier

    def fail(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(VolumeTreeCopier, "copy", fail)
        yield


@pytest.mark.parametrize(("flags", "again"), [([], True), (["--force-resume"], False)])
def test_an_unhealthy_download_is_begun_again_unless_forced(
    server: HubServer,
    files: Mapping[str, Content],
    mlxk: Run,
    monkeypatch: pytest.MonkeyPatch,
    flags: list[str],
    again: bool,
) -> None:
    on_hub(server, {name: content for name, content in files.items() if name != SHARD})
    with copying_fails(monkeypatch):
        mlxk("clone", REPO)
    begun = len(server.traffic.downloads())
    assert mlxk("clone", REPO, *flags).code == 0
    assert (len(server.traffic.downloads()) > begun) is again


def test_a_forced_resume_believes_nothing_unhashed(
    server: HubServer, files: Mapping[str, Content], place: Place, mlxk: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = {**files, "config.json": Content(b"{")}
    on_hub(server, damaged)
    with copying_fails(monkeypatch):
        mlxk("clone", REPO)
    (blob,) = place.workspaces.rglob(f"blobs/{files[SHARD].sha256}")
    blob.write_bytes(bytes(len(files[SHARD].data)))
    server.traffic.clear()
    assert mlxk("clone", REPO, "--force-resume").code == 0
    assert_clone(place.workspaces / "model", damaged)
    assert len(server.traffic.downloads()) == len(server.traffic.downloads(SHARD)) > 0


def test_a_workspace_with_a_link_that_leads_out(place: Place, mlxk: Run) -> None:
    mlxk("clone", "demo", "mine")
    (place.workspaces / "mine" / "secret").symlink_to("/etc/passwd")
    error = failed(mlxk("clone", "mine", "yours", "--json"), "CloneFailedError", 1, "error")
    assert "secret" in str(error["message"])
    assert names(place.workspaces) == ["mine"]


@pytest.mark.usefixtures("no_hub")
def test_a_complete_download_needs_no_network_again(
    server: HubServer,
    files: Mapping[str, Content],
    place: Place,
    mlxk: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on_hub(server, files)
    _ask(server.url, monkeypatch, place)
    with copying_fails(monkeypatch):
        error = failed(mlxk("clone", REPO, "--json"), "CloneFailedError", 1, "error")
    (staging,) = litter(place.workspaces)
    assert f"rm -r {place.workspaces / staging}" in str(error["hint"])
    _ask("http://127.0.0.1:9", monkeypatch, place)
    data = mlxk("clone", REPO, "--json").data
    assert "could not be reached" in data["message"]
    assert_clone(place.workspaces / "model", files)


# Interrupted, and not alone


def start(place: Place, server: HubServer, *arguments: str) -> "subprocess.Popen[str]":
    hub: dict[str, str | None] = {"HF_ENDPOINT": server.url, "HF_HUB_DISABLE_XET": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "mlxk", "clone", *arguments, "--json"],
        env=environment(place, hub), cwd=place.work,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def _until_downloading(place: Place, count: int) -> None:
    end = time.monotonic() + TIMEOUT
    while not any(path.stat().st_size >= count for path in place.workspaces.rglob("*.mlxk-partial")):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_ctrl_c_keeps_the_download_and_says_how_to_go_on(
    server: HubServer, place: Place, tmp_path: Path
) -> None:
    files = contents(tmp_path / "big", padding=3_000_000)
    on_hub(server, files)
    server.faults.add(Fault("vocabulary.bin", Trouble.HANG, 1_000_000))
    child = start(place, server, REPO)
    _until_downloading(place, 1_000_000)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=TIMEOUT)
    done = Outcome(child.returncode, out, err)
    error = failed(done, "UserCancelledError", 130, "cancelled")
    (staging,) = litter(place.workspaces)
    assert f"rm -r {place.workspaces / staging}" in str(error["hint"])
    assert "Traceback" not in err
    out, err = start(place, server, REPO).communicate(timeout=TIMEOUT)
    assert json.loads(out)["data"]["details"]["bytes_resumed"] >= 1_000_000
    assert_clone(place.workspaces / "model", files)


def test_of_two_at_once_one_wins_and_the_other_says_so(
    server: HubServer, place: Place, tmp_path: Path
) -> None:
    files = contents(tmp_path / "big", padding=3_000_000)
    on_hub(server, files)
    server.faults.add(Fault("vocabulary.bin", Trouble.HOLD, 1_000_000))
    first = start(place, server, REPO)
    _until_downloading(place, 1_000_000)
    out, err = start(place, server, REPO).communicate(timeout=TIMEOUT)
    error = failed(Outcome(1, out, err), "CloneFailedError", 1, "error")
    assert "another process" in str(error["message"])
    server.faults.release()
    assert json.loads(first.communicate(timeout=TIMEOUT)[0])["status"] == "success"
    assert_clone(place.workspaces / "model", files)


def test_of_many_that_begin_together_one_wins(
    server: HubServer, files: Mapping[str, Content], place: Place
) -> None:
    in_cache(place.hub, files, on_hub(server, files).refs["main"])
    children = [start(place, server, REPO) for _ in range(4)]
    envelopes = [json.loads(child.communicate(timeout=TIMEOUT)[0]) for child in children]
    statuses = [envelope["status"] for envelope in envelopes]
    assert statuses.count("success") == 1
    for envelope in envelopes:
        if envelope["error"]:
            assert envelope["error"]["type"] in ("CloneFailedError", "InvalidTargetError")
    assert_clone(place.workspaces / "model", files)


# Verifying


def test_verify_holds_a_workspace_against_its_manifest(
    server: HubServer, files: Mapping[str, Content], place: Place, mlxk: Run
) -> None:
    on_hub(server, files)
    mlxk("clone", REPO)
    target = place.workspaces / "model"

    def verification() -> dict[str, object]:
        data = mlxk("health", "model", "--verify", "--json").data
        found: dict[str, object] = data["details"][0]["verification"]
        return found

    first = verification()
    assert first == {
        "files_checked": len(files),
        "files_remembered": 0,
        "files_without_digest": 0,
        "bytes_checked": sum(len(content.data) for content in files.values()),
    }
    assert verification()["files_remembered"] == len(files)
    (target / "config.json").write_text((target / "config.json").read_text() + "\n")
    assert verification()["unverified"] == ["config.json"]


def test_verify_finds_a_flipped_bit_in_a_workspace(
    server: HubServer, files: Mapping[str, Content], place: Place, mlxk: Run
) -> None:
    on_hub(server, files)
    mlxk("clone", REPO)
    shard = place.workspaces / "model" / SHARD
    times = shard.stat()
    damaged = bytearray(shard.read_bytes())
    damaged[-1] ^= 1
    shard.write_bytes(damaged)
    os.utime(shard, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert mlxk("health", "model", "--check").code == 0
    done = mlxk("health", "model", "--verify", "--check", "--json")
    assert done.code == 1
    assert SHARD in done.data["unhealthy"][0]["reason"]


def test_retrained_weights_can_be_pinned(
    server: HubServer, files: Mapping[str, Content], place: Place, mlxk: Run
) -> None:
    """Other tensors under the same header: the content hash does not see them, verifying does."""
    on_hub(server, files)
    mlxk("clone", REPO)
    shard = place.workspaces / "model" / SHARD
    trained = bytearray(shard.read_bytes())
    trained[-1] ^= 1
    shard.write_bytes(trained)
    assert mlxk("list", "model", "--json").data["models"][0]["clean"] is True
    assert mlxk("health", "model", "--verify", "--check").code == 1
    assert mlxk("show", "model", "--recalc-hash").code == 0
    data = mlxk("health", "model", "--verify", "--json").data
    assert data["unhealthy"] == []
    assert data["details"][0]["verification"]["unverified"] == [SHARD]


def test_what_cannot_be_verified_is_said(place: Place, mlxk: Run) -> None:
    mlxk("clone", "demo", "mine")
    line = mlxk("health", "mine", "--verify").out.splitlines()[0]
    assert "not verifiable: model.safetensors" in line
