"""Downloading: every fault, and what the cache holds afterwards."""

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mlxk.adapters.hub.blob_download import BlobSource
from mlxk.adapters.hub.client import HuggingFaceHub
from mlxk.adapters.hub.fetcher import HubCacheFetcher
from mlxk.domain.errors import ErrorKind, MlxkError
from mlxk.domain.hub import FetchResult, Holdings, RepoInfo, missing
from mlxk.domain.naming import RepoId
from mlxk.domain.verification import Trust
from tests.contract.hub.conftest import IMPATIENT
from tests.contract.hub.recorder import Recorder
from tests.contract.hub_server import Access, Content, Fault, HubServer, Place, Trouble

MODEL = RepoId("org/model")
BIG = os.urandom(3_000_000)
SMALL = b'{"model_type": "qwen3"}'
BIG_NAME = "model.safetensors"

Pull = Callable[[], FetchResult]

PROMPTLY = 8
"""Seconds that tell an answer of ours from the client's own time limit (10), even on a busy machine."""


@pytest.fixture(autouse=True)
def _model(server: HubServer) -> None:
    server.repositories.add("org/model", {"config.json": SMALL, BIG_NAME: BIG})


@pytest.fixture
def info(server: HubServer, hub: HuggingFaceHub) -> RepoInfo:
    return hub.describe(MODEL, "main")


@pytest.fixture
def pull(fetcher: HubCacheFetcher, info: RepoInfo) -> Pull:
    return lambda: fetcher.fetch(info, fetcher.missing(info).files, Recorder())


def _failure(pull: Pull) -> MlxkError:
    with pytest.raises(MlxkError) as caught:
        pull()
    for text in (caught.value.message, caught.value.hint or ""):
        assert "Signature" not in text
        assert "http" not in text
    assert caught.value.__cause__ is None or isinstance(caught.value.__cause__, OSError)
    return caught.value


def _blobs(cache: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in (cache / "models--org--model/blobs").iterdir()}


def _snapshot(cache: Path, info: RepoInfo) -> Path:
    return cache / "models--org--model/snapshots" / info.commit


def _ranges(server: HubServer) -> list[str | None]:
    return [request.range for request in server.traffic.downloads(BIG_NAME)]


def test_a_whole_model(cache: Path, info: RepoInfo, fetcher: HubCacheFetcher) -> None:
    progress = Recorder()
    before = fetcher.missing(info)
    assert (before.bytes, before.begun, before.complete) == (len(BIG) + len(SMALL), 0, False)
    result = fetcher.fetch(info, before.files, progress)
    assert result.complete
    assert result.downloaded == ("config.json", BIG_NAME)
    assert result.bytes_downloaded == len(BIG) + len(SMALL)
    assert Path(result.snapshot, BIG_NAME).read_bytes() == BIG
    assert progress.last == {"config.json": len(SMALL), BIG_NAME: len(BIG)}
    assert progress.total == len(BIG) + len(SMALL)
    assert progress.finished == 1
    assert fetcher.missing(info).complete
    assert not fetcher.missing(info).stale_ref


def test_a_second_time_nothing_is_asked(server: HubServer, pull: Pull) -> None:
    pull()
    server.traffic.clear()
    assert pull().downloaded == ()
    assert not server.traffic.all()


@pytest.mark.parametrize("trouble", [Trouble.CUT, Trouble.RESET, Trouble.HANG, Trouble.CHUNKED_CUT])
def test_a_lost_connection_continues_at_its_last_byte(
    server: HubServer, pull: Pull, trouble: Trouble
) -> None:
    server.faults.add(Fault(BIG_NAME, trouble, 1_000_000), Fault(BIG_NAME, trouble, 500_000))
    result = pull()
    assert result.complete
    assert result.bytes_downloaded == len(BIG) + len(SMALL)
    assert _ranges(server) == [None, "bytes=1000000-", "bytes=1500000-"]


@pytest.mark.parametrize(("status", "retry_after"), [(429, "1"), (429, None), (500, None), (503, "0")])
def test_a_bad_moment_is_waited_out(
    server: HubServer, pull: Pull, status: int, retry_after: str | None
) -> None:
    server.faults.add(Fault(BIG_NAME, Trouble.STATUS, status, retry_after=retry_after))
    assert pull().complete


def test_an_error_with_an_odd_body_is_one_like_others(server: HubServer, pull: Pull) -> None:
    server.faults.add(Fault(BIG_NAME, Trouble.ODD_STATUS, 503))
    assert pull().complete


