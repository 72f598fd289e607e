"""Deep verification with real digests, real damage, receipts and interruptions."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mlxk.adapters import verifier as verifier_module
from mlxk.adapters.hf_cache import HuggingFaceCache
from mlxk.adapters.snapshot_facts import SnapshotReader
from mlxk.adapters.verifier import DigestVerifier
from mlxk.domain.model import FileFact, ModelRecord, Source
from mlxk.domain.verification import Digest, DigestKind, FileVerdict, Outcome, verifiable
from tests.contract.damaged_models import SHARDS, CachedModel, healthy_sharded_model


@dataclass
class Recorder:
    """A `Progress` that remembers what it heard."""

    total: int | None = None
    done: dict[str, int] = field(default_factory=dict)
    finished: int = 0

    def start(self, phase: str, total: int) -> None:
        assert phase == "verify"
        self.total = total

    def advance(self, file: str, count: int) -> None:
        self.done[file] = self.done.get(file, 0) + count

    def finish(self) -> None:
        self.finished += 1


class Interrupting(Recorder):
    """Ctrl-C when work on a file begins."""

    def __init__(self, at: str) -> None:
        super().__init__()
        self.at = at

    def advance(self, file: str, count: int) -> None:
        if file == self.at:
            raise KeyboardInterrupt
        super().advance(file, count)


@pytest.fixture
def model(hub: Path) -> CachedModel:
    return healthy_sharded_model(hub, "org/model")


@pytest.fixture
def receipts(tmp_path: Path) -> Path:
    return tmp_path / "state" / "receipts"


def work_on(model: CachedModel) -> tuple[ModelRecord, list[tuple[FileFact, Digest]]]:
    (record,) = HuggingFaceCache(model.repository.parent).records()
    return record, verifiable(SnapshotReader().facts(record).files)


def verify(
    model: CachedModel, receipts: Path | None, progress: Recorder | None = None
) -> Sequence[FileVerdict]:
    record, files = work_on(model)
    return list(DigestVerifier(receipts).verify(record, files, progress or Recorder()))


def damage(model: CachedModel, name: str) -> None:
    """Flip one byte; size and modification time stay as they were."""
    blob = model.blob(name)
    status = blob.stat()
    content = bytearray(blob.read_bytes())
    content[-1] ^= 1
    blob.write_bytes(content)
    os.utime(blob, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_whole_model_matches_and_its_second_look_reads_nothing(model: CachedModel, receipts: Path) -> None:
    first, second = verify(model, receipts), verify(model, receipts)

    _, files = work_on(model)
    assert [verdict.path for verdict in first] == [file.path for file, _ in files]
    assert {verdict.outcome for verdict in [*first, *second]} == {Outcome.MATCHES}
    assert not any(verdict.from_receipt for verdict in first)
    assert all(verdict.from_receipt for verdict in second)
    assert [verdict.actual for verdict in first] == [digest.value for _, digest in files]
    assert {digest.kind for _, digest in files} == set(DigestKind)


def test_progress_adds_up_with_and_without_receipts(model: CachedModel, receipts: Path) -> None:
    for _ in range(2):
        progress = Recorder()
        verify(model, receipts, progress)
        assert progress.total == sum(progress.done.values())
        assert progress.finished == 1


@pytest.mark.parametrize("name", [SHARDS[1], "config.json"])
def test_one_flipped_bit_is_found_and_no_other_file_blamed(model: CachedModel, name: str) -> None:
    damage(model, name)

    verdicts = {verdict.path: verdict for verdict in verify(model, None)}
    assert verdicts.pop(name).outcome is Outcome.DIFFERS
    assert {verdict.outcome for verdict in verdicts.values()} == {Outcome.MATCHES}


def test_a_damaged_file_stays_damaged_in_its_receipt(model: CachedModel, receipts: Path) -> None:
    damage(model, SHARDS[0])
    verify(model, receipts)

    (again,) = [verdict for verdict in verify(model, receipts) if verdict.path == SHARDS[0]]
    assert (again.outcome, again.from_receipt) == (Outcome.DIFFERS, True)


@pytest.mark.parametrize("change", ["touched", "grown"])
def test_a_changed_file_is_read_again(model: CachedModel, receipts: Path, change: str) -> None:
    verify(model, receipts)
    blob = model.blob(SHARDS[0])
    if change == "grown":
        status = blob.stat()
        blob.write_bytes(blob.read_bytes() + b"x")
        os.utime(blob, ns=(status.st_atime_ns, status.st_mtime_ns))
    else:
        os.utime(blob, ns=(1, 1))

    read = [verdict for verdict in verify(model, receipts) if not verdict.from_receipt]
    assert [verdict.path for verdict in read] == [SHARDS[0]]
    assert read[0].outcome is (Outcome.DIFFERS if change == "grown" else Outcome.MATCHES)


def test_a_file_that_vanishes_or_is_a_folder_is_unreadable(model: CachedModel) -> None:
    record, files = work_on(model)
    model.blob(SHARDS[0]).unlink()
    config = model.blob("config.json")
    config.unlink()
    config.mkdir()

    verdicts = {verdict.path: verdict for verdict in DigestVerifier(None).verify(record, files, Recorder())}
    assert verdicts[SHARDS[0]].outcome is Outcome.UNREADABLE
    assert verdicts[SHARDS[0]].problem == "No such file or directory"
    assert verdicts["config.json"].outcome is Outcome.UNREADABLE
    assert verdicts[SHARDS[1]].outcome is Outcome.MATCHES


def test_nothing_to_verify_is_nothing(model: CachedModel, receipts: Path) -> None:
    record, _ = work_on(model)
    progress = Recorder()

    assert list(DigestVerifier(receipts).verify(record, [], progress)) == []
    assert (progress.total, progress.finished) == (0, 1)


# Receipts that are of no use

BAD_RECEIPTS = [
    b"",
    b"\xff",
    b"[]",
    b"{}",
    b'{"version": 1}',
    b'{"version": 1, "files": []}',
    b'{"version": 99, "files": {}}',
    b"[" * 100_000,
]


@pytest.mark.parametrize("content", BAD_RECEIPTS, ids=range(len(BAD_RECEIPTS)))
def test_spoilt_receipts_count_as_none_and_are_replaced(
    model: CachedModel, receipts: Path, content: bytes
) -> None:
    verify(model, receipts)
    (file,) = receipts.iterdir()
    file.write_bytes(content)

    assert not any(verdict.from_receipt for verdict in verify(model, receipts))
    assert all(verdict.from_receipt for verdict in verify(model, receipts))


@pytest.mark.parametrize("entry", [None, [], {}, [1, 2, 3, 4], ["1", "2", "sha256", "x"], [1, 2, "sha256"]])
def test_a_spoilt_entry_counts_as_none(model: CachedModel, receipts: Path, entry: object) -> None:
    verify(model, receipts)
    (file,) = receipts.iterdir()
    kept = json.loads(file.read_text())
    kept["files"] = dict.fromkeys(kept["files"], entry)
    file.write_text(json.dumps(kept))

    verdicts = verify(model, receipts)
    assert {verdict.outcome for verdict in verdicts} == {Outcome.MATCHES}
    assert not any(verdict.from_receipt for verdict in verdicts)


def test_where_receipts_cannot_be_written_verification_works(model: CachedModel, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the directory should be")

    for _ in range(2):
        verdicts = verify(model, tmp_path / "state" / "receipts")
        assert {verdict.outcome for verdict in verdicts} == {Outcome.MATCHES}
        assert not any(verdict.from_receipt for verdict in verdicts)


def test_receipts_leave_no_temporary_files(model: CachedModel, receipts: Path) -> None:
    verify(model, receipts)

    (file,) = receipts.iterdir()
    assert file.suffix == ".json"


# Interruptions


def test_an_interruption_keeps_the_receipts_of_finished_files(
    model: CachedModel, receipts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifier_module, "_WORKERS", 1)
    record, files = work_on(model)
    progress = Interrupting(SHARDS[1])

    with pytest.raises(KeyboardInterrupt):
        list(DigestVerifier(receipts).verify(record, files, progress))
    assert progress.finished == 1

    order = [file.path for file, _ in files]
    done = set(order[: order.index(SHARDS[1])])
    again = verify(model, receipts)
    assert {verdict.path for verdict in again if verdict.from_receipt} == done


def test_a_caller_that_stops_listening_stops_the_reading(model: CachedModel, receipts: Path) -> None:
    record, files = work_on(model)
    progress = Recorder()
    verdicts = DigestVerifier(receipts).verify(record, files, progress)
    next(verdicts)
    verdicts.close()  # type: ignore[attr-defined]

    assert progress.finished == 1


def test_ctrl_c_on_a_large_file_ends_at_once_and_quietly(tmp_path: Path) -> None:
    large = tmp_path / "large.bin"
    large.touch()
    os.truncate(large, 40 * 1024**3)
    code = f"""
