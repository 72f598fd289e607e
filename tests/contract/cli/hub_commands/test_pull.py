"""`mlxk pull` against a Hub on loopback, through the real client."""

from pathlib import Path

import pytest

from tests.contract.cli.conftest import Run
from tests.contract.cli.hub_commands.conftest import contents_of, left_behind
from tests.contract.cli.hub_commands.pulling import BIG, BIG_DIGEST, BIG_NAME, FOLDER, NAME, snapshot
from tests.contract.damaged_models import CachedModel, healthy_model
from tests.contract.hub_server import Access, Fault, HubServer, Repository, Trouble
from tests.isolation import Place

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


@pytest.mark.parametrize("cache", ["/dev/null/hub", "/etc/passwd"])
def test_a_cache_that_cannot_be_made(
    on_hub: Repository, mlxk: Run, monkeypatch: pytest.MonkeyPatch, cache: str
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", cache)
    for command in (["pull", NAME], ["list"]):
        done = mlxk(*command, "--json")
        assert (done.code, done.error["type"]) == (3, "PermissionError")
        assert cache in done.error["message"]


def test_a_home_that_is_a_file(
    on_hub: Repository, place: Place, at_hub: dict[str, str | None], process: Run
) -> None:
    home = place.root / "file"
    home.touch()
    environ = {**at_hub, "HF_HOME": str(home), "HF_HUB_CACHE": str(place.hub)}
    done = process("pull", NAME, "--json", environ=environ)
    assert (done.code, done.error["type"]) == (3, "PermissionError")
    assert "HF_HOME" in done.error["hint"]
    assert done.envelope()["data"]["model"] == NAME


@pytest.mark.parametrize("arguments", [[NAME, "--revision", ""], [f"{NAME}@"]])
def test_an_empty_revision_is_none(on_hub: Repository, mlxk: Run, arguments: list[str]) -> None:
    done = mlxk("pull", *arguments, "--json")
    assert (done.code, done.error["type"]) == (1, "ValidationError")
