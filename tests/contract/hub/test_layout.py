"""The cache as the Hub's own client would leave it, file for file, and as it reads it."""

import os
import shutil
from pathlib import Path

import pytest
from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError

from mlxk.adapters.hf_cache import HuggingFaceCache
from mlxk.adapters.hub.client import HuggingFaceHub
from mlxk.adapters.hub.fetcher import HubCacheFetcher
from mlxk.domain.errors import ErrorKind, MlxkError
from mlxk.domain.hub import RepoInfo
from mlxk.domain.naming import RepoId
from mlxk.domain.verification import Trust
from tests.contract.cache.conftest import without_root_rights
from tests.contract.hub.recorder import Recorder
from tests.contract.hub_server import Content, HubServer

MODEL = RepoId("org/model")
FILES: dict[str, bytes | Content] = {
    "config.json": b"{}",
    ".gitattributes": b"*.safetensors filter=lfs",
    "model.safetensors": Content(b"w" * 5000, lfs=True, xet_hash="ab" * 32),
    "onnx/deep/model.gguf": b"g" * 100,
    "onnx/deep/same.json": b"{}",
    "empty.txt": b"",
    "ünï cödé #%?&+.txt": b"x",
}


@pytest.fixture(autouse=True)
def _model(server: HubServer) -> None:
    server.repositories.add("org/model", FILES)


@pytest.fixture
def info(server: HubServer, hub: HuggingFaceHub) -> RepoInfo:
    return hub.describe(MODEL, "main")


def _tree(root: Path) -> dict[str, bytes | str | None]:
    """Every entry: a link's text, a file's bytes, None for a folder. Locks' contents mean nothing."""
    found: dict[str, bytes | str | None] = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_symlink():
            found[name] = str(path.readlink())
        elif path.is_dir():
            found[name] = None
        elif not (name.startswith(".locks/") and "/" in name):
            found[name] = path.read_bytes()
    return found


def _fetch(fetcher: HubCacheFetcher, info: RepoInfo) -> Path:
    result = fetcher.fetch(info, fetcher.missing(info).files, Recorder())
    assert result.complete
    return Path(result.snapshot)


@pytest.mark.parametrize("revision", ["main", "refs/pr/7", "commit"])
def test_the_same_tree_as_the_librarys_own(
    server: HubServer,
    hub: HuggingFaceHub,
    fetcher: HubCacheFetcher,
    cache: Path,
    tmp_path: Path,
    revision: str,
) -> None:
    repository = server.repositories.models["org/model"]
    repository.refs["refs/pr/7"] = repository.refs["main"]
    revision = repository.refs["main"] if revision == "commit" else revision
    theirs = tmp_path / "theirs"
    folder = snapshot_download("org/model", revision=revision, endpoint=server.url, cache_dir=theirs)
    ours = _fetch(fetcher, hub.describe(MODEL, revision))
    assert _tree(cache) == _tree(theirs)
    assert ours.relative_to(cache) == Path(folder).relative_to(theirs)


def test_modes_leave_the_file_to_whom_the_umask_says(
    fetcher: HubCacheFetcher, info: RepoInfo, cache: Path
) -> None:
    before = os.umask(0o002)
    try:
        _fetch(fetcher, info)
    finally:
        os.umask(before)
    for path in (cache / "models--org--model").rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert path.stat().st_mode & 0o777 == 0o664, path


def test_the_library_finds_everything_without_the_network(
    server: HubServer, fetcher: HubCacheFetcher, info: RepoInfo, cache: Path
) -> None:
    snapshot = _fetch(fetcher, info)
    server.traffic.clear()
    assert snapshot_download("org/model", cache_dir=cache, local_files_only=True) == str(snapshot)
    for path in FILES:
        assert hf_hub_download("org/model", path, cache_dir=cache, local_files_only=True) == str(
            snapshot / path
        )
    found = scan_cache_dir(cache)
    assert not found.warnings
    (repository,) = found.repos
    (revision,) = repository.revisions
    assert repository.repo_id == "org/model"
    assert revision.refs == {"main"}
    assert {str(file.file_path.relative_to(snapshot)) for file in revision.files} == set(FILES)
    assert not server.traffic.all()


def test_the_library_downloads_nothing_again(
    server: HubServer, fetcher: HubCacheFetcher, info: RepoInfo, cache: Path
) -> None:
    _fetch(fetcher, info)
    server.traffic.clear()
    snapshot_download("org/model", cache_dir=cache, endpoint=server.url)
    assert not server.traffic.downloads()


