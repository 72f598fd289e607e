"""Content hash v2 on real directories: the written format, drift, healing, pinning, and hostile manifests."""

import contextlib
import json
import os
import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mlxk.adapters import content_hash, workspace_manifest
from mlxk.adapters.workspace_integrity import DiskIntegrity
from mlxk.adapters.workspace_manifest import read_manifest
from mlxk.domain.errors import ErrorKind, InvalidInput, MlxkError
from mlxk.domain.manifest import DEFAULT_EXCLUDE_PATTERNS, Baseline, Manifest, Operation, Origin
from mlxk.domain.model import Cleanliness, WorkspaceState
from mlxk.domain.ports import WorkspaceIntegrity
from tests.contract.cache.conftest import without_root_rights
from tests.contract.volumes import memory_disk
from tests.contract.workspaces_integrity.conftest import (
    MANIFEST,
    PATTERNS,
    golden_hash,
    golden_index,
    golden_manifest,
    safetensors,
)

ORIGIN = Origin("org/model", "b" * 40, Operation.CLONE, {"model.safetensors": "c" * 64})


def written(workspace: Path) -> dict[str, object]:
    document: dict[str, object] = json.loads((workspace / MANIFEST).read_text())
    return document


def baseline(workspace: Path) -> Baseline:
    manifest = read_manifest(str(workspace))
    assert isinstance(manifest, Manifest)
    assert isinstance(manifest.baseline, Baseline)
    return manifest.baseline


def cleanliness(integrity: DiskIntegrity, workspace: Path) -> Cleanliness:
    state = integrity.state(workspace)
    assert (state.hint is None) is (state.cleanliness is Cleanliness.CLEAN)
    return state.cleanliness


# The written format


def test_what_we_write_is_the_written_format(integrity: DiskIntegrity, workspace: Path) -> None:
    integrity.found(workspace, ORIGIN)

    document = written(workspace)
    index = golden_index(workspace)
    assert document["file_index"] == index
    assert document["content_hash"] == golden_hash(index)
    assert document["exclude_patterns"] == PATTERNS == list(DEFAULT_EXCLUDE_PATTERNS)
    assert document["hash_algorithm"] == "v2"
    assert document["managed"] is True
    assert (document["source_repo"], document["source_revision"]) == ("org/model", "b" * 40)
    assert document["operation"] == "clone"
    assert document["tensor_digests"] == {"model.safetensors": "c" * 64}
    for moment in ("created_at", "hash_modified"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", str(document[moment]))
    assert cleanliness(integrity, workspace) is Cleanliness.CLEAN


def test_what_mlx_knife_writes_is_clean_here(integrity: DiskIntegrity, workspace: Path) -> None:
    document = golden_manifest(workspace)

    assert integrity.state(workspace) == WorkspaceState(
        managed=True,
        origin="org/model",
        content_hash=str(document["content_hash"]),
        hash_modified="2026-04-20T10:30:00.123456Z",
        cleanliness=Cleanliness.CLEAN,
    )


def test_a_known_hash() -> None:
    """Computed once by hand (coreutils' sha256sum), so that no two mistakes can agree."""
    assert golden_hash([]) == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


# Drift


def edit(path: Path, content: bytes) -> None:
    """Change a file's content, and the time as any editor does."""
    status = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000_000))


def put(path: Path, *, link_to: str | None = None, folder: bool = False) -> None:
    """Replace a file by an empty one, a link or a folder."""
    path.unlink(missing_ok=True)
    if link_to:
        path.symlink_to(link_to)
    elif folder:
        path.mkdir()
    else:
        path.touch()


