"""Copying a model's directory: shared blocks where the volume can, plain bytes elsewhere.

Which way works is found by trying, file by file: what a mount table says of a path is not what its volume
does. A way that a pair of volumes does not have is tried once.
"""

import errno
import os
import shutil
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mlxk.adapters.bounded_read import describe
from mlxk.adapters.model_bounds import link_bounds
from mlxk.adapters.tree_copy.plain import PlainCopy
from mlxk.adapters.tree_copy.sharing import NotShared
from mlxk.domain.clone_steps import CopyMethod
from mlxk.domain.errors import ErrorKind, MlxkError
from mlxk.domain.ports import Progress
from mlxk.domain.system_errors import kind_of_system_error

__all__ = ["BlockSharing", "VolumeTreeCopier"]

_TAKEN = frozenset({errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR})
_LEADS_NOWHERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
_PERMISSIONS = stat.S_IRWXU | stat.S_IRWXG | stat.S_IRWXO


class BlockSharing(Protocol):
    """A way to make a file that shares its blocks with another until either is changed."""

    @property
    def method(self) -> CopyMethod:
        """What it is called."""

    def share(self, source: str, target: str) -> None:
        """Make `target`, which must not exist, a copy of the regular file `source`.

        Raises:
            NotShared: these volumes, or this file, cannot; no `target` is left.
            OSError: anything else, such as a full disk.
        """


class VolumeTreeCopier:
    """Copies trees on this machine's volumes.

    Args:
        ways: how to share blocks, the best first; plain copying always follows.
    """

    def __init__(self, ways: Sequence[BlockSharing]) -> None:
        self._ways = tuple(ways)

    @classmethod
    def for_this_system(cls) -> "VolumeTreeCopier":
        """With the ways that this operating system has."""
        if sys.platform == "darwin":
            from mlxk.adapters.tree_copy.apfs import Clonefile

            return cls([Clonefile.of_this_system()])
        from mlxk.adapters.tree_copy.reflink import Reflink

        return cls([Reflink()])

    def copy(
        self, source: Path, target: Path, *, progress: Progress, without: frozenset[str] = frozenset()
    ) -> CopyMethod:
        """Copy `source` to `target`, which must not exist; links become the files they lead to.

        What has its path (relative, POSIX) in `without` is left out, directories too, and not looked at.

        Raises:
            MlxkError: (`INSUFFICIENT_DISK`) the disk is full; (`INVALID_TARGET`) the target exists, lies in
                the source, or its parent does not exist; (`PERMISSION`) the file system refuses;
                (`CLONE_FAILED`) anything else.
        """
        _require_free(source, target)
        try:
            tree = _tree_of(source, without)
            return self._copy(tree, target, progress)
        except OSError as error:
            raise _as_mlxk_error(error, source, target) from error

    def _copy(self, tree: "_Tree", target: Path, progress: Progress) -> CopyMethod:
        temporary = target.parent / f".mlxk-copy-{os.urandom(4).hex()}"
        _make_parent_of(temporary, target)
        progress.start("copy", sum(file.status.st_size for file in tree.files))
        try:
            method = _Transfer(self._ways, str(temporary), progress).run(tree)
            _publish(temporary, target)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        finally:
            progress.finish()
        return method


@dataclass(frozen=True, slots=True)
class _File:
    """A file to copy: its path in the tree, the real file behind it, and what that is."""

    path: str
    real: str
    status: os.stat_result


@dataclass(frozen=True, slots=True)
class _Tree:
    """What is to be copied; directories come before what is in them."""

    directories: tuple[str, ...]
    files: tuple[_File, ...]


def _tree_of(source: Path, without: frozenset[str]) -> _Tree:
    """List a tree, links resolved, before anything is made.

    Raises:
        OSError: something cannot be read, or the source is no directory.
        MlxkError: (`CLONE_FAILED`) something in it cannot be part of a model.
    """
    root = os.path.abspath(source)  # noqa: PTH100
    links = _Links(link_bounds(root))
    directories, files = [], []
    pending = [""]
    while pending:
        prefix = pending.pop()
        directories.append(prefix)
        with os.scandir(f"{root}/{prefix}") as entries:
            for entry in entries:
                path = prefix + entry.name
                if path in without:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    pending.append(path + "/")
                else:
                    files.append(_file(entry, path, links))
    return _Tree(tuple(directories), tuple(sorted(files, key=lambda file: file.path)))


class _Links:
    """Resolves links; those of a snapshot all lead to one directory, which is resolved once."""

    def __init__(self, bounds: tuple[str, ...]) -> None:
        self._bounds = bounds
        self._real_directories: dict[str, str] = {}

    def resolve(self, link: str) -> str | None:
        """The real path that a link leads to, or None when that is out of bounds."""
        target = os.readlink(link)  # noqa: PTH115
        directory, _, name = f"{link.rpartition('/')[0]}/{target}".rpartition("/")
        if target.startswith("/") or name in ("", ".", ".."):
            real = os.path.realpath(link)
        else:
            real = f"{self._real(directory)}/{name}"
            if os.path.islink(real):  # noqa: PTH114 - such as the blobs of the hub's shared store
                real = os.path.realpath(real)
        return real if real.startswith(self._bounds) else None

    def _real(self, directory: str) -> str:
        if directory not in self._real_directories:
            self._real_directories[directory] = os.path.realpath(directory)
        return self._real_directories[directory]


