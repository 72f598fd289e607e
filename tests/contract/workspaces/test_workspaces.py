"""Workspaces as they are found on disk, managed or not, and what their manifests may claim."""

import json
import os
from pathlib import Path

import pytest

from mlxk.adapters.bundled import BundledModels
from mlxk.adapters.workspace_integrity import DiskIntegrity
from mlxk.adapters.workspaces import MANIFEST_NAME, WorkspaceHome, read_state
from mlxk.domain.errors import ErrorKind, MlxkError, ModelNotFound
from mlxk.domain.model import Cleanliness, Source, WorkspaceState
from mlxk.domain.ports import ModelStore, WorkspaceStore
from tests.contract.cache.conftest import without_root_rights

CONTENT_HASH = "sha256:" + "a" * 64
PATTERNS = [".git/", ".hf_cache/", MANIFEST_NAME, "*.log", "._*", ".DS_Store"]
HEADER = (2).to_bytes(8, "little") + b"{}"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    root = tmp_path / "home"
    root.mkdir()
    return root


def workspace(parent: Path, name: str) -> Path:
    path = parent / name
    (path / "sub").mkdir(parents=True)
    (path / "config.json").write_text('{"model_type": "llama"}')
    (path / "model.safetensors").write_bytes(HEADER)
    (path / "sub" / "notes.txt").write_text("notes")
    return path


def manifest(path: Path, **changes: object) -> dict[str, object]:
    """Write the manifest of a workspace as it is now."""
    files = [file for file in sorted(path.rglob("*")) if file.is_file() and file.name != MANIFEST_NAME]
    index = [
        {
            "path": file.relative_to(path).as_posix(),
            "size": file.stat().st_size,
            "mtime_ns": file.stat().st_mtime_ns,
            "sha": "sha256:" + "0" * 64,
        }
        for file in files
    ]
    content = {
        "mlxk_version": "0.1.0",
        "source_repo": "org/model",
        "managed": True,
        "hash_algorithm": "v2",
        "content_hash": CONTENT_HASH,
        "hash_modified": "2026-01-02T03:04:05Z",
        "exclude_patterns": PATTERNS,
        "file_index": index,
    } | changes
    (path / MANIFEST_NAME).write_text(json.dumps(content))
    return content


# Which directories are workspaces


def test_the_home_lists_what_holds_a_model(home: Path) -> None:
    workspace(home, "b-plain")
    manifest(workspace(home, "a-managed"))
    (home / "weights-only").mkdir()
    (home / "weights-only" / "weights.npz").write_bytes(b"")
    (home / "manifest-only").mkdir()
    manifest(home / "manifest-only")
    workspace(home, ".mlxk-staging-0123456789abcdef")
    (home / "photos").mkdir()
    (home / "photos" / "cat.png").write_bytes(b"")
    (home / "file").write_text("")
    (home / "dangling").symlink_to("nowhere")
    (home / "loop").symlink_to("loop")

    records = WorkspaceHome(home).records()
    assert [record.name for record in records] == [
        f"{home}/{name}" for name in ("a-managed", "b-plain", "manifest-only", "weights-only")
    ]
    assert all(record.name == record.path and record.source is Source.WORKSPACE for record in records)
    assert [record.workspace and record.workspace.managed for record in records] == [True, False, True, False]
    assert not any(record.display_name or record.revision or record.problem for record in records)


def test_a_home_that_is_not_set_or_not_there_holds_nothing(home: Path) -> None:
    assert not WorkspaceHome(None).records()
    assert not WorkspaceHome(home / "nowhere").records()


def test_a_home_that_is_a_file_is_an_error_with_a_way_out(home: Path) -> None:
    (home / "file").write_text("")

    with pytest.raises(MlxkError) as refused:
        WorkspaceHome(home / "file").records()
    assert refused.value.kind is ErrorKind.PERMISSION
    assert refused.value.hint


