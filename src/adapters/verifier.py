"""Deep verification: hashing files against the digests they must have, with receipts.

A receipt says which digest a file had at a size and modification time; while both stand, the file is not
read again. Receipts are one small JSON file per model directory, rewritten after every finished file, so
that stopping loses at most the files being read.
"""

import os
import queue
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from mlxk.adapters.bounded_read import describe, open_regular
from mlxk.adapters.remembered import recall, remember
from mlxk.domain.model import FileFact, JsonValue, ModelRecord
from mlxk.domain.ports import Progress
from mlxk.domain.verification import NO_DIGEST, Digest, DigestKind, FileVerdict, Outcome

__all__ = ["DigestVerifier"]

_CHUNK = 4 * 1024 * 1024
_WORKERS = 2
"""Two files at a time: hashing one leaves a fast disk half idle, more only compete with the user's work."""

_RECEIPTS_VERSION = 2


@dataclass(frozen=True, slots=True)
class _Hashed:
    """What reading a file to its end gave; `status` is None when it changed meanwhile."""

    value: str
    status: os.stat_result | None


@dataclass(frozen=True, slots=True)
class _Done:
    """News from a worker: file number `number` is finished."""

    number: int
    result: _Hashed | BaseException


@dataclass(frozen=True, slots=True)
class _Read:
    """News from a worker: `count` more bytes of file number `number` are hashed."""

    number: int
    count: int


_News: TypeAlias = _Done | _Read


class DigestVerifier:
    """Hashes the files of a model, two at a time, remembering in receipts what was hashed.

    Args:
        receipts: directory for receipts, made when needed; None, or one that cannot be written, only means
            that nothing is remembered.
    """

    def __init__(self, receipts: Path | None) -> None:
        self._receipts = receipts

    def verify(
        self, record: ModelRecord, files: Sequence[tuple[FileFact, Digest]], progress: Progress
    ) -> Iterator[FileVerdict]:
        """Compare each file's content with its expected digest; verdicts come in the order of `files`.

        Closing the iterator, or an interruption inside it, stops the reading within one chunk per worker
        and keeps the receipts of the files that were finished.
        """
        receipts = _Receipts.of(record, self._receipts)
        progress.start("verify", sum(file.size for file, _ in files))
        try:
            with closing(self._verdicts(record, files, receipts, progress)) as verdicts:
                yield from _in_order(verdicts)
        finally:
            progress.finish()

    def _verdicts(
        self,
        record: ModelRecord,
        files: Sequence[tuple[FileFact, Digest]],
        receipts: "_Receipts",
        progress: Progress,
    ) -> Generator[tuple[int, FileVerdict], None, None]:
        unknown: dict[int, tuple[str, DigestKind]] = {}
        for number, (file, digest) in enumerate(files):
            path = os.path.realpath(f"{record.path}/{file.path}")
            known = receipts.digest(path, digest.kind)
            if known is None:
                unknown[number] = (path, digest.kind)
                continue
            progress.advance(file.path, file.size)
            yield number, _verdict(file, digest, known, from_receipt=True)
        with closing(_hash_all(unknown)) as arriving:
            for news in arriving:
                file, digest = files[news.number]
                if isinstance(news, _Read):
                    progress.advance(file.path, news.count)
                    continue
                if isinstance(news.result, _Hashed):
                    receipts.add(unknown[news.number][0], digest.kind, news.result)
                yield news.number, _conclusion(file, digest, news.result)


def _conclusion(file: FileFact, expected: Digest, result: _Hashed | BaseException) -> FileVerdict:
    match result:
        case _Hashed(value=actual):
            return _verdict(file, expected, actual, from_receipt=False)
        case OSError() as error:
            return FileVerdict(file.path, Outcome.UNREADABLE, problem=describe(error))
    raise result


def _verdict(file: FileFact, expected: Digest, actual: str, *, from_receipt: bool) -> FileVerdict:
    outcome = Outcome.MATCHES if actual == expected.value else Outcome.DIFFERS
    if expected == NO_DIGEST:
        outcome = Outcome.NEW
    return FileVerdict(file.path, outcome, actual, from_receipt)