def _file(entry: os.DirEntry[str], path: str, links: _Links) -> _File:
    real = entry.path
    if entry.is_symlink():
        resolved = links.resolve(entry.path)
        if resolved is None:
            raise _not_a_model_file(path, "is a link that leads out of the model")
        real = resolved
    try:
        status = os.stat(real)  # noqa: PTH116
    except OSError as error:
        if error.errno not in _LEADS_NOWHERE:
            raise
        raise _not_a_model_file(path, "is a link that leads nowhere") from error
    if not stat.S_ISREG(status.st_mode):
        raise _not_a_model_file(path, "is neither a file nor a directory, nor a link to a file")
    return _File(path, real, status)


class _Transfer:
    """One tree on its way to a directory that is there already."""

    def __init__(self, ways: Sequence[BlockSharing], target: str, progress: Progress) -> None:
        self._ways = ways
        self._target = target
        self._progress = progress
        self._useless: set[tuple[int, CopyMethod]] = set()
        self._used: set[CopyMethod] = set()
        self._left = 0

    def run(self, tree: _Tree) -> CopyMethod:
        """Copy everything; answers with the costliest way that a file with content needed."""
        for directory in tree.directories:
            if directory:
                os.mkdir(f"{self._target}/{directory}")  # noqa: PTH102
        self._left = sum(_occupied(file) for file in tree.files)
        for file in tree.files:
            used = self._transfer(file, f"{self._target}/{file.path}")
            if file.status.st_size:
                self._used.add(used)
            self._left -= _occupied(file)
        return CopyMethod.costliest(self._used, otherwise=CopyMethod.COPY)

    def _transfer(self, file: _File, target: str) -> CopyMethod:
        for way in self._promising(file):
            try:
                way.share(file.real, target)
            except NotShared as refused:
                if refused.never:
                    self._useless.add((file.status.st_dev, way.method))
                continue
            self._progress.advance(file.path, file.status.st_size)
            _settle(target, file.status)
            return way.method
        if CopyMethod.COPY not in self._used:
            self._require_space()
        PlainCopy(lambda count: self._progress.advance(file.path, count)).copy(file.real, target)
        _settle(target, file.status)
        return CopyMethod.COPY

    def _require_space(self) -> None:
        """Before the first plain copy: sharing is not to be had here, so that everything left takes space."""
        if self._left > shutil.disk_usage(self._target).free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _promising(self, file: _File) -> Iterator[BlockSharing]:
        return (way for way in self._ways if (file.status.st_dev, way.method) not in self._useless)


def _occupied(file: _File) -> int:
    """Bytes that a plain copy of a file takes at least: holes stay holes."""
    return min(file.status.st_size, file.status.st_blocks * 512)


def _settle(target: str, status: os.stat_result) -> None:
    """Times as they were, and a mode that lets the user edit the copy."""
    os.chmod(target, (status.st_mode & _PERMISSIONS) | stat.S_IRUSR | stat.S_IWUSR)  # noqa: PTH101
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def _require_free(source: Path, target: Path) -> None:
    if os.path.lexists(target):
        raise _invalid(target, "exists")
    inside = os.path.realpath(target).startswith(os.path.realpath(source).rstrip("/") + "/")
    if inside:
        raise _invalid(target, "lies in what is to be copied")


def _make_parent_of(temporary: Path, target: Path) -> None:
    try:
        temporary.mkdir()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _invalid(target, "is in a directory that does not exist") from error


def _publish(temporary: Path, target: Path) -> None:
    try:
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        temporary.rename(target)
    except OSError as error:
        if error.errno in _TAKEN:
            raise _invalid(target, "exists by now; another process made it") from error
        raise


def _invalid(target: Path, problem: str) -> MlxkError:
    return MlxkError(
        ErrorKind.INVALID_TARGET, f"The target {target} {problem}.", hint="give a target that does not exist"
    )


def _not_a_model_file(path: str, problem: str) -> MlxkError:
    return MlxkError(
        ErrorKind.CLONE_FAILED,
        f"{path} {problem}.",
        hint="run `mlxk health` on the model; what is damaged can be downloaded again",
    )


def _as_mlxk_error(error: OSError, source: Path, target: Path) -> MlxkError:
    kind = kind_of_system_error(error) or ErrorKind.CLONE_FAILED
    if kind is ErrorKind.INSUFFICIENT_DISK:
        return MlxkError(
            kind,
            f"There is no space left for a copy at {target}.",
            hint="free some space, or give a target on another volume",
        )
    named = f" ({error.filename})" if error.filename else ""
    return MlxkError(
        kind,
        f"{source} could not be copied to {target}: {describe(error)}{named}.",
        hint="check the permissions of both directories, and that the disk is not read-only",
    )