CHANGES: dict[str, Callable[[Path], object]] = {
    "added": lambda root: put(root / "new.txt"),
    "added in a folder": lambda root: put(root / "sub" / "new.txt"),
    "added link": lambda root: put(root / "new", link_to="config.json"),
    "missing": lambda root: (root / "config.json").rename(root / "config.log"),
    "renamed": lambda root: (root / "config.json").rename(root / "config2.json"),
    "size": lambda root: edit(root / "config.json", b"{}"),
    "content": lambda root: edit(root / "just.bin", b"jusT"),
    "header": lambda root: edit(root / "model.safetensors", safetensors(b'{"b": 1}', b"tensors")),
    "size of a large file": lambda root: os.truncate(root / "video.mp4", 2**30 + 2),
    "link elsewhere": lambda root: put(root / "link.json", link_to="sub.txt"),
    "link became a file": lambda root: put(root / "link.json"),
    "file became a link": lambda root: put(root / "just.bin", link_to="config.json"),
    "file became a folder": lambda root: put(root / "just.bin", folder=True),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_is_modified(integrity: DiskIntegrity, workspace: Path, change: str) -> None:
    golden_manifest(workspace)
    CHANGES[change](workspace)
    before = (workspace / MANIFEST).read_bytes()

    assert cleanliness(integrity, workspace) is Cleanliness.MODIFIED
    assert (workspace / MANIFEST).read_bytes() == before


def test_what_the_hash_does_not_cover_stays_clean(integrity: DiskIntegrity, workspace: Path) -> None:
    golden_manifest(workspace)
    edit(workspace / "model.safetensors", safetensors(b'{"a": 1}', b"TENSORS"))
    (workspace / "sub" / "run.log").touch()
    (workspace / "sub" / "__pycache__").mkdir()
    (workspace / "sub" / "__pycache__" / "x").touch()
    (workspace / "empty folder").mkdir()
    os.mkfifo(workspace / "pipe")

    assert cleanliness(integrity, workspace) is Cleanliness.CLEAN


def test_the_list_in_the_manifest_governs(integrity: DiskIntegrity, workspace: Path) -> None:
    patterns = [*PATTERNS, "*.onnx", "onnx/"]
    golden_manifest(workspace, exclude_patterns=patterns)
    (workspace / "model.onnx").touch()
    (workspace / "onnx").mkdir()
    (workspace / "onnx" / "x").touch()
    assert cleanliness(integrity, workspace) is Cleanliness.CLEAN

    integrity.pin(workspace)
    assert written(workspace)["exclude_patterns"] == patterns
    golden_manifest(workspace, exclude_patterns=[".git/", MANIFEST])
    assert cleanliness(integrity, workspace) is Cleanliness.MODIFIED  # run.log is none of the index


def test_a_manifest_without_patterns_has_the_default_ones(integrity: DiskIntegrity, workspace: Path) -> None:
    golden_manifest(workspace, exclude_patterns=None)

    assert cleanliness(integrity, workspace) is Cleanliness.CLEAN


# Healing


def test_a_copy_is_clean_and_healed(
    integrity: DiskIntegrity, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy"
    (workspace / "video.mp4").unlink()  # shutil would fill its hole
    golden_manifest(workspace, ours={"kept": True})
    shutil.copytree(workspace, copy, symlinks=True, copy_function=shutil.copyfile)
    before = written(copy)

    assert cleanliness(integrity, copy) is Cleanliness.CLEAN
    after = written(copy)
    assert after["file_index"] == golden_index(copy)
    assert after["file_index"] != before["file_index"]
    assert {**after, "file_index": None} == {**before, "file_index": None}

    monkeypatch.setattr(content_hash, "hash_file", None)
    assert cleanliness(integrity, copy) is Cleanliness.CLEAN


def test_touched_files_are_healed_even_if_another_was_changed(
    integrity: DiskIntegrity, workspace: Path
) -> None:
    golden_manifest(workspace)
    os.utime(workspace / "video.mp4", ns=(1, 1))
    edit(workspace / "config.json", b'{"model_type": "LLAMA"}')

    assert cleanliness(integrity, workspace) is Cleanliness.MODIFIED
    healed = {file.path: file.mtime_ns for file in baseline(workspace).files}
    assert healed["video.mp4"] == 1


def test_on_a_read_only_disk_nothing_is_healed_and_nothing_said(
    integrity: DiskIntegrity, workspace: Path
) -> None:
    golden_manifest(workspace)
    os.utime(workspace / "config.json", ns=(1, 1))
    for path in (workspace, *workspace.parents[:4]):
        if "pytest" in str(path):
            path.chmod(0o755)
    before = (workspace / MANIFEST).read_bytes()

    with without_root_rights():
        assert cleanliness(integrity, workspace) is Cleanliness.CLEAN
    assert (workspace / MANIFEST).read_bytes() == before


def test_news_of_somebody_else_win_over_healing(integrity: DiskIntegrity, workspace: Path) -> None:
    golden_manifest(workspace)
    known = read_manifest(str(workspace))
    golden_manifest(workspace, source_repo="org/other")
    assert isinstance(known, Manifest)

    workspace_manifest.replace_manifest(str(workspace), known, known)
    assert written(workspace)["source_repo"] == "org/other"


def test_many_may_heal_at_once(integrity: DiskIntegrity, workspace: Path) -> None:
    golden_manifest(workspace)
    os.utime(workspace / "config.json", ns=(1, 1))
    found: list[Cleanliness] = []
    threads = [
        threading.Thread(target=lambda: found.append(integrity.state(workspace).cleanliness))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [Cleanliness.CLEAN] * 8
    assert written(workspace)["file_index"] == golden_index(workspace)
    assert not list(workspace.glob("*.tmp"))


# What cannot be hashed


@pytest.mark.parametrize(
    "header", [b"", b"\0" * 8, (101 * 1024 * 1024).to_bytes(8, "little"), b"\x09" + b"\0" * 7]
)
def test_a_bad_header_is_unknown(integrity: DiskIntegrity, workspace: Path, header: bytes) -> None:
    weights = workspace / "model.safetensors"
    golden_manifest(workspace)
    edit(weights, header.ljust(8, b"\0")[:8] + weights.read_bytes()[8:])
    if header.startswith(b"\x09"):
        edit(weights, (100).to_bytes(8, "little") + weights.read_bytes()[8:])

    assert cleanliness(integrity, workspace) is Cleanliness.UNKNOWN
    with pytest.raises(MlxkError) as refused:
        integrity.pin(workspace)
    assert refused.value.kind is ErrorKind.OPERATION
    assert "model.safetensors" in refused.value.message


def test_a_damaged_model_gets_a_manifest_too(integrity: DiskIntegrity, workspace: Path) -> None:
    weights = workspace / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_text("version https://git-lfs.github.com/spec/v1")

    manifest = integrity.found(workspace, ORIGIN)
    assert (manifest.source_repo, manifest.content_hash) == ("org/model", None)
    assert read_manifest(str(workspace)) == manifest
    state = integrity.state(workspace)
    assert (state.managed, state.origin, state.cleanliness) == (True, "org/model", Cleanliness.UNKNOWN)
    assert state.hint
    assert "--recalc-hash" in state.hint

    weights.write_bytes(whole)
    assert not integrity.pin(workspace).tensor_digests  # nobody knows any more
    assert cleanliness(integrity, workspace) is Cleanliness.CLEAN


@pytest.mark.parametrize("target", ["/etc/passwd", "../elsewhere", "../ws-sibling/x", "sub/../../elsewhere"])
@pytest.mark.parametrize("name", ["escape.txt", "escape.log"])
def test_a_link_that_leads_outside_is_unknown_and_not_followed(
    integrity: DiskIntegrity, workspace: Path, target: str, name: str
) -> None:
    golden_manifest(workspace)
    (workspace / name).symlink_to(target)

    state = integrity.state(workspace)
    assert state.cleanliness is Cleanliness.UNKNOWN
    assert state.hint
    assert name in state.hint
    with pytest.raises(MlxkError):
        integrity.pin(workspace)


def test_an_unreadable_folder_is_unknown(integrity: DiskIntegrity, workspace: Path) -> None:
    golden_manifest(workspace)
    for path in (workspace, *workspace.parents[:4]):
        if "pytest" in str(path):
            path.chmod(0o755)
    (workspace / "sub").chmod(0)

    with without_root_rights():
        assert cleanliness(integrity, workspace) is Cleanliness.UNKNOWN
    (workspace / "sub").chmod(0o755)


@pytest.mark.parametrize("name", ["back\\slash", "C:drive", os.fsdecode(b"latin-\xe9")])
def test_names_that_a_manifest_cannot_hold_are_never_pinned(
    integrity: DiskIntegrity, workspace: Path, name: str
) -> None:
    golden_manifest(workspace)
    (workspace / name).touch()

    assert cleanliness(integrity, workspace) is Cleanliness.MODIFIED
    with pytest.raises(MlxkError) as refused:
        integrity.pin(workspace)
    assert refused.value.kind is ErrorKind.OPERATION
    refused.value.message.encode()


def test_two_names_that_look_the_same_are_unknown(integrity: DiskIntegrity, workspace: Path) -> None:
    golden_manifest(workspace)
    (workspace / "naïve café.txt").write_text("composed")

    assert cleanliness(integrity, workspace) is Cleanliness.UNKNOWN


# Hostile manifests


@pytest.mark.parametrize(
    "path",
    [
        "../outside",
        "sub/../../outside",
        "/etc/passwd",
        "C:/windows",
        "sub\\..\\x",
        "nul\0",
        "",
        ".",
        "sub//x",
        "./config.json",
        "cafe\u0301.txt",
        "\ud800",
        7,
        None,
    ],
)
def test_a_bad_path_is_refused_before_any_file_is_touched(
    integrity: DiskIntegrity, workspace: Path, path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = {"path": path, "size": 1, "mtime_ns": 1, "sha": "sha256:" + "0" * 64}
    golden_manifest(workspace, file_index=[*golden_index(workspace), entry])

    def touched(*_: object) -> None:
        raise AssertionError("a file was touched")

    for function in ("scandir", "stat", "readlink"):
        monkeypatch.setattr(os, function, touched)
    state = integrity.state(workspace)
    monkeypatch.undo()
    assert (state.managed, state.cleanliness) == (True, Cleanliness.UNKNOWN)
    assert state.hint


@pytest.mark.parametrize(
    "changes",
    [
        {"file_index": None},
        {"file_index": {}},
        {"file_index": [1]},
        {"file_index": [{"path": "config.json"}]},
        {"file_index": [{"path": "a", "size": True, "mtime_ns": 1, "sha": "sha256:" + "0" * 64}]},
        {"file_index": [{"path": "a", "size": -1, "mtime_ns": 1, "sha": "sha256:" + "0" * 64}]},
        {"file_index": [{"path": "a", "size": 1, "mtime_ns": 1, "sha": "md5:" + "0" * 64}]},
        {"file_index": [{"path": "a", "size": 1, "mtime_ns": 1, "sha": "sha256:" + "0" * 64}] * 2},
        {"exclude_patterns": "*"},
        {"exclude_patterns": [1]},
        {"exclude_patterns": ["x" * 300]},
        {"exclude_patterns": ["x"] * 2000},
        {"hash_algorithm": "v1"},
        {"hash_algorithm": None},
        {"hash_algorithm": ["v2"]},
    ],
    ids=str,
)
def test_a_baseline_that_cannot_be_used_is_unknown_until_pinned(
    integrity: DiskIntegrity, workspace: Path, changes: dict[str, object]
) -> None:
    golden_manifest(workspace, **changes, ours="kept")
    state = integrity.state(workspace)
    assert (state.managed, state.origin, state.cleanliness) == (True, "org/model", Cleanliness.UNKNOWN)
    assert state.hint

    integrity.pin(workspace)
    assert cleanliness(integrity, workspace) is Cleanliness.CLEAN
    assert written(workspace)["file_index"] == golden_index(workspace)
    assert written(workspace)["ours"] == "kept"


def test_patterns_that_would_take_for_ever_do_not(integrity: DiskIntegrity, workspace: Path) -> None:
    (workspace / ("a" * 250)).touch()
    golden_manifest(workspace, exclude_patterns=[*PATTERNS, "*a" * 100 + "b", "[z-a]", "[", "[!]"])

    assert cleanliness(integrity, workspace) is Cleanliness.CLEAN


# Pinning


def test_pinning_makes_what_is_there_clean(integrity: DiskIntegrity, workspace: Path) -> None:
    golden_manifest(workspace, strange={"a": [1]}, tensor_digests={"model.safetensors": "d" * 64})
    (workspace / "new.txt").write_text("new")
    assert cleanliness(integrity, workspace) is Cleanliness.MODIFIED

    manifest = integrity.pin(workspace)
    assert cleanliness(integrity, workspace) is Cleanliness.CLEAN
    document = written(workspace)
    assert document["content_hash"] == manifest.content_hash == golden_hash(golden_index(workspace))
    assert document["hash_modified"] != "2026-04-20T10:30:00.123456Z"
    assert document["created_at"] == "2026-04-20T10:30:00.123456Z"
    assert document["strange"] == {"a": [1]}
    assert document["tensor_digests"] == {"model.safetensors": "d" * 64}


def test_digests_of_tensors_that_may_have_changed_are_forgotten(
    integrity: DiskIntegrity, workspace: Path
) -> None:
    golden_manifest(workspace, tensor_digests={"model.safetensors": "d" * 64, "gone.safetensors": "e" * 64})
    edit(workspace / "model.safetensors", safetensors(b'{"a": 1}', b"TENSORS"))

    assert not integrity.pin(workspace).tensor_digests
    assert "tensor_digests" not in written(workspace)


def test_without_a_manifest_there_is_nothing_to_pin(integrity: DiskIntegrity, workspace: Path) -> None:
    assert integrity.state(workspace) == WorkspaceState(managed=False)
    with pytest.raises(InvalidInput) as refused:
        integrity.pin(workspace)
    assert refused.value.hint
    assert not (workspace / MANIFEST).exists()


def test_a_failed_write_leaves_the_old_manifest(integrity: DiskIntegrity, tmp_path: Path) -> None:
    with memory_disk(tmp_path, size=64 * 1024) as disk:
        (disk / "config.json").write_text("{}")
        golden_manifest(disk)
        (disk / "new.txt").touch()
        with contextlib.suppress(OSError), (disk / "filler").open("wb", buffering=0) as stream:
            while True:
                stream.write(b"x" * 4096)
        before = (disk / MANIFEST).read_bytes()
        with pytest.raises(MlxkError) as refused:
            integrity.pin(disk)
        assert refused.value.kind is ErrorKind.INSUFFICIENT_DISK
        assert (disk / MANIFEST).read_bytes() == before
        assert not list(disk.glob("*.tmp"))


def test_memory_stays_small(integrity: DiskIntegrity, workspace: Path) -> None:
    import tracemalloc

    (workspace / "large.bin").touch()
    os.truncate(workspace / "large.bin", 200 * 1024 * 1024)
    tracemalloc.start()
    integrity.found(workspace, ORIGIN)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 1024 * 1024


def test_it_fits_its_port() -> None:
    port: WorkspaceIntegrity = DiskIntegrity()
    assert port
