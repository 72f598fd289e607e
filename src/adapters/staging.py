"""Staging directories of clones on disk: a sentinel that makes one ours, a lock, and removal in safe order.

A process may be killed between any two operations here. What it leaves is either ours by its sentinel, or an
empty directory; nothing else is ever removed. The order is that of `domain.clone_plan`'s state table.
"""

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path

from mlxk.adapters.bounded_read import describe, read_bounded
from mlxk.domain.errors import ErrorKind, MlxkError
from mlxk.domain.model import Invalid
from mlxk.domain.staging import (
    COPY_NAME,
    DOWNLOAD_NAME,
    SENTINEL_NAME,
    Sentinel,
    StagingState,
    is_staging_name,
)

__all__ = ["StagingArea"]

_MADE_BY = "mlxk clone"
_MAX_SENTINEL = 64 * 1024
_TEMPORARY = f"{SENTINEL_NAME}.tmp"
_TAKEN = frozenset({errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR})


class StagingArea:
    """Staging directories on this machine's disks, each under the path that `staging_path` gives it."""

    def look(self, path: str) -> Sentinel | StagingState:
        """What is there: a sentinel, or `NONE`, `BUSY` or `FOREIGN`. Nothing is changed.

        Raises:
            OSError: it cannot be read.
        """
        if os.path.islink(path):  # noqa: PTH114
            return StagingState.FOREIGN
        try:
            descriptor = _lock(path)  # held while it is read: half removed by its owner it would look foreign
        except FileNotFoundError:
            return StagingState.NONE
        except NotADirectoryError:
            return StagingState.FOREIGN
        except BlockingIOError:
            return StagingState.BUSY
        try:
            return _content(path) if _is_at(descriptor, path) else StagingState.NONE
        finally:
            os.close(descriptor)

    def unfinished(self, target: str) -> Sequence[str]:
        """Our staging directories of clones to a target, of whatever model, that no process works in."""
        directory = os.path.dirname(target)  # noqa: PTH120
        try:
            names = sorted(filter(is_staging_name, os.listdir(directory)))  # noqa: PTH208
        except OSError:
            return ()
        paths = [f"{directory.rstrip('/')}/{name}" for name in names]
        return [path for path in paths if self._is_unfinished(path, target)]

    def _is_unfinished(self, path: str, target: str) -> bool:
        found = None if os.path.islink(path) else _read(path)  # noqa: PTH114
        if found is None or found.target != target:  # only those for this target are worth a lock
            return False
        with suppress(OSError):
            return isinstance(self.look(path), Sentinel)
        return False

    def has_download(self, path: str) -> bool:
        """Whether anything of a download is there."""
        with suppress(OSError):
            return bool(os.listdir(f"{path}/{DOWNLOAD_NAME}"))  # noqa: PTH208
        return False

    @contextmanager
    def claimed(self, path: str) -> Iterator[Sentinel | StagingState]:
        """Inside, no other process works in the directory; one that does not exist is made, without sentinel.

        Yields what is there: a sentinel, or `NONE` or `FOREIGN`. One that is still empty at the end, since
        nothing could be written to it, is removed.

        Raises:
            MlxkError: (`CLONE_FAILED`) another process works in it; (others) it cannot be made.
        """
        descriptor = _claim(path)
        try:
            yield _content(path)
        finally:
            with suppress(OSError):
                if _is_at(descriptor, path):
                    _remove_unmarked(path)
            os.close(descriptor)

    def has_copy(self, path: str) -> bool:
        """Whether the copy in the making is there."""
        return os.path.lexists(f"{path}/{COPY_NAME}")

    def sweep(self, path: str) -> None:
        """Remove a directory in which there is nothing, or nothing but our temporary file."""
        if self.look(path) is not StagingState.NONE:
            return
        with suppress(OSError):
            Path(path, _TEMPORARY).unlink(missing_ok=True)
            os.rmdir(path)  # noqa: PTH106

    def create(self, path: str, spec: str, target: str) -> None:
        """Make the directory ours. It may exist, empty."""
        Path(path).mkdir(exist_ok=True)
        _write(path, Sentinel(spec, target))

    def clear(self, path: str) -> None:
        """Remove everything but sentinel and download."""
        _write(path, replace(_ours(path), publishing=False))
        _remove_all_but(path, {SENTINEL_NAME, DOWNLOAD_NAME})

    def mark_downloading(self, path: str) -> None:
        """Note that the download is not complete (any more)."""
        _write(path, replace(_ours(path), complete=None))

    def mark_complete(self, path: str, commit: str) -> None:
        """Note that the download of a commit is complete."""
        _write(path, replace(_ours(path), complete=commit))

    def publish(self, path: str, target: str) -> None:
        """Rename the finished copy to the target, which must be absent or an empty directory.

        Raises:
            MlxkError: (`INVALID_TARGET`) the target is there by now; the copy stays.
        """
        sentinel = _ours(path)
        _write(path, replace(sentinel, publishing=True))
        try:
            os.rename(f"{path}/{COPY_NAME}", target)  # noqa: PTH104
        except OSError as error:
            _write(path, sentinel)
            if error.errno not in _TAKEN:
                raise
            raise MlxkError(
                ErrorKind.INVALID_TARGET,
                f"The target {target} exists by now; another process made it.",
                hint="give a target that does not exist",
            ) from error

    def discard(self, path: str) -> None:
        """Remove the directory; from the first moment on its download no longer counts as complete."""
        _write(path, replace(_ours(path), complete=None, publishing=False))
        self.remove(path)

    def remove(self, path: str) -> None:
        """Remove the directory, its sentinel last.

        Raises:
            MlxkError: (`CLONE_FAILED`) it is not ours.
            OSError: something in it cannot be removed.
        """
        _ours(path)
        _remove_all_but(path, {SENTINEL_NAME})
        os.unlink(f"{path}/{SENTINEL_NAME}")  # noqa: PTH108
        os.rmdir(path)  # noqa: PTH106


