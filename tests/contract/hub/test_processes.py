"""Downloads that are killed, interrupted, or not alone."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlxk.adapters.hub.client import HuggingFaceHub
from mlxk.adapters.hub.fetcher import HubCacheFetcher
from mlxk.adapters.hub.remover import HubCacheRemover
from mlxk.domain.model import ModelRecord, Source
from mlxk.domain.naming import RepoId
from tests.contract.hub_server import Fault, HubServer, Trouble
from tests.waiting import bytes_at, until

BIG = os.urandom(6_000_000)
BIG_NAME = "model.safetensors"
DIGEST = hashlib.sha256(BIG).hexdigest()

PROMPTLY = 8
"""Seconds that tell an answer of ours from the client's own time limit (10), even on a busy machine."""


@pytest.fixture(autouse=True)
def _model(server: HubServer) -> None:
    server.repositories.add("org/model", {"config.json": b"{}", BIG_NAME: BIG})


@pytest.fixture
def start(server: HubServer, cache: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def begin(who: str = "ours") -> subprocess.Popen[str]:
        command = [
            sys.executable,
            "-m",
            "tests.contract.hub.pulling",
            server.url,
            str(cache),
            "org/model",
            who,
        ]
        environment = os.environ | {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


Start = Callable[..., subprocess.Popen[str]]


def _partial(cache: Path) -> Path:
    return cache / f"models--org--model/blobs/{DIGEST}.mlxk-partial"


def _begun(cache: Path, count: int) -> Callable[[], bool]:
    return lambda: bytes_at(_partial(cache)) >= count


def _answer(process: subprocess.Popen[str]) -> dict[str, int]:
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    answer: dict[str, int] = json.loads(out)
    return answer


def _left(cache: Path) -> list[str]:
    return sorted(path.name for path in (cache / "models--org--model/blobs").iterdir() if "." in path.name)


def test_after_kill_9_only_the_rest_is_asked_for(server: HubServer, cache: Path, start: Start) -> None:
    server.faults.add(Fault(BIG_NAME, Trouble.HANG, 4_000_000))
    killed = start()
    until(_begun(cache, 4_000_000))
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    kept = _partial(cache).stat().st_size
    assert not (cache / "models--org--model/refs/main").exists()
    server.traffic.clear()
    answer = _answer(start())
    assert answer["resumed"] == kept
    assert answer["bytes"] <= len(BIG) - kept + 2
    assert [request.range for request in server.traffic.downloads(BIG_NAME)] == [f"bytes={kept}-"]
    assert (cache / f"models--org--model/blobs/{DIGEST}").read_bytes() == BIG
    assert _left(cache) == []


def test_killed_again_and_again(server: HubServer, cache: Path, start: Start) -> None:
    """At moments nobody chose; each start goes on, and the end is whole."""
    server.faults.add(Fault(BIG_NAME, Trouble.SLOW, 8_000_000, times=4))
    for _ in range(3):
        killed = start()
        begun = bytes_at(_partial(cache))
        until(_begun(cache, begun + 500_000))
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    assert _answer(start())["complete"]
    starts = [
        int((request.range or "=0-").split("=")[1][:-1]) for request in server.traffic.downloads(BIG_NAME)
    ]
    assert starts == sorted(starts)
    assert starts[-1] >= 1_500_000
    assert (cache / f"models--org--model/blobs/{DIGEST}").read_bytes() == BIG


@pytest.mark.parametrize("trouble", [Trouble.HANG, Trouble.SLOW])
def test_ctrl_c_stops_promptly_and_keeps_what_came(
    server: HubServer, cache: Path, start: Start, trouble: Trouble
) -> None:
    server.faults.add(Fault(BIG_NAME, trouble, 2_000_000))
    interrupted = start()
    until(_begun(cache, 1_000_000))
    begin = time.monotonic()
    interrupted.send_signal(signal.SIGINT)
    interrupted.wait(timeout=10)
    assert time.monotonic() - begin < PROMPTLY
    assert interrupted.returncode == 130
    kept = _partial(cache).stat().st_size
    assert kept >= 1_000_000
    answer = _answer(start())
    assert answer["complete"]
    assert answer["resumed"] == kept


def _looked_twice(server: HubServer) -> bool:
    """Whether a second process has read the file list; soon after it wants the file."""
    return sum("/tree/" in request.path for request in server.traffic.all()) == 2


def test_of_two_at_once_one_downloads(server: HubServer, cache: Path, start: Start) -> None:
    server.faults.add(Fault(BIG_NAME, Trouble.HOLD, 2_000_000))
    first = start()
    until(_begun(cache, 2_000_000))
    second = start()
    until(lambda: _looked_twice(server))
    time.sleep(1.5)
    assert second.poll() is None
    server.faults.release()
    answers = [_answer(first), _answer(second)]
    assert all(answer["complete"] for answer in answers)
    assert sum(answer["bytes"] for answer in answers) == len(BIG) + 2
    assert len(server.traffic.downloads(BIG_NAME)) == 1


def test_two_that_begin_together_share_the_work(server: HubServer, cache: Path, start: Start) -> None:
    files = {f"model-{number}.safetensors": os.urandom(500_000) for number in range(8)}
    server.repositories.add("org/model", files)
    answers = [_answer(process) for process in [start(), start()]]
    assert all(answer["complete"] for answer in answers)
    assert sum(answer["bytes"] for answer in answers) == 4_000_000
    assert len(server.traffic.downloads()) == 8


def test_the_second_takes_over_when_the_first_dies(server: HubServer, cache: Path, start: Start) -> None:
    server.faults.add(Fault(BIG_NAME, Trouble.HANG, 3_000_000))
    first = start()
    until(_begun(cache, 3_000_000))
    second = start()
    time.sleep(1)
    first.send_signal(signal.SIGKILL)
    first.wait()
    answer = _answer(second)
    assert answer["complete"]
    assert answer["resumed"] == 3_000_000


def test_one_lock_is_held_from_the_first_byte_to_the_last(
    server: HubServer, cache: Path, start: Start
) -> None:
    """So that between two small files nobody deletes the model, and nobody takes it for left behind."""
    info = HuggingFaceHub(endpoint=server.url).describe(RepoId("org/model"), "main")
    fetcher = HubCacheFetcher(cache)
    server.faults.add(Fault("config.json", Trouble.HOLD, 0))
    assert not fetcher.is_fetching(info)
    child = start()
    until(lambda: (cache / "models--org--model/blobs" / DIGEST).exists())
    assert fetcher.is_fetching(info)
    model = ModelRecord("org/model", str(cache / "models--org--model"), Source.CACHE)
    remover = HubCacheRemover(cache)
    with remover.alone(model) as held:
        assert ".locks/models--org--model/mlxk.lock" in held
    server.faults.release()
    assert _answer(child)["complete"]
    assert not fetcher.is_fetching(info)
    with remover.alone(model) as held:
        assert held == ()
        assert fetcher.is_fetching(info)
    assert not (cache / ".locks/models--org--model/mlxk.lock").exists()


def test_another_tools_lock_of_a_missing_content_counts(server: HubServer, cache: Path, start: Start) -> None:
    info = HuggingFaceHub(endpoint=server.url).describe(RepoId("org/model"), "main")
    server.faults.add(Fault(BIG_NAME, Trouble.HOLD, 2_000_000))
    library = start("library")
    until(lambda: bool(server.traffic.downloads(BIG_NAME)))
    assert HubCacheFetcher(cache).is_fetching(info)
    server.faults.release()
    assert library.wait(timeout=20) == 0


def test_the_library_is_waited_for(server: HubServer, cache: Path, start: Start) -> None:
    server.faults.add(Fault(BIG_NAME, Trouble.HOLD, 2_000_000))
    library = start("library")
    until(lambda: bool(server.traffic.downloads(BIG_NAME)))
    ours = start()
    until(lambda: _looked_twice(server))
    time.sleep(1.5)
    assert ours.poll() is None
    server.faults.release()
    answer = _answer(ours)
    assert library.wait(timeout=20) == 0
    assert answer["complete"]
    assert answer["bytes"] <= 2
    assert len(server.traffic.downloads(BIG_NAME)) == 1


def test_the_library_waits_for_us(server: HubServer, cache: Path, start: Start) -> None:
    server.faults.add(Fault(BIG_NAME, Trouble.HOLD, 2_000_000))
    ours = start()
    until(_begun(cache, 2_000_000))
    library = start("library")
    until(lambda: _looked_twice(server))
    time.sleep(1.5)
    server.faults.release()
    assert _answer(ours)["complete"]
    assert library.wait(timeout=20) == 0
    assert len(server.traffic.downloads(BIG_NAME)) == 1


def test_what_the_librarys_dead_left_is_removed_in_time(server: HubServer, cache: Path, start: Start) -> None:
    server.faults.add(Fault(BIG_NAME, Trouble.HANG, 1_000_000))
    library = start("library")
    blobs = cache / "models--org--model/blobs"
    until(lambda: any(blobs.glob(f"{DIGEST}.*.incomplete")))
    library.send_signal(signal.SIGKILL)
    library.wait()
    orphans = sorted(blobs.glob("*.incomplete"))
    assert _answer(start())["complete"]
    assert _left(cache) == [orphan.name for orphan in orphans], (
        "younger than the grace period: its process may live elsewhere"
    )
    an_hour_ago = time.time() - 3600
    for orphan in orphans:
        os.utime(orphan, (an_hour_ago, an_hour_ago))
    assert _answer(start())["complete"]
    assert _left(cache) == []
