"""What workspaces are good for once they are cloned: seeing edits, pinning, verifying."""

import errno
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from mlxk.adapters import content_hash, workspace_integrity
from mlxk.adapters.workspace_integrity import DiskIntegrity
from mlxk.domain.manifest import MANIFEST_NAME
from tests.contract.cli.conftest import Run
from tests.contract.cloning import (
    REPO,
    SHARD,
    in_cache,
    on_hub,
)
from tests.contract.hub_server import HubServer
from tests.contract.hub_server.repositories import Content
from tests.isolation import Place


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


def test_a_clone_of_a_workspace_says_nothing_of_tensors_that_were_touched(
    server: HubServer, files: Mapping[str, Content], place: Place, mlxk: Run
) -> None:
    """Clean by the content hash, which does not see tensors: the clone must not swear to the old ones."""
    commit = on_hub(server, files).refs["main"]
    in_cache(place.hub, files, commit)
    mlxk("clone", REPO, "first")
    shard = place.workspaces / "first" / SHARD
    flip(shard)
    assert mlxk("show", "first", "--json").data["model"]["clean"] is True
    mlxk("clone", "first", "second")
    digests = manifest_of(place, "second")["tensor_digests"]
    assert SHARD not in digests
    assert digests  # of the weights that nobody touched
    assert mlxk("diff", REPO, "second", "--check").code == 1


def test_so_does_one_of_a_workspace_that_cannot_note_it(
    server: HubServer, files: Mapping[str, Content], place: Place, mlxk: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_hub(server, files)
    mlxk("clone", REPO, "first")
    first = place.workspaces / "first"
    flip(first / SHARD)
    recorded = (first / MANIFEST_NAME).read_bytes()
    monkeypatch.setattr(workspace_integrity, "replace_manifest", refuse)  # as a read-only volume does
    mlxk("clone", "first", "second")
    assert (first / MANIFEST_NAME).read_bytes() == recorded
    assert SHARD not in manifest_of(place, "second")["tensor_digests"]


def flip(file: Path) -> None:
    """Change the last tensor of a file, and its times."""
    changed = bytearray(file.read_bytes())
    changed[-1] ^= 1
    file.write_bytes(changed)
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1_000_000_000))