def test_giving_up_keeps_what_came(server: HubServer, cache: Path, info: RepoInfo, pull: Pull) -> None:
    server.faults.add(
        Fault(BIG_NAME, Trouble.CUT, 1_000_000),
        Fault(BIG_NAME, Trouble.STATUS, 503, times=IMPATIENT.attempts),
    )
    failure = _failure(pull)
    assert failure.kind is ErrorKind.NETWORK
    assert BIG_NAME in failure.message
    digest = hashlib.sha256(BIG).hexdigest()
    assert _blobs(cache)[f"{digest}.mlxk-partial"] == 1_000_000
    assert not _snapshot(cache, info).exists()
    assert not (cache / "models--org--model/refs/main").exists()
    server.traffic.clear()
    result = pull()
    assert result.complete
    assert result.bytes_resumed == 1_000_000
    assert _ranges(server) == ["bytes=1000000-"]


def test_connections_that_only_end_are_given_up(server: HubServer, pull: Pull) -> None:
    server.faults.add(Fault(BIG_NAME, Trouble.CHUNKED_CUT, 0, times=50))
    assert _failure(pull).kind is ErrorKind.NETWORK
    assert len(_ranges(server)) == IMPATIENT.attempts


def test_a_silent_hub_is_given_up(server: HubServer, pull: Pull) -> None:
    server.faults.add(Fault(BIG_NAME, Trouble.SILENT, times=50))
    begin = time.monotonic()
    assert _failure(pull).kind is ErrorKind.NETWORK
    assert time.monotonic() - begin < PROMPTLY


def test_a_long_retry_after_is_not_waited_for(server: HubServer, pull: Pull) -> None:
    server.faults.add(Fault(BIG_NAME, Trouble.STATUS, 429, retry_after="7200"))
    assert "7200 seconds" in (_failure(pull).hint or "")


def test_a_slow_hub_is_fine(server: HubServer, pull: Pull) -> None:
    server.faults.add(Fault("config.json", Trouble.SLOW, 20))
    assert pull().complete


def test_an_answer_without_length(server: HubServer, pull: Pull) -> None:
    server.faults.add(Fault(BIG_NAME, Trouble.NO_LENGTH))
    assert pull().complete


@pytest.mark.parametrize("trouble", [Trouble.IGNORE_RANGE, Trouble.WRONG_RANGE])
def test_ranges_that_are_not_honoured(server: HubServer, pull: Pull, trouble: Trouble) -> None:
    server.faults.add(Fault(BIG_NAME, Trouble.CUT, 1_000_000), Fault(BIG_NAME, trouble))
    result = pull()
    assert result.complete
    assert Path(result.snapshot, BIG_NAME).read_bytes() == BIG


@pytest.mark.parametrize("path", ["config.json", BIG_NAME])
@pytest.mark.parametrize("trouble", [Trouble.WRONG_BYTES, Trouble.TRUNCATED, Trouble.PADDED])
def test_wrong_content_is_fetched_once_more(
    server: HubServer, pull: Pull, path: str, trouble: Trouble
) -> None:
    server.faults.add(Fault(path, trouble, 7))
    result = pull()
    assert result.complete
    assert Path(result.snapshot, BIG_NAME).read_bytes() == BIG
    assert Path(result.snapshot, "config.json").read_bytes() == SMALL


@pytest.mark.parametrize("path", ["config.json", BIG_NAME])
@pytest.mark.parametrize("trouble", [Trouble.WRONG_BYTES, Trouble.TRUNCATED, Trouble.PADDED])
def test_wrong_content_twice_is_an_error_that_names_the_file(
    server: HubServer, cache: Path, info: RepoInfo, pull: Pull, path: str, trouble: Trouble
) -> None:
    server.faults.add(Fault(path, trouble, 7, times=2))
    failure = _failure(pull)
    assert failure.kind is ErrorKind.DOWNLOAD_FAILED
    assert f"'{path}'" in failure.message
    digest = {file.path: file.digest.value for file in info.files}[path]
    assert not [name for name in _blobs(cache) if name.startswith(digest)]
    assert not _snapshot(cache, info).exists()
    assert pull().complete


