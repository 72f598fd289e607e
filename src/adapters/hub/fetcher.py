"""Bringing a cache directory to what the Hub describes: a few downloads at a time, then all in its place.

The order makes a half download look like one to every tool: contents first, each verified before it gets its
name; then the file list; then the snapshot, at once; the ref last.
"""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from mlxk.adapters.hub.blob_download import BlobDownload, BlobSource, Received, Stopped
from mlxk.adapters.hub.cache_layout import RepoFolder
from mlxk.adapters.hub.digests import file_digest
from mlxk.adapters.hub.failures import Asked, as_mlxk_error, is_logged_in
from mlxk.adapters.hub.orphans import remove_orphans, try_lock
from mlxk.domain.errors import MlxkError
from mlxk.domain.hub import (
    FetchResult,
    HubFile,
    Missing,
    RepoInfo,
    bytes_to_download,
    check_file_names,
    missing,
    space_shortage,
)
from mlxk.domain.naming import RepoId
from mlxk.domain.ports import Progress
from mlxk.domain.verification import Trust

__all__ = ["HubCacheFetcher"]

_WORKERS = 4
_LOCK_POLL = 0.5
"""Seconds between looks at how far another process has come."""

_GLANCE = 0.05
"""Seconds after which a lock counts as held."""

_PATIENCE = 0.5
"""Seconds that an interrupted fetch waits for its threads; a silent connection would hold them longer."""


@dataclass(frozen=True, slots=True)
class _Advanced:
    """News: so many bytes of a file are there."""

    file: HubFile
    position: int


@dataclass(frozen=True, slots=True)
class _Finished:
    """News: a file's content is there; `received` is None when it was there already."""

    file: HubFile
    received: Received | None


@dataclass(frozen=True, slots=True)
class _Failed:
    """News: a file cannot be had."""

    error: BaseException


_News: TypeAlias = _Advanced | _Finished | _Failed


class HubCacheFetcher:
    """Downloads into one cache directory, laid out as `huggingface_hub` does.

    Args:
        root: the cache (`hub`) directory, made when needed.
        source: where contents come from.
    """

    def __init__(self, root: Path, source: BlobSource | None = None) -> None:
        self._root = root
        self._source = source or BlobSource()

    def missing(self, info: RepoInfo) -> Missing:
        """What the cache lacks of a repository, by size."""
        return missing(info, RepoFolder(self._root, info.repo_id).holdings(info))

    def remembered(self, repo_id: RepoId, revision: str) -> RepoInfo | None:
        """What the Hub said of a revision when it was last downloaded, here or by the Hub's own client."""
        return RepoFolder(self._root, repo_id).remembered(revision)

    def is_fetching(self, info: RepoInfo) -> bool:
        """Whether another process holds the model's own lock, or another tool that of a missing content."""
        folder = RepoFolder(self._root, info.repo_id)
        contents = [folder.lock(file.digest.value) for file in self.missing(info).files]
        return any(_is_held(lock) for lock in (folder.own_lock, *contents))

    def free_bytes(self) -> int:
        """Bytes that may still be written to the cache's volume."""
        import shutil

        for folder in (self._root, *self._root.parents):
            with suppress(OSError):  # not there yet, or not ours to look at
                return shutil.disk_usage(folder).free
        return 0

    def fetch(
        self, info: RepoInfo, files: Sequence[HubFile], progress: Progress, trust: Trust = Trust.SIZE
    ) -> FetchResult:
        """Download the given files, verify each, and put everything in its place.

        Raises:
            MlxkError: as the port says.
        """
        check_file_names([file.path for file in info.files])
        folder = RepoFolder(self._root, info.repo_id)
        wanted = _each_content_once(files)
        before = self.missing(info)
        if not wanted and before.complete and not before.stale_ref:  # the cache may be one we cannot write to
            remove_orphans(folder)
            folder.tidy()
            return FetchResult(str(folder.snapshot(info.commit)), (), 0, 0, complete=True)
        run = _Fetch(folder, info, self._source, trust)
        with _shown(progress, wanted), _alone(folder, info, lambda: run.tell_what_is_there(wanted, progress)):
            remove_orphans(folder)
            with _disk_errors(info):
                folder.prepare()
            needed = bytes_to_download(wanted, folder.holdings(info), trust)
            if shortage := space_shortage(needed, self.free_bytes()):
                raise shortage
            received = run.run(wanted, progress)
            with _disk_errors(info), _held(folder, info.commit):
                complete = self._put_in_place(folder, info, files)
        return FetchResult(
            snapshot=str(folder.snapshot(info.commit)),
            downloaded=tuple(sorted(file.path for file in received)),
            bytes_downloaded=sum(one.downloaded for one in received.values()),
            bytes_resumed=sum(one.resumed for one in received.values()),
            complete=complete,
        )

    def _put_in_place(self, folder: RepoFolder, info: RepoInfo, files: Sequence[HubFile]) -> bool:
        left = self.missing(info)
        if left.files:
            if folder.snapshot(info.commit).is_dir():
                mine = {file.path for file in files}
                folder.place(info.commit, [file for file in left.unplaced if file.path in mine])
            return False
        folder.remember(info)
        if left.unplaced or not folder.snapshot(info.commit).is_dir():
            folder.place(info.commit, left.unplaced)
        if left.stale_ref:
            folder.set_ref(info.revision, info.commit)
        return self.missing(info).complete