import _thread, pathlib, sys, threading
from mlxk.adapters.verifier import DigestVerifier
from mlxk.domain.model import FileFact, ModelRecord, Source
from mlxk.domain.verification import Digest, DigestKind
class Silent:
    def start(self, phase, total): pass
    def advance(self, file, count): pass
    def finish(self): print("finished")
record = ModelRecord("x", {str(tmp_path)!r}, Source.CACHE)
work = [(FileFact("large.bin", 1), Digest(DigestKind.SHA256, "0" * 64))]
threading.Timer(0.3, _thread.interrupt_main).start()
try:
    list(DigestVerifier(None).verify(record, work, Silent()))
except KeyboardInterrupt:
    print("interrupted")
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True)
    assert ran.stdout.split() == ["finished", "interrupted"]
    assert ran.stderr == ""


def test_files_of_many_chunks_and_none(tmp_path: Path, receipts: Path) -> None:
    contents = {"empty": b"", "large": os.urandom(9 * 1024 * 1024 + 1), "exact": bytes(4 * 1024 * 1024)}
    work = []
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        work.append(
            (FileFact(name, len(content)), Digest(DigestKind.SHA256, hashlib.sha256(content).hexdigest()))
        )
    record = ModelRecord("x", str(tmp_path), Source.WORKSPACE)

    verdicts = list(DigestVerifier(receipts).verify(record, work, Recorder()))
    assert [verdict.outcome for verdict in verdicts] == [Outcome.MATCHES] * 3
