"""Hashing contents as the Hub does: sha256 for large files, git's sha1 for the others."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mlxk.domain.hub import HubFile
from mlxk.domain.verification import DigestKind

if TYPE_CHECKING:
    from hashlib import _Hash

__all__ = ["begin_digest", "file_digest"]

_CHUNK = 4 * 1024 * 1024


def begin_digest(file: HubFile) -> "_Hash":
    """The hash of a file's kind, before its first byte."""
    if file.digest.kind is DigestKind.SHA256:
        return hashlib.sha256()
    return hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)


def file_digest(content: Path, file: HubFile, between: Callable[[], object] = lambda: None) -> str:
    """Hash what lies at a path as the digest of a file asks.

    Args:
        between: is called before each chunk, and may raise.

    Raises:
        OSError: it cannot be read.
    """
    digest = begin_digest(file)
    with content.open("rb", buffering=0) as stream:
        while chunk := stream.read(_CHUNK):
            between()
            digest.update(chunk)
    return digest.hexdigest()