@pytest.mark.parametrize("lfs", [False, True])
@pytest.mark.parametrize("size", [0, 10, 10_000_000])
def test_a_hub_that_lies_about_sizes(
    server: HubServer, hub: HuggingFaceHub, fetcher: HubCacheFetcher, size: int, lfs: bool
) -> None:
    server.repositories.add("org/liar", {"x": Content(b"x" * 100, lfs=lfs, listed_size=size)})
    info = hub.describe(RepoId("org/liar"), "main")
    failure = _failure(lambda: fetcher.fetch(info, info.files, Recorder()))
    assert failure.kind is ErrorKind.DOWNLOAD_FAILED
    assert "'x'" in failure.message


def test_a_hub_that_lies_about_a_digest(
    server: HubServer, hub: HuggingFaceHub, fetcher: HubCacheFetcher, cache: Path
) -> None:
    server.repositories.add("org/liar", {"x": Content(b"x" * 100, lfs=True, listed_digest="ab" * 32)})
    info = hub.describe(RepoId("org/liar"), "main")
    assert _failure(lambda: fetcher.fetch(info, info.files, Recorder())).kind is ErrorKind.DOWNLOAD_FAILED
    assert not list((cache / "models--org--liar/blobs").iterdir())


def test_another_file_under_the_same_name_is_not_joined_to_the_first(
    server: HubServer, hub: HuggingFaceHub, fetcher: HubCacheFetcher, cache: Path
) -> None:
    """A partial whose bytes are not the file's: seen at its end, and fetched anew."""
    info = hub.describe(MODEL, "main")
    blobs = cache / "models--org--model/blobs"
    blobs.mkdir(parents=True)
    digest = hashlib.sha256(BIG).hexdigest()
    (blobs / f"{digest}.mlxk-partial").write_bytes(b"?" * 1000)
    result = fetcher.fetch(info, info.files, Recorder())
    assert result.complete
    assert _ranges(server) == ["bytes=1000-", None]
    assert Path(result.snapshot, BIG_NAME).read_bytes() == BIG


@pytest.mark.parametrize("begun", [len(BIG), len(BIG) + 5])
def test_a_partial_that_is_whole_or_too_long(
    server: HubServer, fetcher: HubCacheFetcher, info: RepoInfo, cache: Path, begun: int
) -> None:
    blobs = cache / "models--org--model/blobs"
    blobs.mkdir(parents=True)
    digest = hashlib.sha256(BIG).hexdigest()
    (blobs / f"{digest}.mlxk-partial").write_bytes((BIG + b"extra")[:begun])
    assert fetcher.fetch(info, info.files, Recorder()).complete
    assert _ranges(server) == ([] if begun == len(BIG) else [None])


def test_very_large_files_are_asked_for_in_parts(server: HubServer, cache: Path, info: RepoInfo) -> None:
    source = BlobSource(endpoint=server.url, timeout=2, retries=IMPATIENT, largest_request=1_250_000)
    fetcher = HubCacheFetcher(cache, source)
    server.faults.add(Fault(BIG_NAME, Trouble.CUT, 250_000))
    assert fetcher.fetch(info, info.files, Recorder()).complete
    assert _ranges(server) == [
        "bytes=0-1249999",
        "bytes=250000-1499999",
        "bytes=1500000-2749999",
        "bytes=2750000-",
    ]


def test_equal_files_are_downloaded_once(
    server: HubServer, hub: HuggingFaceHub, fetcher: HubCacheFetcher
) -> None:
    server.repositories.add("org/twins", {"a.json": b"same", "b/c.json": b"same", "empty": b"", "void": b""})
    info = hub.describe(RepoId("org/twins"), "main")
    result = fetcher.fetch(info, info.files, Recorder())
    assert result.complete
    assert Path(result.snapshot, "b/c.json").read_bytes() == b"same"
    assert Path(result.snapshot, "void").read_bytes() == b""
    assert len(server.traffic.downloads()) == 1


