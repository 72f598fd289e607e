"""`mlxk pull` against a Hub on loopback, through the real client."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contract.cli.conftest import TIMEOUT, Run, environment
from tests.contract.cli.hub_commands.conftest import contents_of, left_behind
from tests.contract.cli.terminal import Terminal
from tests.contract.damaged_models import CachedModel, healthy_model, healthy_sharded_model
from tests.contract.hub_server import Access, Fault, HubServer, Repository, Trouble
from tests.isolation import Place

NAME = "org/model"
FOLDER = "models--org--model"
BIG = os.urandom(3_000_000)
BIG_NAME = "model.safetensors"
BIG_DIGEST = hashlib.sha256(BIG).hexdigest()


@pytest.fixture
def on_hub(server: HubServer, tmp_path: Path) -> Repository:
    """A whole model that is only on the Hub."""
    return server.repositories.add(NAME, contents_of(healthy_sharded_model(tmp_path / "elsewhere", NAME)))


@pytest.fixture
def big(server: HubServer) -> Repository:
    """A model with a file that takes a moment."""
    return server.repositories.add(NAME, {"config.json": b"{}", BIG_NAME: BIG})


def snapshot(place: Place, repository: Repository) -> Path:
    return place.hub / FOLDER / "snapshots" / repository.refs["main"]


def half(place: Place, repository: Repository, count: int = 1_000_000) -> Path:
    """What an earlier download has left of the big file."""
    partial = place.hub / FOLDER / "blobs" / f"{BIG_DIGEST}.mlxk-partial"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(BIG[:count])
    return partial


# Done


def test_pull_brings_a_whole_model(on_hub: Repository, place: Place, mlxk: Run) -> None:
    done = mlxk("pull", NAME, "--json")
    assert done.code == 0
    files = on_hub.commits[on_hub.refs["main"]]
    assert done.data == {
        "model": NAME,
        "download_status": "success",
        "message": done.data["message"],
        "expanded_name": None,
        "commit_hash": on_hub.refs["main"],
        "bytes_downloaded": sum(len(file.data) for file in files.values()),
    }
    assert mlxk("health", NAME, "--verify", "--check").code == 0
    assert {path.name for path in snapshot(place, on_hub).iterdir()} == set(files)
    assert left_behind(place.hub) == []


def test_a_second_pull_downloads_nothing(on_hub: Repository, server: HubServer, mlxk: Run) -> None:
    mlxk("pull", NAME)
    server.traffic.clear()
    again = mlxk("pull", NAME, "--json")
    assert (again.code, again.data["download_status"]) == (0, "already_exists")
    assert again.data["bytes_downloaded"] == 0
    assert server.traffic.downloads() == []


def test_people_read_one_line_and_the_commit(on_hub: Repository, mlxk: Run) -> None:
    done = mlxk("pull", NAME)
    first, second = done.out.splitlines()
    assert first.startswith(f"Downloaded '{NAME}' (")
    assert second == f"{NAME}@{on_hub.refs['main']}"
    assert done.err == ""


def test_a_newer_commit_is_fetched_without_a_question_and_shares_what_it_can(
    on_hub: Repository, server: HubServer, place: Place, mlxk: Run
) -> None:
    mlxk("pull", NAME)
    old = snapshot(place, on_hub)
    files = dict(on_hub.commits[on_hub.refs["main"]])
    files["README.md"] = type(files["README.md"])(b"# Newer")
    on_hub.commit(files)
    server.traffic.clear()
    done = mlxk("pull", NAME, "--json")
    assert (done.code, done.data["download_status"]) == (0, "success")
    assert done.data["bytes_downloaded"] == len(b"# Newer")
    assert old.is_dir()
    assert (place.hub / FOLDER / "refs/main").read_text() == on_hub.refs["main"]


@pytest.mark.parametrize(
    "arguments",
    [[f"{NAME}@other"], [NAME, "--revision", "other"], [f"{NAME}@other", "--revision", "other"]],
)
def test_revisions(on_hub: Repository, place: Place, mlxk: Run, arguments: list[str]) -> None:
    main = on_hub.refs["main"]
    other = on_hub.commit(dict(list(on_hub.commits[main].items())[:3]), branch="other")
    done = mlxk("pull", *arguments, "--json")
    assert done.data["commit_hash"] == other
    assert (place.hub / FOLDER / "refs/other").read_text() == other
    assert not (place.hub / FOLDER / "refs/main").exists()
    assert mlxk("pull", f"{NAME}@{main}", "--json").data["commit_hash"] == main


def test_a_bare_name_is_one_of_mlx_community(
    server: HubServer, place: Place, tmp_path: Path, mlxk: Run
) -> None:
    server.repositories.add("mlx-community/model", contents_of(healthy_model(tmp_path, "x/y")))
    done = mlxk("pull", "model", "--json")
    assert done.data["model"] == done.data["expanded_name"] == "mlx-community/model"
    assert (place.hub / "models--mlx-community--model").is_dir()


# Not begun


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("org/" + "x" * 101, "105/96 characters"),
        ("x" * 90, "104/96 characters"),
        ("./model", "is a path"),
        ("org/mo--del", "'--'"),
        ("a/b/c", "at most one '/'"),
        ("org/model@one --revision two", "Two revisions"),
        ("org/model@..", "leads out"),
        ("", "empty"),
    ],
)
def test_names_that_are_none(server: HubServer, place: Place, mlxk: Run, name: str, words: str) -> None:
    done = mlxk("pull", *(name.split(" ") if name else [""]), "--json")
    assert done.code == 1
    assert done.error["type"] == "ValidationError"
    assert words in done.error["message"]
    assert server.traffic.all() == []
    assert list(place.hub.iterdir()) == []


def test_what_the_hub_does_not_have(server: HubServer, place: Place, mlxk: Run) -> None:
    done = mlxk("pull", "org/nothing", "--json")
    assert (done.code, done.error["type"]) == (2, "access_denied")  # without a token the Hub says no more
    data = done.envelope()["data"]
    assert (data["model"], data["download_status"]) == ("org/nothing", "failed")
    assert data["message"] == done.error["message"]
    assert list(place.hub.iterdir()) == []


def test_a_bare_name_that_nobody_has_is_told_by_its_likelier_id(server: HubServer, mlxk: Run) -> None:
    done = mlxk("pull", "nothing", "--json")
    assert done.code == 2
    assert "'mlx-community/nothing'" in done.error["message"]


def test_a_revision_that_is_not_there(on_hub: Repository, place: Place, mlxk: Run) -> None:
    done = mlxk("pull", f"{NAME}@nope", "--json")
    assert (done.code, done.error["type"]) == (1, "model_not_found")
    assert list(place.hub.iterdir()) == []


def test_gated_is_refused_before_anything_is_written(
    server: HubServer, place: Place, tmp_path: Path, mlxk: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = contents_of(healthy_model(tmp_path, NAME))
    server.repositories.add(NAME, files, Access.GATED, frozenset({"reader"}))
    server.repositories.users |= {"token-of-reader": "reader", "token-of-other": "other"}
    for token, code in ((None, 2), ("token-of-other", 2), ("token-of-reader", 0)):
        if token:
            monkeypatch.setenv("HF_TOKEN", token)
        for flag in ("--dry-run", "--quiet"):
            done = mlxk("pull", NAME, flag, "--json")
            assert done.code == code
            if code:
                assert done.error["type"] == "access_denied"
                assert "accept its terms" in done.error["hint"]
                assert server.traffic.downloads() == []
                assert list(place.hub.iterdir()) == []


def test_no_room(on_hub: Repository, place: Place, mlxk: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    real = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda path: real(path)._replace(free=10))
    done = mlxk("pull", NAME, "--json")
    assert (done.code, done.error["type"]) == (3, "insufficient_disk")
    assert done.envelope()["data"]["download_status"] == "error"
    assert list(place.hub.iterdir()) == []
    assert "only 10B free" in mlxk("pull", NAME, "--dry-run").out


# Dry run


def test_dry_run_lists_what_is_missing_and_writes_nothing(
    on_hub: Repository, server: HubServer, place: Place, mlxk: Run
) -> None:
    files = on_hub.commits[on_hub.refs["main"]]
    done = mlxk("pull", NAME, "--dry-run", "--json").data
    assert done["download_status"] == "unknown"
    assert {(file["name"], file["size_bytes"]) for file in done["files_to_fetch"]} == {
        (path, len(file.data)) for path, file in files.items()
    }
    assert done["bytes_to_fetch"] == sum(len(file.data) for file in files.values())
    lines = mlxk("pull", NAME, "--dry-run").out.splitlines()
    assert len(lines) == len(files) + 1
    assert lines[-1].startswith(f"Would fetch {len(files)} files, ")
    assert server.traffic.downloads() == []
    assert list(place.hub.iterdir()) == []
    mlxk("pull", NAME)
    again = mlxk("pull", NAME, "--dry-run", "--json").data
    assert (again["download_status"], again["files_to_fetch"]) == ("already_exists", [])


# Here in part


def test_a_half_model_is_not_touched_without_consent(
    big: Repository, server: HubServer, place: Place, mlxk: Run
) -> None:
    partial = half(place, big)
    done = mlxk("pull", NAME, "--json")
    assert done.code == 1
    assert done.data["download_status"] == "requires_confirmation"
    assert f"mlxk pull {NAME} --force-resume" in done.data["message"]
    assert server.traffic.downloads() == []
    assert partial.stat().st_size == 1_000_000
    for_people = mlxk("pull", NAME)
    assert (for_people.code, for_people.err) == (1, "")
    assert "is here in part" in for_people.out


def test_force_resume_fetches_only_the_rest(
    big: Repository, server: HubServer, place: Place, mlxk: Run
) -> None:
    half(place, big)
    done = mlxk("pull", NAME, "--force-resume", "--json")
    assert done.data["download_status"] == "success"
    assert done.data["bytes_downloaded"] == len(BIG) - 1_000_000 + 2
    assert [request.range for request in server.traffic.downloads(BIG_NAME)] == ["bytes=1000000-"]
    assert (snapshot(place, big) / BIG_NAME).read_bytes() == BIG


def test_a_snapshot_that_lacks_a_file_is_half(on_hub: Repository, place: Place, mlxk: Run) -> None:
    mlxk("pull", NAME)
    lost = snapshot(place, on_hub) / "config.json"
    (lost.parent / lost.readlink()).unlink()
    assert mlxk("pull", NAME, "--json").data["download_status"] == "requires_confirmation"
    assert mlxk("pull", NAME, "--force-resume").code == 0
    assert lost.exists()


def test_a_link_that_is_gone_needs_neither_question_nor_download(
    on_hub: Repository, server: HubServer, place: Place, mlxk: Run
) -> None:
    mlxk("pull", NAME)
    lost = snapshot(place, on_hub) / "config.json"
    lost.unlink()
    server.traffic.clear()
    done = mlxk("pull", NAME, "--json")
    assert (done.code, done.data["download_status"]) == (0, "success")
    assert lost.exists()
    assert server.traffic.downloads() == []


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1), ("\n", 1), ("\x04", 1)])
def test_on_a_terminal_it_asks(
    big: Repository, place: Place, at_hub: dict[str, str | None], answer: str, code: int
) -> None:
    half(place, big)
    with Terminal(place, ["pull", NAME], environ=at_hub) as terminal:
        terminal.wait_for("download the other 2.0MB? [y/N] ")
        terminal.type(answer)
        assert terminal.wait() == code
    assert (code == 0) == (place.hub / FOLDER / "refs/main").exists()


def test_two_at_once_both_succeed(
    big: Repository, server: HubServer, place: Place, at_hub: dict[str, str | None]
) -> None:
    """The second sees a begun file; since somebody is at it, it asks nothing and waits."""
    server.faults.add(Fault(BIG_NAME, Trouble.HOLD, 2_000_000))
    first = start(place, at_hub)
    until(lambda: begun(place, 2_000_000))
    second = start(place, at_hub)
    until(lambda: sum("/tree/" in request.path for request in server.traffic.all()) == 2)
    time.sleep(1)
    assert second.poll() is None
    server.faults.release()
    answers = [answer_of(first), answer_of(second)]
    assert [answer["download_status"] for answer in answers] == ["success", "success"]
    assert sum(answer["bytes_downloaded"] for answer in answers) == len(BIG) + 2


# Trouble


@pytest.mark.parametrize(
    ("trouble", "amount"), [(Trouble.RESET, 500_000), (Trouble.CUT, 500_000), (Trouble.STATUS, 503)]
)
def test_passing_trouble_is_not_noticed(
    big: Repository, server: HubServer, place: Place, mlxk: Run, trouble: Trouble, amount: int
) -> None:
    server.faults.add(Fault(BIG_NAME, trouble, amount))
    assert mlxk("pull", NAME, "--json").data["download_status"] == "success"
    assert (snapshot(place, big) / BIG_NAME).read_bytes() == BIG


def test_wrong_bytes_are_never_called_done(
    big: Repository, server: HubServer, place: Place, mlxk: Run
) -> None:
    server.faults.add(Fault(BIG_NAME, Trouble.WRONG_BYTES, times=9))
    done = mlxk("pull", NAME, "--json")
    assert (done.code, done.error["type"]) == (2, "download_failed")
    data = done.envelope()["data"]
    assert (data["download_status"], data["commit_hash"]) == ("failed", big.refs["main"])
    assert not snapshot(place, big).exists()
    assert not any(BIG_DIGEST in path for path in left_behind(place.hub))


def test_offline_and_complete_is_already_here(
    on_hub: Repository, server: HubServer, mlxk: Run, process: Run, at_hub: dict[str, str | None]
) -> None:
    mlxk("pull", NAME)
    commit = on_hub.refs["main"]
    nobody = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    for environ in ({**at_hub, "HF_HUB_OFFLINE": "1"}, nobody):
        done = process("pull", NAME, "--json", environ=environ)
        assert (done.code, done.data["download_status"]) == (0, "already_exists")
        assert done.data["commit_hash"] == commit
        assert "could not be asked" in done.data["message"]
        by_commit = process("pull", f"{NAME}@{commit}", "--json", environ=environ)
        assert by_commit.data["download_status"] == "already_exists"
        assert process("pull", f"{NAME}@other", "--json", environ=environ).code == 2


def test_offline_and_half_is_an_error(on_hub: Repository, place: Place, mlxk: Run, process: Run) -> None:
    mlxk("pull", NAME)
    lost = snapshot(place, on_hub) / "config.json"
    (lost.parent / lost.readlink()).unlink()
    done = process("pull", NAME, "--json", environ={"HF_ENDPOINT": "http://127.0.0.1:9"})
    assert (done.code, done.error["type"]) == (2, "NetworkError")
    assert done.envelope()["data"]["download_status"] == "failed"


def test_offline_without_a_file_list_health_decides(place: Place, process: Run) -> None:
    healthy_model(place.hub, "org/good")
    broken: CachedModel = healthy_model(place.hub, "mlx-community/bad")
    broken.blob("model.safetensors").unlink()
    environ = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    good = process("pull", "org/good", "--json", environ=environ)
    assert good.data["download_status"] == "already_exists"
    assert process("pull", "bad", environ=environ).code == 2
    assert process("pull", "org/none", environ=environ).code == 2


def test_an_empty_endpoint_counts_as_unset(process: Run) -> None:
    done = process("pull", NAME, environ={"HF_ENDPOINT": "", "HF_HUB_OFFLINE": "1"})
    assert done.code == 2
    assert "HF_HUB_OFFLINE is set" in done.err


def test_a_cache_that_cannot_be_made(on_hub: Repository, mlxk: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", "/dev/null/hub")
    done = mlxk("pull", NAME, "--json")
    assert done.code in (1, 3)
    assert "/dev/null" in done.error["message"]


def test_ctrl_c_keeps_what_came_and_says_how_to_go_on(
    big: Repository, server: HubServer, place: Place, at_hub: dict[str, str | None], mlxk: Run
) -> None:
    server.faults.add(Fault(BIG_NAME, Trouble.HANG, 2_000_000))
    child = start(place, at_hub)
    until(lambda: begun(place, 2_000_000))
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=TIMEOUT)
    assert child.returncode == 130
    assert "Traceback" not in err
    assert f"`mlxk pull {NAME} --force-resume` goes on where it stopped" in err
    envelope = json.loads(out)
    assert envelope["error"]["type"] == "UserCancelledError"
    assert envelope["data"]["download_status"] == "failed"
    assert mlxk("pull", NAME, "--force-resume", "--json").data["bytes_downloaded"] <= 1_000_002


# Progress


def test_progress_as_json_lines(big: Repository, mlxk: Run) -> None:
    done = mlxk("pull", NAME, "--json", "--progress")
    lines = [json.loads(line) for line in done.err.splitlines()]
    assert {(line["event"], line["phase"], line["all_total"]) for line in lines} == {
        ("progress", "download", len(BIG) + 2)
    }
    last = {line["file"]: line for line in lines}
    assert last[BIG_NAME]["bytes"] == last[BIG_NAME]["total"] == len(BIG)
    assert max(line["all_bytes"] for line in lines) == len(BIG) + 2
    assert len(lines) < 20
    assert done.data["download_status"] == "success"


def test_without_progress_stderr_is_silent(big: Repository, mlxk: Run) -> None:
    assert mlxk("pull", NAME, "--json").err == ""


def test_a_terminal_sees_the_total_and_the_files_on_their_way(
    big: Repository, server: HubServer, place: Place, at_hub: dict[str, str | None]
) -> None:
    server.faults.add(Fault(BIG_NAME, Trouble.HOLD, 1_000_000))
    with Terminal(place, ["pull", NAME], environ=at_hub, columns=100) as terminal:
        terminal.wait_for(BIG_NAME)
        server.faults.release()
        assert terminal.wait() == 0
    assert "download" in terminal.output
    assert terminal.output.count("\x1b[?25l") == terminal.output.count("\x1b[?25h")
    assert f"{NAME}@{big.refs['main']}" in terminal.output


def start(place: Place, environ: dict[str, str | None]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "mlxk", "pull", NAME, "--json"],
        env=environment(place, environ), cwd=place.work, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def answer_of(child: "subprocess.Popen[str]") -> dict[str, Any]:
    out, err = child.communicate(timeout=TIMEOUT)
    assert child.returncode == 0, err
    data: dict[str, Any] = json.loads(out)["data"]
    return data


def begun(place: Place, count: int) -> bool:
    partial = place.hub / FOLDER / "blobs" / f"{BIG_DIGEST}.mlxk-partial"
    return partial.exists() and partial.stat().st_size >= count


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
