"""Deep verification: which digest each file's content must have.

A blob's file name in the Hugging Face cache is its expected digest: 64 hex digits for the sha256 of the
content (LFS and Xet files), 40 for the git blob sha1 (sha1 of `blob <size>\\0` and the content).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from mlxk.domain.model import FileFact

__all__ = [
    "NO_DIGEST",
    "Digest",
    "DigestKind",
    "FileVerdict",
    "Outcome",
    "Trust",
    "expected_digest",
    "verifiable",
]

_HEX = re.compile(r"[0-9a-f]+")


class DigestKind(Enum):
    """How a digest is computed."""

    SHA256 = "sha256"
    GIT_BLOB_SHA1 = "git-sha1"


@dataclass(frozen=True, slots=True)
class Digest:
    """An expected or computed digest; `value` is lower-case hex."""

    kind: DigestKind
    value: str


NO_DIGEST = Digest(DigestKind.SHA256, "")
"""Stands for the digest of a file that nobody stated yet: it is hashed, and the outcome is `NEW`."""


class Outcome(Enum):
    """What hashing a file said."""

    MATCHES = "matches"
    DIFFERS = "differs"
    UNREADABLE = "unreadable"
    NEW = "hashed, and held against nothing"


class Trust(Enum):
    """How much a content that is already there must show before it is not downloaded again."""

    SIZE = "its size is right"
    DIGEST = "its digest is right"


@dataclass(frozen=True, slots=True)
class FileVerdict:
    """The result for one file.

    Attributes:
        actual: the computed digest (hex), None when unreadable.
        from_receipt: the file was not read again, since its receipt still holds.
        problem: the system's reason when unreadable.
    """

    path: str
    outcome: Outcome
    actual: str | None = None
    from_receipt: bool = False
    problem: str | None = None


def expected_digest(blob: str | None) -> Digest | None:
    """The digest that a blob's file name states, or None when the name is no digest."""
    if blob is None or not _HEX.fullmatch(blob):
        return None
    match len(blob):
        case 64:
            return Digest(DigestKind.SHA256, blob)
        case 40:
            return Digest(DigestKind.GIT_BLOB_SHA1, blob)
    return None


def verifiable(files: Sequence[FileFact]) -> list[tuple[FileFact, Digest]]:
    """The files whose content can be checked against a known digest, in order, each blob once."""
    found: dict[str, tuple[FileFact, Digest]] = {}
    for file in files:
        digest = expected_digest(file.blob)
        if digest is not None and file.readable:
            found.setdefault(digest.value, (file, digest))
    return list(found.values())