def test_what_the_library_downloaded_is_not_downloaded_again(
    server: HubServer, fetcher: HubCacheFetcher, info: RepoInfo, cache: Path
) -> None:
    hf_hub_download("org/model", "model.safetensors", cache_dir=cache, endpoint=server.url)
    server.traffic.clear()
    _fetch(fetcher, info)
    assert not server.traffic.downloads("model.safetensors")
    assert server.traffic.downloads("config.json")


def test_our_own_catalog_sees_it(fetcher: HubCacheFetcher, info: RepoInfo, cache: Path) -> None:
    snapshot = _fetch(fetcher, info)
    (record,) = HuggingFaceCache(cache).records()
    assert (record.name, record.path, record.revision) == ("org/model", str(snapshot), info.commit)


def test_an_interrupted_download_looks_like_none(
    fetcher: HubCacheFetcher, info: RepoInfo, cache: Path
) -> None:
    fetcher.fetch(info, info.files[:2], Recorder())
    with pytest.raises(LocalEntryNotFoundError):
        snapshot_download("org/model", cache_dir=cache, local_files_only=True)
    with pytest.raises(LocalEntryNotFoundError):
        snapshot_download("org/model", revision=info.commit, cache_dir=cache, local_files_only=True)
    assert not scan_cache_dir(cache).warnings


def test_a_half_snapshot_is_completed(
    server: HubServer, fetcher: HubCacheFetcher, info: RepoInfo, cache: Path
) -> None:
    """The library's own half: its entries stay, the rest joins them."""
    entry = Path(hf_hub_download("org/model", "config.json", cache_dir=cache, endpoint=server.url))
    assert not fetcher.missing(info).complete
    assert _fetch(fetcher, info) == entry.parent
    assert fetcher.missing(info).complete


@pytest.mark.parametrize("damage", ["gone", "broken", "elsewhere", "a folder's worth"])
def test_entries_are_put_right_without_a_download(
    server: HubServer, fetcher: HubCacheFetcher, info: RepoInfo, damage: str
) -> None:
    snapshot = _fetch(fetcher, info)
    entry = snapshot / "model.safetensors"
    entry.unlink()
    if damage == "broken":
        entry.symlink_to("nowhere")
    elif damage == "elsewhere":
        entry.symlink_to("../../blobs/" + info.files[0].digest.value)
    elif damage == "a folder's worth":
        for path in FILES:
            (snapshot / path).unlink(missing_ok=True)
    server.traffic.clear()
    lacking = fetcher.missing(info)
    assert lacking.unplaced
    assert not lacking.files
    _fetch(fetcher, info)
    assert entry.read_bytes() == b"w" * 5000
    assert not server.traffic.all()


def test_a_leftover_of_placing_is_no_obstacle(fetcher: HubCacheFetcher, info: RepoInfo, cache: Path) -> None:
    staging = cache / "models--org--model/.mlxk-placing" / info.commit / "onnx"
    staging.mkdir(parents=True)
    (staging / "old").symlink_to("nowhere")
    snapshot = _fetch(fetcher, info)
    assert not (snapshot / "onnx/old").is_symlink()
    assert not (cache / "models--org--model/.mlxk-placing").exists()


def test_a_new_commit_shares_what_stayed(
    server: HubServer, hub: HuggingFaceHub, fetcher: HubCacheFetcher, info: RepoInfo, cache: Path
) -> None:
    first = _fetch(fetcher, info)
    repository = server.repositories.models["org/model"]
    files = dict(repository.commits[info.commit]) | {"config.json": Content(b'{"new": 1}')}
    repository.commit(files)
    later = hub.describe(MODEL, "main")
    lacking = fetcher.missing(later)
    assert [file.path for file in lacking.files] == ["config.json"]
    assert lacking.stale_ref
    second = _fetch(fetcher, later)
    assert first != second
    assert first.joinpath("config.json").read_bytes() == b"{}"
    assert (cache / "models--org--model/refs/main").read_text() == later.commit


