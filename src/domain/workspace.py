"""Content hash v2 and whether a workspace still holds what was pinned: pure rules over what was seen.

The recipe is MLX-Knife's (2.0.6 and newer), so that either tool sees the other's workspace as clean. It
tells drift from a state that was pinned; it is no proof of where the content came from, and the tensors of
a safetensors file are covered by their header only.
"""

import fnmatch
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import TypeAlias

from mlxk.domain.manifest import Baseline, IndexedFile, Manifest
from mlxk.domain.model import Cleanliness

__all__ = [
    "MAX_CONTENT",
    "MAX_HEADER",
    "RECALC_HINT",
    "Doubt",
    "Exclusions",
    "FileHash",
    "HashKind",
    "Obstacle",
    "SeenTree",
    "Stamp",
    "Verdict",
    "aggregate",
    "contradiction",
    "decide",
    "hash_kind",
    "link_identity",
    "name_and_size",
    "normal_form",
    "sha_of",
]

MAX_CONTENT = 1024**3
"""Bytes up to which the content of a file is hashed; of larger ones it is name and size. Part of v2."""

MAX_HEADER = 100 * 1024 * 1024
"""Bytes a safetensors header may have to be hashed. Part of v2."""

RECALC_HINT = "`mlxk show NAME --recalc-hash` pins what is there now"


class HashKind(Enum):
    """What of a file is hashed."""

    SAFETENSORS_HEADER = "the JSON of its header, without the 8 bytes of length"
    CONTENT = "its content"
    NAME_AND_SIZE = "its name and size"


@dataclass(frozen=True, slots=True)
class FileHash:
    """A path of a workspace and the hash (`sha256:<64 hex>`) of what it holds."""

    path: str
    sha: str


@dataclass(frozen=True, slots=True)
class Stamp:
    """A file's size in bytes and modification time in nanoseconds since the epoch."""

    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Something that cannot be hashed, why, and what helps."""

    path: str
    reason: str
    hint: str

    @property
    def message(self) -> str:
        """One line for people."""
        return f"{self.path}: {self.reason}; {self.hint}"


@dataclass(frozen=True, slots=True)
class SeenTree:
    """What a walk found, excluded things left out.

    Attributes:
        files: path to stamp of every regular file.
        links: path to hash of every link that stays inside.
        obstacles: what stands in the way of hashing the tree.
    """

    files: Mapping[str, Stamp] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    obstacles: Sequence[Obstacle] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a workspace is clean.

    Attributes:
        hint: why not, and what helps; None when it is clean.
        heal: path to the modification time the baseline should have, for files that were only touched.
    """

    cleanliness: Cleanliness
    hint: str | None = None
    heal: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Doubt:
    """Files that must be hashed to tell, those that are quickest to read first, with what they were."""

    files: tuple[IndexedFile, ...]


# The recipe


def hash_kind(path: str, size: int) -> HashKind:
    """What is hashed of a regular file of `size` bytes."""
    if path.endswith(".safetensors"):
        return HashKind.SAFETENSORS_HEADER
    return HashKind.NAME_AND_SIZE if size > MAX_CONTENT else HashKind.CONTENT


def name_and_size(name: str, size: int) -> bytes:
    """What is hashed of a file over `MAX_CONTENT`: its own name, without its directory, and its size."""
    return name.encode() + b"\0" + str(size).encode()


def link_identity(target: str) -> bytes:
    """What is hashed of a link, given the POSIX path of what it leads to, relative to the workspace."""
    return b"SYMLINK\0" + target.encode()


def sha_of(data: bytes) -> str:
    """The sha256 of bytes in the manifest's form, `sha256:<64 hex>`."""
    import hashlib

    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def aggregate(files: Iterable[FileHash]) -> str:
    """The content hash of a workspace: sha256 over its entries sorted by path, each `path ‖ 0x00 ‖ sha`."""
    import hashlib

    digest = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.path):
        digest.update(file.path.encode() + b"\0" + file.sha.encode())
    return f"sha256:{digest.hexdigest()}"


