"""Staging directories: where a clone is made before it is renamed to its target.

Each lies beside its target, on its volume, and holds a sentinel file, the download (in the layout of the
Hub's cache) and the copy in the making.
"""

import posixpath
from dataclasses import dataclass
from enum import Enum

__all__ = [
    "COPY_NAME",
    "DOWNLOAD_NAME",
    "SENTINEL_NAME",
    "Sentinel",
    "StagingState",
    "is_staging_name",
    "staging_path",
    "staging_state",
]

SENTINEL_NAME = ".mlxk-staging.json"
"""The file that makes a staging directory ours; it is written first and removed last."""

DOWNLOAD_NAME = "hub"
"""Where in a staging directory the download goes, in the layout of the Hub's cache."""

COPY_NAME = "workspace"
"""Where in a staging directory the copy is made."""

_STAGING_PREFIX = ".mlxk-staging-"
_STAGING_DIGITS = 16


class StagingState(Enum):
    """What is where the staging directory shall be.

    An empty directory of that name, and one with nothing but our temporary files, count as `NONE`: a
    process killed just then leaves them. `PUBLISHED` is what one killed after the rename leaves: the
    sentinel says that the copy was about to be renamed, it is gone, and the target, where there is one, is a
    workspace of that repository.
    """

    NONE = "none"
    PARTIAL = "an unfinished download, or one of another commit"
    HEALTHY = "a complete download of a healthy model"
    UNHEALTHY = "a complete download of an unhealthy model"
    PUBLISHED = "leftovers of a clone that was finished"
    BUSY = "in use by another process"
    FOREIGN = "not made by mlxk"


@dataclass(frozen=True, slots=True)
class Sentinel:
    """What a sentinel file says.

    Attributes:
        spec: what is cloned (`org/name[@revision]`).
        target: where to, absolute.
        complete: the commit whose download is complete, or None.
        publishing: the copy is about to be renamed to the target, or has been.
    """

    spec: str
    target: str
    complete: str | None = None
    publishing: bool = False


def staging_state(
    sentinel: Sentinel, *, commit: str | None, download_healthy: bool, copy_there: bool
) -> StagingState:
    """What a staging directory of ours is good for, when `commit` is to be cloned."""
    if sentinel.publishing and not copy_there:
        return StagingState.PUBLISHED
    if sentinel.complete is None or sentinel.complete != commit:
        return StagingState.PARTIAL
    return StagingState.HEALTHY if download_healthy else StagingState.UNHEALTHY


def is_staging_name(name: str) -> bool:
    """Whether a directory of that name can be a staging directory."""
    return name.startswith(_STAGING_PREFIX) and len(name) == len(_STAGING_PREFIX) + _STAGING_DIGITS


def staging_path(spec: str, target: str) -> str:
    """The staging directory for a spec (`org/name[@revision]`) and an absolute target: beside the target."""
    import hashlib

    identity = f"{spec}\0{target}".encode(errors="surrogateescape")
    name = _STAGING_PREFIX + hashlib.sha256(identity).hexdigest()[:_STAGING_DIGITS]
    return posixpath.join(posixpath.dirname(target), name)
