"""The contract of `Verifier`: files on disk, and contents in memory."""

from collections.abc import Generator
from pathlib import Path

import pytest

from mlxk.adapters.verifier import DigestVerifier
from mlxk.domain.model import FileFact, ModelRecord, Source
from mlxk.domain.ports import Verifier
from mlxk.domain.verification import NO_DIGEST, Digest, DigestKind, Outcome
from tests.memory_ports import MemoryVerifier, ProgressRecorder, digest_of

A, B, C = b"weights" * 1000, b"config", b""


class InMemory:
    """Contents in memory, and receipts that outlive a verifier."""

    def __init__(self, directory: Path) -> None:
        self._contents: dict[str, bytes] = {}
        self._receipts: dict[str, bytes] = {}
        self.record = ModelRecord("org/a", str(directory), Source.CACHE)

    def put(self, path: str, content: bytes | None) -> None:
        self._contents = {key: value for key, value in self._contents.items() if key != path}
        if content is not None:
            self._contents[path] = content

    def verifier(self) -> Verifier:
        return MemoryVerifier(self._contents, self._receipts)


class OnDisk:
    """Files in a directory, and receipts in another."""

    def __init__(self, directory: Path) -> None:
        self._model = directory / "model"
        self._receipts = directory / "receipts"
        self.record = ModelRecord("org/a", str(self._model), Source.CACHE)
        self._model.mkdir()

    def put(self, path: str, content: bytes | None) -> None:
        if content is None:
            (self._model / path).unlink()
        else:
            (self._model / path).write_bytes(content)

    def verifier(self) -> Verifier:
        return DigestVerifier(self._receipts)


Place = InMemory | OnDisk


@pytest.fixture(params=[InMemory, OnDisk])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    made: Place = request.param(tmp_path)
    for path, content in (("a", A), ("b", B), ("c", C)):
        made.put(path, content)
    return made


def expected(*paths: str) -> list[tuple[FileFact, Digest]]:
    contents = {"a": (A, DigestKind.SHA256), "b": (B, DigestKind.GIT_BLOB_SHA1), "c": (C, DigestKind.SHA256)}
    return [(FileFact(path, len(contents[path][0])), digest_of(*contents[path])) for path in paths]


def test_verdicts_come_in_order_and_match(place: Place) -> None:
    progress = ProgressRecorder()
    verdicts = list(place.verifier().verify(place.record, expected("b", "a", "c"), progress))
    assert [(verdict.path, verdict.outcome) for verdict in verdicts] == [
        (path, Outcome.MATCHES) for path in ("b", "a", "c")
    ]
    assert [verdict.actual for verdict in verdicts] == [digest.value for _, digest in expected("b", "a", "c")]
    assert not any(verdict.from_receipt for verdict in verdicts)


def test_progress_starts_once_reaches_the_total_and_ends_once(place: Place) -> None:
    progress = ProgressRecorder()
    list(place.verifier().verify(place.record, expected("a", "b"), progress))
    ((_, total),) = progress.started
    assert total == len(A) + len(B)
    assert progress.done == {"a": len(A), "b": len(B)}
    assert progress.finished == 1


def test_other_content_differs_and_says_what_it_is(place: Place) -> None:
    damaged = b"W" + A[1:]
    place.put("a", damaged)
    (verdict,) = place.verifier().verify(place.record, expected("a"), ProgressRecorder())
    assert verdict.outcome is Outcome.DIFFERS
    assert verdict.actual == digest_of(damaged, DigestKind.SHA256).value


def test_a_file_that_is_gone_is_unreadable_and_hides_no_other(place: Place) -> None:
    place.put("a", None)
    gone, other = place.verifier().verify(place.record, expected("a", "b"), ProgressRecorder())
    assert (gone.outcome, gone.actual) == (Outcome.UNREADABLE, None)
    assert gone.problem
    assert other.outcome is Outcome.MATCHES


def test_a_second_run_reads_nothing_again(place: Place) -> None:
    list(place.verifier().verify(place.record, expected("a", "b"), ProgressRecorder()))
    progress = ProgressRecorder()
    again = list(place.verifier().verify(place.record, expected("a", "b"), progress))
    assert all(verdict.from_receipt and verdict.outcome is Outcome.MATCHES for verdict in again)
    assert sum(progress.done.values()) == len(A) + len(B)


def test_a_receipt_remembers_damage_too(place: Place) -> None:
    place.put("b", b"CONFIG")
    for _ in range(2):
        (verdict,) = place.verifier().verify(place.record, expected("b"), ProgressRecorder())
        assert verdict.outcome is Outcome.DIFFERS


def test_a_changed_file_is_read_again(place: Place) -> None:
    list(place.verifier().verify(place.record, expected("b"), ProgressRecorder()))
    place.put("b", b"a longer config")
    (verdict,) = place.verifier().verify(place.record, expected("b"), ProgressRecorder())
    assert (verdict.outcome, verdict.from_receipt) == (Outcome.DIFFERS, False)


def test_stopping_early_ends_the_progress_and_keeps_what_is_done(place: Place) -> None:
    progress = ProgressRecorder()
    verdicts = place.verifier().verify(place.record, expected("a", "b"), progress)
    assert isinstance(verdicts, Generator)
    assert next(verdicts).path == "a"
    verdicts.close()
    assert progress.finished == 1
    first, *_ = place.verifier().verify(place.record, expected("a", "b"), ProgressRecorder())
    assert first.from_receipt


def test_a_file_of_which_nobody_stated_a_digest_is_hashed(place: Place) -> None:
    (verdict,) = place.verifier().verify(
        place.record, [(FileFact("a", len(A)), NO_DIGEST)], ProgressRecorder()
    )
    assert (verdict.outcome, verdict.actual) == (Outcome.NEW, digest_of(A, DigestKind.SHA256).value)


def test_nothing_to_verify_is_no_work(place: Place) -> None:
    progress = ProgressRecorder()
    assert list(place.verifier().verify(place.record, [], progress)) == []
    assert progress.finished == len(progress.started)
