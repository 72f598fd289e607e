"""`mlxk clone` interrupted, failing half-way, and not alone."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from mlxk.adapters.hub.blob_download import BlobSource
from mlxk.adapters.staging import StagingArea
from mlxk.domain.hub import RetryPolicy
from mlxk.domain.staging import SENTINEL_NAME, staging_path
from tests.contract.cli.cloning.asking import ask, failed
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
)
from tests.contract.hub_server import Fault, HubServer, Trouble
from tests.contract.hub_server.repositories import Content
from tests.isolation import Place
from tests.waiting import bytes_at, until

GIVES_UP_SOON = RetryPolicy(attempts=2, first_wait=0.01)


@dataclass(frozen=True)
class Impatient(BlobSource):
    timeout: float | None = 0.5
    retries: RetryPolicy = GIVES_UP_SOON


def test_a_lost_connection_keeps_what_came(
    server: HubServer, place: Place, mlxk: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlxk.adapters.hub.blob_download.BlobSource", Impatient)
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
    ask(server.url, monkeypatch, place)
    with copying_fails(monkeypatch):
        error = failed(mlxk("clone", REPO, "--json"), "CloneFailedError", 1, "error")
    (staging,) = litter(place.workspaces)
    assert f"rm -r {place.workspaces / staging}" in str(error["hint"])
    ask("http://127.0.0.1:9", monkeypatch, place)
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
    until(lambda: any(bytes_at(path) >= count for path in place.workspaces.rglob("*.mlxk-partial")))


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


ASKED = f"/api/models/{REPO}/revision/main"


def start_and_hold(place: Place, server: HubServer) -> "subprocess.Popen[str]":
    """A clone that has looked at its target, and is asking the Hub for the model until `faults.release`."""
    server.faults.add(Fault(ASKED, Trouble.HOLD))
    child = start(place, server, REPO)
    until(lambda: any(request.path == ASKED for request in server.traffic.all()))
    return child


def test_one_that_is_overtaken_downloads_nothing_and_leaves_nothing(
    server: HubServer, files: Mapping[str, Content], place: Place, mlxk: Run
) -> None:
    on_hub(server, files)
    late = start_and_hold(place, server)
    assert mlxk("clone", REPO).code == 0
    downloads = len(server.traffic.downloads())
    server.faults.release()
    out, err = late.communicate(timeout=TIMEOUT)
    error = failed(Outcome(late.returncode, out, err), "InvalidTargetError", 3, "filesystem_error")
    assert "same command" not in str(error["hint"])
    assert len(server.traffic.downloads()) == downloads
    assert_clone(place.workspaces / "model", files)


def test_one_that_is_overtaken_goes_on_with_what_the_other_left(
    server: HubServer, place: Place, mlxk: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlxk.adapters.hub.blob_download.BlobSource", Impatient)
    files = contents(tmp_path / "big", padding=3_000_000)
    on_hub(server, files)
    late = start_and_hold(place, server)
    server.faults.add(Fault("vocabulary.bin", Trouble.CUT, 1_000_000), *NOTHING_MORE)
    failed(mlxk("clone", REPO, "--json"), "PullFailedError", 2, "pull_failed")
    server.faults.clear()
    server.faults.release()
    details = json.loads(late.communicate(timeout=TIMEOUT)[0])["data"]["details"]
    assert details["bytes_resumed"] >= 1_000_000
    assert_clone(place.workspaces / "model", files)


def test_a_target_that_is_taken_during_the_download_leaves_nothing_to_go_on_with(
    server: HubServer, place: Place, tmp_path: Path
) -> None:
    on_hub(server, contents(tmp_path / "big", padding=3_000_000))
    server.faults.add(Fault("vocabulary.bin", Trouble.HOLD, 1_000_000))
    child = start(place, server, REPO)
    _until_downloading(place, 1_000_000)
    (place.workspaces / "model").mkdir()
    (place.workspaces / "model" / "mine.txt").touch()
    server.faults.release()
    out, err = child.communicate(timeout=TIMEOUT)
    error = failed(Outcome(child.returncode, out, err), "InvalidTargetError", 3, "filesystem_error")
    assert error["hint"] == "give a target that does not exist"
    assert names(place.workspaces) == ["model"]
    assert names(place.workspaces / "model") == ["mine.txt"]


@pytest.mark.parametrize("model", ["demo", "mine"])
def test_killed_when_all_was_done_but_tidying_up(place: Place, mlxk: Run, model: str) -> None:
    mlxk("clone", "demo", "mine")
    mlxk("clone", model, "yours")
    name = "demo" if model == "demo" else str(place.workspaces / "mine")
    target = str(place.workspaces / "yours")
    staging = staging_path(name, target)
    StagingArea().create(staging, name, target)
    sentinel = Path(staging, SENTINEL_NAME)
    sentinel.write_text(json.dumps({**json.loads(sentinel.read_text()), "publishing": True}))
    data = mlxk("clone", model, "yours", "--json").data
    assert "was complete already" in data["message"]
    assert data["health"] == "healthy"
    assert litter(place.workspaces) == []


def test_killed_in_the_last_moment_of_all(place: Place, mlxk: Run) -> None:
    mlxk("clone", "demo", "mine")
    Path(staging_path("demo", str(place.workspaces / "mine"))).mkdir()
    failed(mlxk("clone", "demo", "mine", "--json"), "InvalidTargetError", 3, "filesystem_error")
    assert litter(place.workspaces) == []


def test_a_directory_of_that_name_that_is_not_ours(place: Place, mlxk: Run) -> None:
    staging = Path(staging_path("demo", str(place.workspaces / "mine")))
    staging.mkdir()
    (staging / "precious.txt").write_text("mine")
    failed(mlxk("clone", "demo", "mine", "--json"), "CloneFailedError", 1, "error")
    assert (staging / "precious.txt").read_text() == "mine"
    assert not (place.workspaces / "mine").exists()


# What a clone of another revision left


@pytest.fixture
def left(place: Place) -> Path:
    """The staging directory of a clone of `main` to `ws` that was killed while it downloaded."""
    target = str(place.workspaces / "ws")
    staging = Path(staging_path(REPO, target))
    StagingArea().create(str(staging), REPO, target)
    (staging / "hub").mkdir()
    (staging / "hub" / "part").write_text("bytes")
    return staging


def test_a_clone_names_what_one_of_another_revision_left(
    server: HubServer, files: Mapping[str, Content], place: Place, mlxk: Run, left: Path
) -> None:
    commit = on_hub(server, files).refs["main"]
    done = mlxk("clone", f"{REPO}@{commit}", "ws", "--json").data
    assert f"rm -r {left}" in done["message"]
    assert names(left) == [".mlxk-staging.json", "hub"]
    error = failed(
        mlxk("clone", f"{REPO}@{commit}", "ws", "--json"), "InvalidTargetError", 3, "filesystem_error"
    )
    assert f"rm -r {left}" in str(error["hint"])
    assert left.exists()


@pytest.mark.parametrize("occupied", [True, False])
def test_what_holds_nothing_worth_keeping_goes(
    server: HubServer, files: Mapping[str, Content], place: Place, mlxk: Run, left: Path, occupied: bool
) -> None:
    commit = on_hub(server, files).refs["main"]
    (left / "hub" / "part").unlink()
    (left / "workspace").mkdir()
    (left / "workspace" / "config.json").write_text("{}")
    if occupied:
        (place.workspaces / "ws").mkdir()
        (place.workspaces / "ws" / "mine").touch()
        mlxk("clone", f"{REPO}@{commit}", "ws", "--dry-run")
        assert left.exists()
    done = mlxk("clone", f"{REPO}@{commit}", "ws", "--json")
    assert done.code == (3 if occupied else 0)
    assert litter(place.workspaces) == []


def test_what_another_process_or_another_target_needs_stays(
    server: HubServer, files: Mapping[str, Content], place: Place, mlxk: Run, left: Path
) -> None:
    commit = on_hub(server, files).refs["main"]
    target = str(place.workspaces / "elsewhere")
    other = staging_path(REPO, target)
    StagingArea().create(other, REPO, target)
    (left / "hub" / "part").unlink()
    with StagingArea().claimed(str(left)):
        done = mlxk("clone", f"{REPO}@{commit}", "ws", "--json").data
    assert "rm -r" not in done["message"]
    assert left.exists()
    assert Path(other).exists()