def flip_unnoticed(file: Path) -> None:
    """Change the last tensor of a file, and leave its times as they were."""
    times = file.stat()
    flip(file)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def manifest_of(place: Place, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((place.workspaces / name / MANIFEST_NAME).read_text())
    return found


def refuse(*_: object) -> None:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def test_what_cannot_be_verified_is_said(place: Place, mlxk: Run) -> None:
    mlxk("clone", "demo", "mine")
    line = mlxk("health", "mine", "--verify").out.splitlines()[0]
    assert "not verifiable: model.safetensors" in line


WEIGHTS = "model.safetensors"


def test_verify_records_what_nothing_stated_and_holds_it_against_that(place: Place, mlxk: Run) -> None:
    mlxk("clone", "demo", "mine")
    first = mlxk("health", "mine", "--verify", "--json").data["details"][0]["verification"]
    assert (first["unverified"], first["files_without_digest"]) == ([WEIGHTS], 1)
    file = place.workspaces / "mine" / WEIGHTS
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert manifest_of(place, "mine")["tensor_digests"] == {WEIGHTS: digest}
    again = mlxk("health", "mine", "--verify", "--json").data["details"][0]["verification"]
    assert (again.get("unverified", []), again["files_checked"]) == ([], first["files_checked"] + 1)
    flip_unnoticed(file)
    assert mlxk("health", "mine", "--check").code == 0
    done = mlxk("health", "mine", "--verify", "--check", "--json")
    assert done.code == 1
    assert WEIGHTS in done.data["unhealthy"][0]["reason"]
    mlxk("show", "mine", "--recalc-hash")
    assert mlxk("health", "mine", "--verify", "--check").code == 1  # it looks as it did: the digest stays
    flip(file)
    mlxk("show", "mine", "--recalc-hash")
    assert "tensor_digests" not in manifest_of(place, "mine")
    assert mlxk("health", "mine", "--verify", "--check").code == 0
    assert WEIGHTS in manifest_of(place, "mine")["tensor_digests"]


def test_verify_records_nothing_of_weights_that_were_edited(
    server: HubServer, files: Mapping[str, Content], place: Place, mlxk: Run
) -> None:
    mlxk("clone", "demo", "mine")
    with (place.workspaces / "mine" / WEIGHTS).open("ab") as stream:
        stream.write(b"more")
    mlxk("health", "mine", "--verify")
    assert "tensor_digests" not in manifest_of(place, "mine")
    on_hub(server, files)
    mlxk("clone", REPO, "first")
    before = manifest_of(place, "first")["tensor_digests"]
    flip(place.workspaces / "first" / SHARD)
    mlxk("health", "first", "--verify")
    assert manifest_of(place, "first")["tensor_digests"] == before


def test_what_cannot_be_recorded_is_verified_all_the_same(
    place: Place, mlxk: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlxk("clone", "demo", "mine")
    monkeypatch.setattr(workspace_integrity, "replace_manifest", refuse)
    assert mlxk("health", "mine", "--verify", "--check").code == 0
    assert "tensor_digests" not in manifest_of(place, "mine")


# Sources that are workspaces


def test_a_manifest_that_is_a_directory_is_no_part_of_the_model(
    place: Place, mlxk: Run, demo_copy: Callable[[Path], Path]
) -> None:
    source = demo_copy(place.workspaces / "odd")
    (source / MANIFEST_NAME).mkdir()
    (source / MANIFEST_NAME / "x").write_text("x")
    assert mlxk("clone", "odd", "mine", "--json").data["health"] == "healthy"
    assert mlxk("show", "mine", "--json").data["model"]["clean"] is True


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
@pytest.mark.parametrize("target", ["./d4/sub", "./d4/deep/sub", "./link/sub"])
def test_a_workspace_is_not_cloned_into_itself(
    place: Place, mlxk: Run, target: str, options: tuple[str, ...]
) -> None:
    mlxk("clone", "demo", "./d4")
    source = place.work / "d4"
    (source / "deep").mkdir()
    (place.work / "link").symlink_to("d4")
    moment = source.stat().st_mtime_ns
    done = mlxk("clone", "./d4", target, *options, "--json")
    assert (done.code, done.error["type"]) == (3, "InvalidTargetError")
    assert "inside what is to be cloned" in done.error["message"]
    assert source.stat().st_mtime_ns == moment


# Manifests that contradict themselves


@pytest.mark.parametrize(
    "change",
    [
        lambda document: {**document, "content_hash": "sha256:" + "0" * 64},
        lambda document: {**document, "content_hash": None},
        lambda document: {**document, "file_index": document["file_index"][:-1]},
    ],
)
def test_a_manifest_that_contradicts_itself_tells_nothing(
    place: Place, mlxk: Run, monkeypatch: pytest.MonkeyPatch, change: Callable[[dict[str, Any]], object]
) -> None:
    mlxk("clone", "demo", "mine")
    file = place.workspaces / "mine" / MANIFEST_NAME
    file.write_text(json.dumps(change(manifest_of(place, "mine"))))
    os.utime(place.workspaces / "mine" / "config.json", ns=(0, 0))
    with monkeypatch.context() as patched:
        patched.setattr(content_hash, "hash_file", None)  # no file is read to tell
        shown = mlxk("show", "mine", "--json").data["model"]
        (line,) = [line for line in mlxk("list").out.splitlines() if line.startswith("mine")]
        told = DiskIntegrity().state(place.workspaces / "mine").hint
    assert shown["clean"] is None
    assert "ws?" in line
    assert told is not None
    assert "--recalc-hash" in told
    mlxk("health", "mine", "--verify")
    assert "tensor_digests" not in manifest_of(place, "mine")
    assert mlxk("show", "mine", "--recalc-hash", "--json").data["model"]["clean"] is True