def _in_order(numbered: Iterator[tuple[int, FileVerdict]]) -> Iterator[FileVerdict]:
    waiting: dict[int, FileVerdict] = {}
    following = 0
    for number, verdict in numbered:
        waiting[number] = verdict
        while following in waiting:
            yield waiting.pop(following)
            following += 1


def _hash_all(files: Mapping[int, tuple[str, DigestKind]]) -> Generator[_News, None, None]:
    """Hash files on worker threads; their news arrive on the caller's."""
    from concurrent.futures import ThreadPoolExecutor

    news: queue.SimpleQueue[_News] = queue.SimpleQueue()
    stop = threading.Event()

    def work(number: int, path: str, kind: DigestKind) -> None:
        try:
            news.put(_Done(number, _hash(path, kind, lambda count: news.put(_Read(number, count)), stop)))
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread, which raises it
            news.put(_Done(number, error))

    with ThreadPoolExecutor(min(_WORKERS, len(files)) or 1, thread_name_prefix="verify") as pool:
        try:
            for number, (path, kind) in files.items():
                pool.submit(work, number, path, kind)
            left = len(files)
            while left:
                item = news.get()
                left -= isinstance(item, _Done)
                yield item
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


def _hash(path: str, kind: DigestKind, progressed: Callable[[int], object], stop: threading.Event) -> _Hashed:
    """Hash a file's content.

    Raises:
        OSError: it cannot be read, or the work was stopped.
    """
    import hashlib

    descriptor, status = open_regular(path)
    with os.fdopen(descriptor, "rb", buffering=0) as stream:
        if kind is DigestKind.SHA256:
            digest = hashlib.sha256()
        else:
            digest = hashlib.sha1(b"blob %d\0" % status.st_size, usedforsecurity=False)
        buffer = memoryview(bytearray(min(_CHUNK, status.st_size or 1)))
        while count := stream.readinto(buffer):
            if stop.is_set():
                raise InterruptedError("stopped")
            digest.update(buffer[:count])
            progressed(count)
        after = os.fstat(stream.fileno())
    unchanged = (after.st_size, after.st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    return _Hashed(digest.hexdigest(), status if unchanged else None)


@dataclass(slots=True)
class _Receipts:
    """The receipts of one model directory: real path to `[stamp, kind, digest]`."""

    file: Path | None
    entries: dict[str, JsonValue] = field(default_factory=dict)

    @classmethod
    def of(cls, record: ModelRecord, directory: Path | None) -> "_Receipts":
        """The receipts kept for a record's directory; none without a directory to keep them in."""
        import hashlib

        if directory is None:
            return cls(None)
        key = hashlib.sha256(os.fsencode(os.path.realpath(record.path))).hexdigest()[:32]
        file = directory / f"{key}.json"
        kept = recall(file)
        files = kept.get("files") if kept.get("version") == _RECEIPTS_VERSION else None
        return cls(file, dict(files) if isinstance(files, Mapping) else {})

    def digest(self, path: str, kind: DigestKind) -> str | None:
        """The digest a file is known to have, or None when it must be read."""
        try:
            status = os.stat(path)  # noqa: PTH116
        except OSError:
            return None
        match self.entries.get(path):
            case [list(stamp), str(name), str(value)] if (stamp, name) == (_stamp(status), kind.value):
                return value
        return None

    def add(self, path: str, kind: DigestKind, hashed: _Hashed) -> None:
        """Keep a receipt for a file that stayed as it was while it was read."""
        status = hashed.status
        if self.file is None or status is None:
            return
        self.entries[path] = [_stamp(status), kind.value, hashed.value]
        remember(self.file, {"version": _RECEIPTS_VERSION, "files": self.entries})


def _stamp(status: os.stat_result) -> list[int]:
    """What must be as it was for a receipt to hold.

    Programs can set a modification time back; the time of the last change to the file, which they cannot, and
    the inode show an edit all the same.
    """
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
