"""Deleting from the cache, entry by entry, so that nothing outside a model's directory can be meant.

The plan is the domain's. `huggingface_hub`'s own strategy deletes whatever path a snapshot's link leads to,
passes over files it may not delete, and does not see a model with one broken link; here a link is only ever
unlinked. Of the client come the locks and the store that models may share contents in.
"""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path, PurePosixPath
from types import TracebackType

from mlxk.adapters.bounded_read import describe, read_bounded
from mlxk.adapters.hub.cache_layout import REPO_LOCK
from mlxk.adapters.hub.orphans import try_lock
from mlxk.domain.errors import ErrorKind, MlxkError
from mlxk.domain.model import Invalid, ModelRecord, Source
from mlxk.domain.naming import is_cache_directory, name_of
from mlxk.domain.removal import Removal, RepoContents, SnapshotContents

__all__ = ["HubCacheRemover"]

_MAX_REF_BYTES = 1024
_PATIENCE = 0.05
"""Seconds after which a lock counts as held."""


class HubCacheRemover:
    """Deletes models from one cache directory.

    Args:
        root: the cache (`hub`) directory; None when there is not even a home for one.
    """

    def __init__(self, root: Path | None) -> None:
        self._root = root

    def directories(self) -> list[ModelRecord]:
        """Every model's directory, also one that holds no model any more."""
        found = [] if self._root is None else _entries(self._root)
        return [
            ModelRecord(name_of(path.name), str(path), Source.CACHE, problem="it was deleted in part")
            for path in found
            if is_cache_directory(path.name)
        ]

    def contents(self, record: ModelRecord) -> RepoContents:
        """What there is of a record's model."""
        repository = self._repository(record)
        with _refusals():
            if repository.is_symlink():
                return RepoContents(link=str(repository.readlink()))
            snapshots = [_snapshot(path, repository) for path in _entries(repository / "snapshots")]
            blobs = {path.name: self._freed_by(path) for path in _entries(repository / "blobs")}
            return RepoContents(tuple(snapshots), blobs, dict(_refs(repository / "refs")))

    @contextmanager
    def alone(self, record: ModelRecord) -> Iterator[tuple[str, ...]]:
        """Hold the model's own lock, and look which others cannot be taken.

        Lock files that lie there after a download are no locks. Where none can be made, nobody downloads.
        """
        repository = self._repository(record)
        locks = repository.parent / ".locks" / repository.name
        own = locks / REPO_LOCK
        with ExitStack() as stack:
            taken = True
            with suppress(OSError):
                locks.mkdir(parents=True, exist_ok=True)
                taken = stack.enter_context(try_lock(own, _PATIENCE))
                if taken:
                    stack.callback(_tidy_locks, own.resolve(), locks, repository)
            held = [path for path in sorted(locks.glob("*.lock")) if path != own and _is_held(path)]
            yield tuple(
                path.relative_to(repository.parent).as_posix() for path in (held if taken else [own, *held])
            )

    def remove(self, record: ModelRecord, removal: Removal) -> None:
        """Delete, contents before names: what a killed deletion leaves is still named as before."""
        repository = self._repository(record)
        locks = repository.parent / ".locks" / repository.name
        with _refusals():
            if repository.is_symlink():
                repository.unlink(missing_ok=True)
                _remove_locks(locks)
                return
            shared = self._shared(repository, removal)
            for blob in removal.blobs:
                _remove_below(repository, f"blobs/{blob}")
            for sweep in shared:
                sweep()
            for name in (*removal.blobs, *removal.commits):
                _remove_lock(locks / f"{name}.lock")
            for commit in removal.commits:
                for part in (f"trees/{commit}.json", f".no_exist/{commit}", f"snapshots/{commit}"):
                    _remove_below(repository, part)
            for ref in removal.refs:
                _remove_ref(repository / "refs", ref)
            if removal.whole:
                _remove(repository)
                _remove_locks(locks)

    def _repository(self, record: ModelRecord) -> Path:
        path = Path(record.path)
        repository = path if record.revision is None else path.parent.parent
        if self._root is None or repository.parent != self._root or not is_cache_directory(repository.name):
            raise MlxkError(ErrorKind.OPERATION, f"'{record.name}' does not lie in the model cache.")
        return repository

    def _freed_by(self, blob: Path) -> int:
        """Bytes that deleting an entry frees: of a link only what nothing else in the shared store needs."""
        if not blob.is_symlink():
            return _bytes_in(blob)
        from huggingface_hub.utils import _shared_blobs

        assert self._root is not None
        stored = _shared_blobs.shared_blob_target(blob, self._root)
        if stored is None:
            return 0
        return _shared_blobs.expected_shared_blob_freed_size(
            stored, blob_paths_to_delete={blob}, cache_dir=self._root
        )

    def _shared(self, repository: Path, removal: Removal) -> list[Callable[[], object]]:
        """What must be called when the blobs are gone, to free contents in the shared store."""
        links = [path for name in removal.blobs if (path := repository / "blobs" / name).is_symlink()]
        if not links:
            return []
        from functools import partial

        from huggingface_hub.utils import _shared_blobs

        assert self._root is not None
        stored = {_shared_blobs.shared_blob_target(path, self._root) for path in links}
        return [
            partial(_shared_blobs.sweep_shared_blob, path, cache_dir=self._root) for path in stored if path
        ]