class _Fetch:
    """One run: worker threads that download, and the caller's thread that hears of it."""

    def __init__(self, folder: RepoFolder, info: RepoInfo, source: BlobSource, trust: Trust) -> None:
        self._folder = folder
        self._info = info
        self._source = source
        self._trust = trust
        self._stop = threading.Event()
        self._positions: dict[HubFile, int] = {}
        self._waiting: queue.SimpleQueue[HubFile] = queue.SimpleQueue()
        self._news: queue.SimpleQueue[_News] = queue.SimpleQueue()

    def run(self, files: Sequence[HubFile], progress: Progress) -> dict[HubFile, Received]:
        """Download each file; the first failure stops the others, which keep what they have."""
        for file in sorted(files, key=lambda file: (-file.size, file.path)):
            self._waiting.put(file)
        # Daemons: a thread that listens to a silent server must not keep an interrupted process alive.
        threads = [
            threading.Thread(target=self._work, name=f"download-{number}", daemon=True)
            for number in range(min(_WORKERS, len(files)))
        ]
        try:
            for thread in threads:
                thread.start()
            return self._listen(len(files), progress)
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(_PATIENCE / len(threads))

    def tell_what_is_there(self, files: Sequence[HubFile], progress: Progress) -> None:
        """While another process is at it, its progress is ours."""
        for file in files:
            for path in (self._folder.blob(file), self._folder.partial(file)):
                with suppress(OSError):
                    position = min(path.stat().st_size, file.size)
                    if position != self._positions.get(file, 0):
                        self._advance(file, position, progress)
                    break

    def _advance(self, file: HubFile, position: int, progress: Progress) -> None:
        progress.advance(file.path, position - self._positions.get(file, 0))
        self._positions[file] = position

    def _listen(self, left: int, progress: Progress) -> dict[HubFile, Received]:
        received: dict[HubFile, Received] = {}
        while left:
            match self._news.get():
                case _Advanced(file, position):
                    self._advance(file, position, progress)
                case _Finished(file, one):
                    left -= 1
                    self._advance(file, file.size, progress)
                    if one is not None:
                        received[file] = one
                case _Failed(error):
                    raise error
        return received

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                file = self._waiting.get_nowait()
            except queue.Empty:
                return
            try:
                self._news.put(_Finished(file, self._fetch_one(file)))
            except Stopped:
                return
            except BaseException as error:  # noqa: BLE001 - handed to the caller's thread, which raises it
                self._news.put(_Failed(error))
                return

    def _fetch_one(self, file: HubFile) -> Received | None:
        asked = self._asked(file)
        try:
            with self._lock_for(file):
                if self._is_there(file):
                    return None
                return BlobDownload(
                    source=self._source,
                    file=file,
                    url=self._url(file),
                    asked=asked,
                    partial=self._folder.partial(file),
                    advanced=lambda position: self._news.put(_Advanced(file, position)),
                    stop=self._stop,
                ).into(self._folder.blob(file))
        except (Stopped, MlxkError):
            raise
        except Exception as error:  # noqa: BLE001 - sorted by what the client means by it
            raise as_mlxk_error(error, asked) from None

    @contextmanager
    def _lock_for(self, file: HubFile) -> Iterator[None]:
        """The client's lock for a content; while another process holds it, its progress is ours."""
        while not self._stop.is_set():
            with try_lock(self._folder.lock(file.digest.value), _LOCK_POLL) as taken:
                if taken:
                    yield
                    return
            try:
                position = self._folder.partial(file).stat().st_size
            except OSError:
                continue
            self._news.put(_Advanced(file, min(position, file.size)))
        raise Stopped

    def _is_there(self, file: HubFile) -> bool:
        content = self._folder.content(self._info.commit, file)
        try:
            if content.stat().st_size != file.size:
                return False
        except OSError:
            return False
        return self._trust is Trust.SIZE or file_digest(content, file, self._go_on) == file.digest.value

    def _go_on(self) -> None:
        if self._stop.is_set():
            raise Stopped

    def _asked(self, file: HubFile) -> Asked:
        logged_in = is_logged_in(self._source.token)
        return Asked(self._info.repo_id, self._info.revision, file.path, logged_in=logged_in)

    def _url(self, file: HubFile) -> str:
        from huggingface_hub import hf_hub_url

        return hf_hub_url(
            str(self._info.repo_id),
            file.path,
            repo_type="model",
            revision=self._info.commit,
            endpoint=self._source.endpoint,
        )


def _each_content_once(files: Sequence[HubFile]) -> list[HubFile]:
    return list({file.digest.value: file for file in reversed(files)}.values())


def _is_held(lock: Path) -> bool:
    if not lock.exists():
        return False
    with suppress(OSError), try_lock(lock, _GLANCE) as taken:
        return not taken
    return False


@contextmanager
def _shown(progress: Progress, files: Sequence[HubFile]) -> Iterator[None]:
    progress.start("download", sum(file.size for file in files))
    try:
        yield
    finally:
        progress.finish()


@contextmanager
def _alone(folder: RepoFolder, info: RepoInfo, waiting: Callable[[], object]) -> Iterator[None]:
    """The model's own lock, so that nobody else who keeps to it fills or deletes the model meanwhile.

    Args:
        waiting: is called every now and then while another process holds it.
    """
    while True:
        with ExitStack() as stack:
            with _disk_errors(info):
                folder.own_lock.parent.mkdir(parents=True, exist_ok=True)
                try:
                    taken = stack.enter_context(try_lock(folder.own_lock, _LOCK_POLL))
                except FileNotFoundError:  # the folder went in this moment, with the model
                    continue
            if taken:
                yield
                return
        waiting()


@contextmanager
def _held(folder: RepoFolder, commit: str) -> Iterator[None]:
    """The snapshot's lock, so that two processes do not place the same entries at once."""
    while True:
        with try_lock(folder.lock(commit), _LOCK_POLL) as taken:
            if taken:
                yield
                return


@contextmanager
def _disk_errors(info: RepoInfo) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise as_mlxk_error(error, Asked(info.repo_id, info.revision)) from error
