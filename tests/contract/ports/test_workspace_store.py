"""The contract of `WorkspaceStore`: directories on disk, and their stand-in in memory."""

from pathlib import Path

import pytest

from mlxk.adapters.workspaces import WorkspaceHome
from mlxk.domain.errors import ErrorKind, MlxkError, ModelNotFound
from mlxk.domain.model import Source
from mlxk.domain.ports import WorkspaceStore
from tests.memory_ports import MemoryWorkspaceStore

WORKSPACES = ("home/alpha", "home/alpine", "home/beta", "elsewhere/gamma")
DIRECTORIES = ("home", "home/empty", "elsewhere")


@pytest.fixture(params=["memory", "disk"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WorkspaceStore:
    """A home with three workspaces and an empty directory, and one workspace elsewhere."""
    monkeypatch.chdir(tmp_path)
    workspaces = [tmp_path / path for path in WORKSPACES]
    directories = [tmp_path / path for path in DIRECTORIES]
    if request.param == "memory":
        return MemoryWorkspaceStore(
            str(tmp_path / "home"), [*map(str, workspaces)], [*map(str, directories)], str(tmp_path)
        )
    for directory in (*directories, *workspaces):
        directory.mkdir(parents=True, exist_ok=True)
    for workspace in workspaces:
        (workspace / "config.json").write_text("{}")
    return WorkspaceHome(tmp_path / "home")


def test_records_are_the_workspaces_of_the_home(store: WorkspaceStore, tmp_path: Path) -> None:
    found = store.records()
    assert [record.name for record in found] == [
        str(tmp_path / path) for path in WORKSPACES if path.startswith("home/")
    ]
    for record in found:
        assert (record.path, record.source) == (record.name, Source.WORKSPACE)
        assert (record.revision, record.display_name) == (None, None)
        assert record.workspace is not None


def test_without_a_home_there_are_none() -> None:
    for store in (MemoryWorkspaceStore(), WorkspaceHome(None)):
        assert list(store.records()) == []


@pytest.mark.parametrize("typed", ["./elsewhere/gamma", "elsewhere/../elsewhere/gamma/", "./home/beta"])
def test_a_relative_path_is_remembered(store: WorkspaceStore, tmp_path: Path, typed: str) -> None:
    record = store.record_at(typed)
    assert record.name == str((tmp_path / typed).resolve())
    assert record.display_name == typed


def test_an_absolute_path_needs_no_other_name(store: WorkspaceStore, tmp_path: Path) -> None:
    record = store.record_at(str(tmp_path / "home/beta"))
    assert (record.name, record.display_name) == (str(tmp_path / "home/beta"), None)


@pytest.mark.parametrize("typed", ["./nowhere", "./home/empty", "./home", "./elsewhere"])
def test_a_path_without_a_model_says_so(store: WorkspaceStore, typed: str) -> None:
    with pytest.raises(MlxkError) as caught:
        store.record_at(typed)
    assert caught.value.kind is ErrorKind.WORKSPACE_NOT_FOUND
    assert typed in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("prefix", "names"),
    [
        ("./home", ["./home/alpha", "./home/alpine", "./home/beta"]),
        ("./home/", ["./home/alpha", "./home/alpine", "./home/beta"]),
        ("./home/al", ["./home/alpha", "./home/alpine"]),
        ("./home/alpha", ["./home/alpha"]),
        ("./home/empty", []),
        ("./home/x", []),
        ("./no/such", []),
    ],
)
def test_a_prefix_lists_workspaces_as_they_were_asked_for(
    store: WorkspaceStore, prefix: str, names: list[str]
) -> None:
    assert [record.display_name for record in store.under(prefix)] == names


def test_the_working_directory_lists_its_workspaces(
    store: WorkspaceStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(store.under(".")) == []
    assert [record.name for record in store.under(str(tmp_path / "elsewhere"))] == [
        str(tmp_path / "elsewhere/gamma")
    ]


def test_workspaces_have_no_revisions(store: WorkspaceStore) -> None:
    record = store.records()[0]
    assert list(store.revisions(record)) == []
    with pytest.raises(ModelNotFound):
        store.at_revision(record, "main")