def _entries(directory: Path) -> list[Path]:
    """What lies in a directory; nothing in one that is a link or not there.

    Raises:
        OSError: it cannot be read.
    """
    if directory.is_symlink():
        return []
    try:
        return sorted(directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _snapshot(path: Path, repository: Path) -> SnapshotContents:
    """What a snapshot's links need; one that leads elsewhere needs nothing of the model."""
    if path.is_symlink():
        return SnapshotContents(path.name)
    blobs: set[str] = set()
    own = 0
    for file in _files(path):
        if file.is_symlink():
            target = Path(os.path.normpath(file.parent / file.readlink()))
            if target.parent == repository / "blobs":
                blobs.add(target.name)
        else:
            own += _bytes_in(file)
    return SnapshotContents(path.name, frozenset(blobs), own)


def _files(path: Path) -> Iterator[Path]:
    """Every file and link below a directory, no link followed; the path itself when it is no directory."""
    if path.is_symlink() or not path.is_dir():
        yield path
        return
    for entry in sorted(path.iterdir()):
        yield from _files(entry)


def _bytes_in(path: Path) -> int:
    return sum(file.lstat().st_size for file in _files(path) if not file.is_symlink())


def _refs(directory: Path) -> Iterator[tuple[str, str]]:
    if directory.is_symlink() or not directory.is_dir():
        return
    for file in _files(directory):
        content = read_bounded(str(file), _MAX_REF_BYTES)
        if not isinstance(content, Invalid):
            yield file.relative_to(directory).as_posix(), content.decode(errors="replace").strip()


def _remove_ref(refs: Path, name: str) -> None:
    """Delete a ref and the folders that it was the last in (`refs/pr/1`)."""
    _remove_below(refs.parent, f"refs/{name}")
    for folder in (refs / name).parents:
        if folder == refs:
            return
        try:
            folder.rmdir()
        except OSError:
            return


def _remove_below(root: Path, name: str) -> None:
    """Delete an entry below a directory, unless a link stands between the two and it lies elsewhere.

    Raises:
        OSError: something cannot be deleted.
    """
    *folders, _ = PurePosixPath(name).parts
    between = root
    for folder in folders:
        between /= folder
        if between.is_symlink():
            return
    _remove(root / name)


def _is_held(lock: Path) -> bool:
    with suppress(OSError), try_lock(lock, _PATIENCE) as taken:
        return not taken
    return False


def _remove_locks(locks: Path) -> None:
    """Delete a model's lock files; its own one goes with the lock itself."""
    if locks.is_symlink():
        locks.unlink()
        return
    for lock in locks.glob("*.lock"):
        if lock.name != REPO_LOCK:
            _remove_lock(lock)


def _remove_lock(lock: Path) -> None:
    """Delete a lock file unless somebody holds it.

    Who has opened it in this moment finds it without a name once it is theirs, and opens it anew.
    """
    if lock.parent.is_symlink() or not lock.exists():
        return
    with suppress(OSError), try_lock(lock, _PATIENCE) as taken:
        if taken:
            lock.unlink()


def _tidy_locks(own: Path, locks: Path, repository: Path) -> None:
    """Take away the lock that is held, and the folder with it when the model is gone."""
    with suppress(OSError):
        own.unlink(missing_ok=True)
        if not os.path.lexists(repository):
            locks.rmdir()


def _remove(path: Path) -> None:
    """Delete a file, a link or a directory with everything in it; what is gone already is no problem.

    Raises:
        OSError: something cannot be deleted.
    """
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path, onerror=_unless_gone)


def _unless_gone(
    _function: Callable[..., object],
    _path: str,
    error: tuple[type[BaseException], BaseException, TracebackType],
) -> None:
    if not isinstance(error[1], FileNotFoundError):
        raise error[1]


@contextmanager
def _refusals() -> Iterator[None]:
    """The system's refusals, as errors that say which file."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOTEMPTY:
            raise MlxkError(
                ErrorKind.LOCKS_PRESENT,
                "Another program writes to the model at this moment; a part of it is deleted.",
                hint="wait for it, or stop it, and repeat the command, which deletes the rest",
            ) from error
        where = error.filename if isinstance(error.filename, str) else "the model cache"
        raise MlxkError(
            ErrorKind.PERMISSION,
            f"{where} cannot be deleted: {describe(error)}.",
            hint="correct its permissions and repeat the command, which deletes the rest",
        ) from error