def contradiction(manifest: Manifest, baseline: Baseline) -> str | None:
    """Why a manifest's content hash and its list of files do not belong together, or None; reads no file."""
    if manifest.content_hash is None:
        return "the manifest has no content hash"
    if manifest.content_hash != aggregate(FileHash(file.path, file.sha) for file in baseline.files):
        return "the manifest's content hash is not that of its list of files"
    return None


def normal_form(name: str) -> str:
    """A name as it is compared and recorded: Unicode normal form C."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


_Matcher: TypeAlias = Callable[[str], object]
"""Answers None for a name that fits no pattern."""


class Exclusions:
    """Exclude patterns at work on single names, in shell style; those for directories end in a slash.

    Names are given in normal form, without their directory; case counts everywhere.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._directories, self._files = _matchers(tuple(patterns))

    def directory(self, name: str) -> bool:
        """Whether a directory of that name is left out, with all it holds."""
        return self._directories(name) is not None

    def file(self, name: str) -> bool:
        """Whether a regular file of that name is left out. Links never are."""
        return self._files(name) is not None


@lru_cache(maxsize=8)
def _matchers(patterns: tuple[str, ...]) -> tuple[_Matcher, _Matcher]:
    """For directories and for files; most workspaces have the same patterns."""
    return (
        _matcher(pattern[:-1] for pattern in patterns if pattern.endswith("/")),
        _matcher(pattern for pattern in patterns if not pattern.endswith("/")),
    )


def _matcher(patterns: Iterable[str]) -> _Matcher:
    alternatives = "|".join(map(fnmatch.translate, patterns))
    return re.compile(alternatives).match if alternatives else lambda _: None


# The decision


def decide(baseline: Baseline, seen: SeenTree, hashed: Mapping[str, str | Obstacle]) -> Verdict | Doubt:
    """Compare what is there with what was pinned.

    What was seen comes first: something that cannot be hashed makes the state unknown; a file added,
    missing, of another size, or a link that leads elsewhere means modified. Only then are files of equal
    size and another modification time worth reading.

    Args:
        hashed: what reading gave so far, by path; start with nothing, and answer a `Doubt` with more. One
            file that differs is enough, so the rest need not be read.
    """
    if seen.obstacles:
        return Verdict(Cleanliness.UNKNOWN, min(seen.obstacles, key=lambda obstacle: obstacle.path).message)
    change = next(_visible_changes(baseline, seen), None)
    if change:
        return _modified(change)
    touched = [file for file in baseline.files if _touched(file, seen)]
    heal = {
        file.path: seen.files[file.path].mtime_ns for file in touched if hashed.get(file.path) == file.sha
    }
    for file in touched:
        found = hashed.get(file.path, file.sha)
        if isinstance(found, Obstacle):
            return Verdict(Cleanliness.UNKNOWN, found.message, heal)
        if found != file.sha:
            return _modified(f"{file.path} is not what it was", heal)
    unread = [file for file in touched if file.path not in hashed]
    if unread:
        return Doubt(tuple(sorted(unread, key=_reading_cost)))
    return Verdict(Cleanliness.CLEAN, heal=heal)


def _modified(change: str, heal: Mapping[str, int] | None = None) -> Verdict:
    return Verdict(Cleanliness.MODIFIED, f"{change}; {RECALC_HINT}", heal or {})


def _visible_changes(baseline: Baseline, seen: SeenTree) -> Iterator[str]:
    """What differs without reading a file, in the order of paths."""
    recorded = {file.path for file in baseline.files}
    for path in sorted(seen.files.keys() | seen.links.keys() | recorded):
        if path not in recorded:
            yield f"{path} was added"
        elif path not in seen.files and path not in seen.links:
            yield f"{path} is missing"
    for file in baseline.files:
        if file.path in seen.links:
            if seen.links[file.path] != file.sha:
                yield f"{file.path} is a link that leads elsewhere"
        elif seen.files[file.path].size != file.size:
            yield f"{file.path} has another size"


def _touched(file: IndexedFile, seen: SeenTree) -> bool:
    stamp = seen.files.get(file.path)
    return stamp is not None and stamp.mtime_ns != file.mtime_ns


def _reading_cost(file: IndexedFile) -> int:
    return file.size if hash_kind(file.path, file.size) is HashKind.CONTENT else 0
