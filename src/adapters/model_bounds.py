"""Where the links of a model may lead: within the model, and for a snapshot within its cache."""

import os

from mlxk.domain.naming import is_cache_directory

__all__ = ["link_bounds", "repository_of"]


def repository_of(directory: str) -> str | None:
    """The cached repository that a directory is a snapshot of, going by the cache's layout."""
    snapshots, _, _ = directory.rpartition("/")
    repository, _, last = snapshots.rpartition("/")
    _, _, name = repository.rpartition("/")
    return repository if last == "snapshots" and is_cache_directory(name) else None


def link_bounds(directory: str) -> tuple[str, ...]:
    """The real paths, each with a slash at its end, below which links of a model may lead.

    In a workspace that is the workspace. A snapshot's links may lead anywhere in the repository and, for
    the hub's shared store, in its cache; either, or the blobs, may have been moved to another volume.
    """
    inside = [directory]
    repository = repository_of(directory)
    if repository:
        inside = [repository.rpartition("/")[0], repository, f"{repository}/blobs"]
    return tuple(os.path.realpath(path).rstrip("/") + "/" for path in inside)