def test_names_are_absolute_even_when_the_home_is_not(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace(home, "ws")
    monkeypatch.chdir(home)

    (record,) = WorkspaceHome(Path("../home")).records()
    assert record.name == f"{home}/ws"


def test_an_unreadable_directory_hides_no_other(tmp_path_factory: pytest.TempPathFactory) -> None:
    base = tmp_path_factory.mktemp("open")
    for directory in (base, *base.parents[:4]):
        if directory.name.startswith(("pytest", "popen", "open")):
            directory.chmod(0o755)
    workspace(base, "open")
    workspace(base, "closed").chmod(0)

    with without_root_rights():
        records = WorkspaceHome(base).records()
    assert [record.problem for record in records] == ["its directory cannot be read: Permission denied", None]


def test_workspaces_have_no_revisions(home: Path) -> None:
    workspace(home, "ws")
    store = WorkspaceHome(home)
    (record,) = store.records()

    assert not store.revisions(record)
    with pytest.raises(ModelNotFound) as refused:
        store.at_revision(record, "main")
    assert refused.value.hint


# By explicit path


def test_a_relative_path_stays_relative_to_the_eye(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace(home, "ws")
    monkeypatch.chdir(home)
    monkeypatch.setenv("HOME", str(home))
    store = WorkspaceHome(None)

    for typed in ("./ws", "../home/ws", "~/ws"):
        record = store.record_at(typed)
        assert (record.name, record.path, record.display_name) == (f"{home}/ws", f"{home}/ws", typed)
    monkeypatch.chdir(home / "ws")
    assert store.record_at(".").path == f"{home}/ws"
    assert store.record_at(f"{home}/ws/").display_name is None


@pytest.mark.parametrize("typed", ["./nowhere", "./file", "./file/x", "./empty", "./\0", "./" + "x" * 300])
def test_where_no_model_is_the_error_says_so(home: Path, typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "file").write_text("")
    (home / "empty").mkdir()
    monkeypatch.chdir(home)

    with pytest.raises(MlxkError) as refused:
        WorkspaceHome(None).record_at(typed)
    assert refused.value.kind is ErrorKind.WORKSPACE_NOT_FOUND
    assert refused.value.hint


def test_listing_under_a_path(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("alpha", "alpine", "beta"):
        workspace(home, name)
    monkeypatch.chdir(home)
    store = WorkspaceHome(None)

    def shown(prefix: str) -> list[str]:
        return [record.display_name or record.name for record in store.under(prefix)]

    assert shown(".") == ["./alpha", "./alpine", "./beta"]
    assert shown("./") == ["./alpha", "./alpine", "./beta"]
    assert shown("./alp") == ["./alpha", "./alpine"]
    assert shown("./alpha") == ["./alpha"]
    assert shown("../home") == ["../home/alpha", "../home/alpine", "../home/beta"]
    assert shown(f"{home}/b") == [f"{home}/beta"]
    assert shown("./nothing") == []
    assert shown("./nowhere/x") == []


# Manifests


def test_a_manifest_says_where_a_workspace_came_from(home: Path) -> None:
    path = workspace(home, "ws")
    manifest(path)

    assert read_state(path) == WorkspaceState(True, "org/model", CONTENT_HASH, "2026-01-02T03:04:05Z")


def test_only_with_integrity_is_a_workspace_looked_into(home: Path) -> None:
    path = workspace(home, "ws")
    manifest(path)
    integrity = DiskIntegrity()
    integrity.pin(path)

    for store, expected in (
        (WorkspaceHome(home), Cleanliness.UNKNOWN),
        (WorkspaceHome(home, integrity), Cleanliness.CLEAN),
    ):
        records = [*store.records(), store.record_at(str(path)), *store.under(str(path))]
        assert [record.workspace and record.workspace.cleanliness for record in records] == [expected] * 3
    (path / "config.json").write_text("{}")
    (record,) = WorkspaceHome(home, integrity).records()
    assert record.workspace
    assert record.workspace.cleanliness is Cleanliness.MODIFIED


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"{", b"[]", b"1", b"{}", b'{"managed": 1}', b'{"managed": "true"}', b"[" * 100_000],
    ids=lambda content: content[:20].decode(errors="replace"),
)
def test_a_manifest_that_cannot_be_used_manages_nothing(home: Path, content: bytes) -> None:
    path = workspace(home, "ws")
    (path / MANIFEST_NAME).write_bytes(content)

    assert read_state(path) == WorkspaceState(managed=False)


def test_a_manifest_that_is_a_link_a_pipe_or_a_folder_manages_nothing(home: Path) -> None:
    elsewhere = workspace(home, "elsewhere")
    manifest(elsewhere)
    link, pipe, folder = (workspace(home, name) for name in ("link", "pipe", "folder"))
    (link / MANIFEST_NAME).symlink_to(elsewhere / MANIFEST_NAME)
    os.mkfifo(pipe / MANIFEST_NAME)
    (folder / MANIFEST_NAME).mkdir()

    for path in (link, pipe, folder):
        assert read_state(path) == WorkspaceState(managed=False)


@pytest.mark.parametrize("value", [None, 1, "", [], "sha256:short", "md5:" + "a" * 64])
def test_fields_of_another_shape_are_left_out(home: Path, value: object) -> None:
    path = workspace(home, "ws")
    manifest(
        path, content_hash=value, source_repo=value if not isinstance(value, str) else "", hash_modified=7
    )

    state = read_state(path)
    assert (state.managed, state.origin, state.content_hash, state.hash_modified) == (True, None, None, None)


# The bundled model


def test_the_bundled_model_is_called_demo(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    store = BundledModels(tmp_path)

    (record,) = store.records()
    assert (record.name, record.path, record.source) == ("demo", str(tmp_path / "demo"), Source.BUNDLED)
    assert not store.revisions(record)
    with pytest.raises(ModelNotFound):
        store.at_revision(record, "main")


def test_without_its_folder_there_is_no_bundled_model(tmp_path: Path) -> None:
    assert BundledModels(tmp_path).records() == ()


def test_the_stores_fit_their_ports() -> None:
    stores: list[ModelStore] = [WorkspaceHome(None), BundledModels()]
    workspaces: WorkspaceStore = WorkspaceHome(None)
    assert stores
    assert workspaces