def test_the_token_stays_with_the_hub(
    server: HubServer, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.repositories.users["hf_anna_token"] = "anna"
    server.repositories.add("org/gated", {BIG_NAME: BIG}, Access.GATED, frozenset({"anna"}))
    hub = HuggingFaceHub(endpoint=server.url, token="hf_anna_token")
    info = hub.describe(RepoId("org/gated"), "main")
    source = BlobSource(endpoint=server.url, token="hf_anna_token", retries=IMPATIENT)
    assert HubCacheFetcher(cache, source).fetch(info, info.files, Recorder()).complete
    by_place = {request.place: request.authorization for request in server.traffic.all()}
    assert by_place[Place.RESOLVE] == "Bearer hf_anna_token"
    assert by_place[Place.BYTES] is None


def test_gated_files_are_not_handed_out(
    server: HubServer, hub: HuggingFaceHub, fetcher: HubCacheFetcher
) -> None:
    server.repositories.add("org/gated", {"config.json": SMALL}, Access.GATED)
    info = hub.describe(RepoId("org/gated"), "main")
    with pytest.raises(MlxkError) as caught:
        fetcher.fetch(info, info.files, Recorder())
    assert caught.value.kind is ErrorKind.ACCESS_DENIED


def test_a_file_that_is_gone_from_the_hub(server: HubServer, info: RepoInfo, pull: Pull) -> None:
    commits = server.repositories.models["org/model"].commits
    commits[info.commit] = {"config.json": Content(SMALL)}
    failure = _failure(pull)
    assert failure.kind is ErrorKind.DOWNLOAD_FAILED
    assert BIG_NAME in failure.message


def test_an_expired_signature(server: HubServer, pull: Pull) -> None:
    server.faults.add(Fault(BIG_NAME, Trouble.STATUS, 403, times=9))
    assert _failure(pull).kind is ErrorKind.DOWNLOAD_FAILED


def test_offline(monkeypatch: pytest.MonkeyPatch, server: HubServer, pull: Pull) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    server.traffic.clear()
    with pytest.raises(MlxkError) as caught:
        pull()
    assert caught.value.kind is ErrorKind.NETWORK
    assert not server.traffic.all()


def test_only_the_damaged_files_come_again(
    server: HubServer, fetcher: HubCacheFetcher, hub: HuggingFaceHub, info: RepoInfo, pull: Pull, cache: Path
) -> None:
    snapshot = Path(pull().snapshot)
    snapshot.joinpath(BIG_NAME).resolve().write_bytes(b"?" * len(BIG))
    at_commit = hub.describe(MODEL, info.commit)
    server.traffic.clear()
    assert fetcher.missing(at_commit).complete
    assert fetcher.fetch(at_commit, at_commit.files, Recorder()).downloaded == ()
    result = fetcher.fetch(at_commit, at_commit.files, Recorder(), Trust.DIGEST)
    assert result.downloaded == (BIG_NAME,)
    assert result.complete
    assert snapshot.joinpath(BIG_NAME).read_bytes() == BIG
    assert len(server.traffic.downloads()) == 1


def test_a_shorter_blob_is_replaced(pull: Pull) -> None:
    snapshot = Path(pull().snapshot)
    snapshot.joinpath(BIG_NAME).resolve().write_bytes(b"short")
    assert pull().downloaded == (BIG_NAME,)
    assert snapshot.joinpath(BIG_NAME).read_bytes() == BIG


def test_a_part_of_a_model_makes_no_snapshot(cache: Path, fetcher: HubCacheFetcher, info: RepoInfo) -> None:
    only = [file for file in info.files if file.path == "config.json"]
    result = fetcher.fetch(info, only, Recorder())
    assert not result.complete
    assert not _snapshot(cache, info).exists()
    assert fetcher.fetch(info, info.files, Recorder()).complete


def test_no_room(server: HubServer, cache: Path, hub: HuggingFaceHub, fetcher: HubCacheFetcher) -> None:
    server.repositories.add("org/huge", {"x": Content(b"x", lfs=True, listed_size=10**18)})
    info = hub.describe(RepoId("org/huge"), "main")
    server.traffic.clear()
    with pytest.raises(MlxkError) as caught:
        fetcher.fetch(info, info.files, Recorder())
    assert caught.value.kind is ErrorKind.INSUFFICIENT_DISK
    assert not server.traffic.all()


def test_a_disk_that_fills_up(pull: Pull, cache: Path, server: HubServer) -> None:
    """A limit on the size of files is how a process can fill a disk of its own."""
    import resource
    import signal

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        failure = _failure(pull)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert failure.kind is ErrorKind.INSUFFICIENT_DISK
    assert pull().bytes_resumed == 1_000_000


def test_what_is_missing_is_a_matter_of_sizes(info: RepoInfo) -> None:
    big = next(file for file in info.files if file.path == BIG_NAME)
    found = missing(info, Holdings({}, {big.digest.value: 1000}, frozenset()))
    assert found.bytes == len(BIG) + len(SMALL) - 1000
    assert found.begun == 1000