def test_volumes_without_links(
    monkeypatch: pytest.MonkeyPatch,
    server: HubServer,
    fetcher: HubCacheFetcher,
    info: RepoInfo,
    cache: Path,
    tmp_path: Path,
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_SYMLINKS", True)
    snapshot = _fetch(fetcher, info)
    assert {path: (snapshot / path).read_bytes() for path in FILES} == {
        path: data.data if isinstance(data, Content) else data for path, data in FILES.items()
    }
    assert not any(path.is_symlink() for path in snapshot.rglob("*"))
    assert not list((cache / "models--org--model/blobs").iterdir())
    assert fetcher.missing(info).complete
    server.traffic.clear()
    _fetch(fetcher, info)
    assert not server.traffic.all()
    assert snapshot_download("org/model", cache_dir=cache, local_files_only=True) == str(snapshot)


def test_what_the_hub_said_is_remembered(
    server: HubServer, fetcher: HubCacheFetcher, info: RepoInfo, cache: Path, tmp_path: Path
) -> None:
    assert fetcher.remembered(MODEL, "main") is None
    snapshot = _fetch(fetcher, info)
    known = fetcher.remembered(MODEL, "main")
    assert known is not None
    assert set(known.files) == set(info.files)
    assert known.commit == info.commit
    assert fetcher.remembered(MODEL, info.commit) is not None
    assert fetcher.remembered(MODEL, "other") is None
    (snapshot / "config.json").unlink()
    assert not fetcher.missing(known).complete


def test_what_the_library_remembers_is_understood(
    server: HubServer, fetcher: HubCacheFetcher, info: RepoInfo, cache: Path
) -> None:
    snapshot_download("org/model", cache_dir=cache, endpoint=server.url)
    known = fetcher.remembered(MODEL, "main")
    assert known is not None
    assert set(known.files) == set(info.files)
    assert fetcher.missing(known).complete


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        '{"format_version": 2, "files": {}}',
        '{"format_version": 1, "files": {"../x": {"size": 1, "blob_id": "' + "a" * 40 + '"}}}',
        '{"format_version": 1, "files": {"x": {"size": 1, "blob_id": "../../x"}}}',
        '{"format_version": 1, "files": {"x": 3}}',
        '{"format_version": 1, "files": {"x": {"size": "1", "blob_id": "' + "a" * 40 + '"}}}',
        "[" * 100_000,
    ],
)
def test_a_damaged_memory_is_none(
    fetcher: HubCacheFetcher, info: RepoInfo, cache: Path, content: str
) -> None:
    _fetch(fetcher, info)
    (cache / f"models--org--model/trees/{info.commit}.json").write_text(content)
    assert fetcher.remembered(MODEL, "main") is None


def test_a_cache_of_somebody_else(fetcher: HubCacheFetcher, info: RepoInfo) -> None:
    with without_root_rights(), pytest.raises(MlxkError) as caught:
        fetcher.fetch(info, info.files, Recorder())
    assert caught.value.kind is ErrorKind.PERMISSION


def test_a_complete_cache_need_not_be_writable(fetcher: HubCacheFetcher, info: RepoInfo, cache: Path) -> None:
    _fetch(fetcher, info)
    shutil.rmtree(cache / ".locks")
    assert _fetch(fetcher, info)
    assert not (cache / ".locks").exists()


def test_a_damaged_entry_that_is_no_link_is_put_right(
    server: HubServer, fetcher: HubCacheFetcher, info: RepoInfo
) -> None:
    entry = _fetch(fetcher, info) / "model.safetensors"
    entry.unlink()
    entry.write_bytes(b"?" * 5000)
    server.traffic.clear()
    _fetch(fetcher, info)
    assert entry.is_symlink()
    assert entry.read_bytes() == b"w" * 5000
    assert not server.traffic.all()


def test_a_damaged_file_on_a_volume_without_links(
    monkeypatch: pytest.MonkeyPatch, fetcher: HubCacheFetcher, info: RepoInfo
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_SYMLINKS", True)
    entry = _fetch(fetcher, info) / "model.safetensors"
    entry.write_bytes(b"?" * 5000)
    result = fetcher.fetch(info, info.files, Recorder(), Trust.DIGEST)
    assert result.downloaded == ("model.safetensors",)
    assert result.complete
    assert entry.read_bytes() == b"w" * 5000


def test_a_cache_that_cannot_be_written(fetcher: HubCacheFetcher, info: RepoInfo, cache: Path) -> None:
    cache.write_text("a file where the cache should be")
    with pytest.raises(MlxkError) as caught:
        fetcher.fetch(info, info.files, Recorder())
    assert caught.value.kind is ErrorKind.PERMISSION
    assert str(cache) in caught.value.message
