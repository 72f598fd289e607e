"""Walking and hashing a workspace by content hash v2; what is hashed of what is `domain.workspace`'s rule.

Links are never followed, so nothing outside the workspace is read, and memory stays constant: at most one
chunk of one file is held.
"""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass

from mlxk.adapters.bounded_read import describe
from mlxk.domain.workspace import (
    MAX_HEADER,
    Exclusions,
    HashKind,
    Obstacle,
    SeenTree,
    Stamp,
    hash_kind,
    link_identity,
    name_and_size,
    normal_form,
    sha_of,
)

__all__ = ["Walked", "hash_file", "walk"]

_CHUNK = 1024 * 1024
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
_LENGTH_BYTES = 8

_READABLE = "make it readable for you"
_FETCH_AGAIN = "download the file again"
_REPLACE = "replace the link by the file it leads to"
_RENAME = "rename it"


@dataclass(frozen=True, slots=True)
class Walked:
    """What a walk found, and how the paths are spelled on disk where that is not their normal form."""

    root: str
    tree: SeenTree
    spelled: Mapping[str, str]

    def hash_file(self, path: str) -> str | Obstacle:
        """The hash of one of the files found; see `hash_file`."""
        return hash_file(self.root, self.spelled.get(path, path))


def walk(root: str, exclusions: Exclusions) -> Walked:
    """Look at everything below a directory that is not excluded. Never raises for what it finds there.

    Directories as such do not count, and what is neither file, directory nor link has no content. Links
    count whatever their name is, since where they lead is a question of safety and not of taste.
    """
    walking = _Walk(root, exclusions)
    pending = [""]
    while pending:
        prefix = pending.pop()
        try:
            with os.scandir(f"{root}/{prefix}") as entries:
                for entry in entries:
                    walking.take(entry, prefix, pending)
        except OSError as error:
            walking.obstacles.append(Obstacle(prefix.rstrip("/") or ".", describe(error), _READABLE))
    return Walked(root, SeenTree(walking.files, walking.links, walking.obstacles), walking.spelled)


class _Walk:
    """What one walk found so far."""

    def __init__(self, root: str, exclusions: Exclusions) -> None:
        self._root = root
        self._exclusions = exclusions
        self._real_root: str | None = None
        self.files: dict[str, Stamp] = {}
        self.links: dict[str, str] = {}
        self.obstacles: list[Obstacle] = []
        self.spelled: dict[str, str] = {}

    def take(self, entry: os.DirEntry[str], prefix: str, pending: list[str]) -> None:
        """Note one entry; directories to look into are added to `pending`.

        Raises:
            OSError: it cannot be looked at.
        """
        name = normal_form(entry.name)
        if entry.is_symlink():
            self._link(prefix + entry.name)
        elif entry.is_dir(follow_symlinks=False):
            if not self._exclusions.directory(name):
                pending.append(f"{prefix}{entry.name}/")
        elif not self._exclusions.file(name):
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISREG(status.st_mode):
                path = self._free(prefix + entry.name)
                self.files[path] = Stamp(status.st_size, status.st_mtime_ns)

    def _link(self, path: str) -> None:
        if self._real_root is None:
            self._real_root = os.path.realpath(self._root)
        target = os.path.realpath(f"{self._root}/{path}")
        relative = os.path.relpath(target, self._real_root)
        if relative == ".." or relative.startswith("../"):
            shown = ascii(os.readlink(f"{self._root}/{path}"))  # noqa: PTH115
            self.obstacles.append(Obstacle(path, f"a link that leads outside, to {shown}", _REPLACE))
            return
        try:
            self.links[self._free(path)] = sha_of(link_identity(relative))
        except UnicodeEncodeError:
            self.obstacles.append(Obstacle(ascii(path), "a link to a name that is not UTF-8", _RENAME))

    def _free(self, path: str) -> str:
        """The normal form of a path; two names that differ in their form only are an obstacle."""
        normal = normal_form(path)
        if normal != path:
            self.spelled[normal] = path
        if normal in self.files or normal in self.links:
            self.obstacles.append(Obstacle(normal, "two files whose names look the same", _RENAME))
        return normal


def hash_file(root: str, path: str) -> str | Obstacle:
    """The hash of one regular file, `sha256:<64 hex>`, or what stands in the way. Never raises for bad data.

    Args:
        path: relative to the root, as it is spelled on disk; a link there is an obstacle.
    """
    try:
        descriptor = os.open(f"{root}/{path}", _FLAGS)
    except OSError as error:
        return Obstacle(path, describe(error), _READABLE)
    try:
        return _hash_open_file(descriptor, path)
    except OSError as error:
        return Obstacle(path, describe(error), _READABLE)
    except UnicodeEncodeError:
        return Obstacle(ascii(path), "its name is not UTF-8", _RENAME)
    finally:
        os.close(descriptor)


def _hash_open_file(descriptor: int, path: str) -> str | Obstacle:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        return Obstacle(path, "not a regular file", _READABLE)
    match hash_kind(path, status.st_size):
        case HashKind.NAME_AND_SIZE:
            return sha_of(name_and_size(path.rpartition("/")[2], status.st_size))
        case HashKind.CONTENT:
            return _sha_of_range(descriptor, 0, status.st_size)
    length = int.from_bytes(os.pread(descriptor, _LENGTH_BYTES, 0), "little")
    if not 0 < length <= MAX_HEADER or _LENGTH_BYTES + length > status.st_size:
        return Obstacle(path, "its safetensors header is empty, too long or cut short", _FETCH_AGAIN)
    return _sha_of_range(descriptor, _LENGTH_BYTES, _LENGTH_BYTES + length)


def _sha_of_range(descriptor: int, begin: int, end: int) -> str:
    import hashlib

    digest = hashlib.sha256()
    while begin < end and (chunk := os.pread(descriptor, min(_CHUNK, end - begin), begin)):
        digest.update(chunk)
        begin += len(chunk)
    return f"sha256:{digest.hexdigest()}"