def _content(path: str) -> Sentinel | StagingState:
    """What a directory that no other process works in holds."""
    names = set(os.listdir(path))  # noqa: PTH208
    if SENTINEL_NAME not in names:
        return StagingState.NONE if names <= {_TEMPORARY} else StagingState.FOREIGN
    return _read(path) or StagingState.FOREIGN


def _ours(path: str) -> Sentinel:
    sentinel = None if os.path.islink(path) else _read(path)  # noqa: PTH114
    if sentinel is None:
        raise MlxkError(
            ErrorKind.CLONE_FAILED,
            f"{path} was not made by mlxk and is left alone.",
            hint="move it away, or give another target",
        )
    return sentinel


def _read(path: str) -> Sentinel | None:
    content = read_bounded(f"{path}/{SENTINEL_NAME}", _MAX_SENTINEL)
    if isinstance(content, Invalid):
        return None
    try:
        value: object = json.loads(content)
    except (ValueError, RecursionError):
        return None
    match value:
        case {
            "made_by": str(maker),
            "spec": str(spec),
            "target": str(target),
            "complete": str() | None as complete,
            "publishing": bool(publishing),
        } if maker == _MADE_BY:
            return Sentinel(spec, target, complete, publishing)
    return None


def _write(path: str, sentinel: Sentinel) -> None:
    temporary = Path(path, _TEMPORARY)
    try:
        with temporary.open("w", encoding="utf-8") as stream:
            json.dump({"made_by": _MADE_BY, **asdict(sentinel)}, stream)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(Path(path, SENTINEL_NAME))
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _remove_unmarked(path: str) -> None:
    """Remove a directory that never became ours, as on a full disk, if there is nothing of others in it."""
    with suppress(OSError):  # it is gone, or not empty, or stays as one that counts as none
        Path(path, _TEMPORARY).unlink(missing_ok=True)
        os.rmdir(path)  # noqa: PTH106


def _remove_all_but(path: str, kept: set[str]) -> None:
    with os.scandir(path) as entries:
        for entry in list(entries):
            if entry.name in kept:
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)  # noqa: PTH108


# The lock is one on the directory itself: it goes with the process, however that ends.


def _lock(path: str) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _claim(path: str) -> int:
    while True:
        try:
            Path(path).mkdir(exist_ok=True)
            descriptor = _lock(path)
        except BlockingIOError as error:
            raise MlxkError(
                ErrorKind.CLONE_FAILED,
                "The same model is being cloned to the same target by another process.",
                hint="wait until it is done",
            ) from error
        except FileNotFoundError:
            if not Path(path).parent.is_dir():
                raise
            continue  # the other process has just finished and removed it
        except OSError as error:
            raise MlxkError(
                ErrorKind.CLONE_FAILED,
                f"{path} cannot be used: {describe(error)}.",
                hint="check the permissions of the target's directory",
            ) from error
        if _is_at(descriptor, path):
            return descriptor
        os.close(descriptor)


def _is_at(descriptor: int, path: str) -> bool:
    """Whether an open directory is still the one at the path, and not one just removed there."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False
