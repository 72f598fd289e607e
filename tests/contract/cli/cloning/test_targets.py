"""`mlxk clone`: where clones go."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.contract.cli.cloning.asking import failed
from tests.contract.cli.conftest import Run
from tests.contract.cloning import (
    REPO,
    in_cache,
    names,
    on_hub,
    tree_digest,
)
from tests.contract.hub_server import HubServer
from tests.contract.hub_server.repositories import Content
from tests.contract.volumes import memory_disk
from tests.isolation import Place


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("full", "not empty"),
        ("./file", "not a directory"),
        ("./file/below", "below something that is a file"),
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
    assert "mkdir" not in str(error["hint"]) or target == "./no/where"
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
