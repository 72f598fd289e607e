"""What goes when a cached model, or one revision of it, is deleted: what no other revision needs.

As `huggingface_hub`'s own deletion strategy has it (`HFCacheInfo.delete_revisions`), and also for caches that
its scan does not show: those with broken links, with refs to nothing, or without snapshots.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from mlxk.domain.naming import is_commit_prefix

__all__ = ["Removal", "RepoContents", "SnapshotContents", "half_deleted", "plan_removal"]


@dataclass(frozen=True, slots=True)
class SnapshotContents:
    """One snapshot of a cached model.

    Attributes:
        commit: its directory's name.
        blobs: names of the blobs of the same model that its links lead to, there or not.
        own_bytes: of files that lie in the snapshot itself, as on volumes without links.
    """

    commit: str
    blobs: frozenset[str] = frozenset()
    own_bytes: int = 0


@dataclass(frozen=True, slots=True)
class RepoContents:
    """Everything of a cached model that counts for deleting it.

    Attributes:
        blobs: bytes that deleting each entry of `blobs/` frees, unfinished downloads among them; 0 for one
            whose content another model shares.
        refs: the commit by the name of each branch or tag.
        link: where the model's directory leads when it is itself a link, which is all that may be deleted.
    """

    snapshots: tuple[SnapshotContents, ...] = ()
    blobs: Mapping[str, int] = field(default_factory=dict)
    refs: Mapping[str, str] = field(default_factory=dict)
    link: str | None = None


@dataclass(frozen=True, slots=True)
class Removal:
    """What to delete.

    Attributes:
        whole: the model's directory goes with everything in it.
        commits: the snapshots that go, sorted.
        refs: the branches and tags that go, sorted.
        blobs: the entries of `blobs/` that go, sorted.
        bytes: that this frees.
    """

    whole: bool
    commits: tuple[str, ...]
    refs: tuple[str, ...]
    blobs: tuple[str, ...]
    bytes: int


def plan_removal(contents: RepoContents, commit: str | None = None) -> Removal:
    """Decide what goes with one snapshot, or with the whole model.

    Args:
        commit: the snapshot's name; None for all. Deleting the last snapshot deletes the model. Of one that
            is gone itself, the names that stand for it go.
    """
    commits = {found.commit for found in contents.snapshots} if commit is None else {commit}
    going = tuple(found for found in contents.snapshots if commit in (None, found.commit))
    staying = tuple(found for found in contents.snapshots if found not in going)
    if not staying:
        return _removal(
            contents, going, frozenset(contents.blobs), frozenset(contents.refs), commits, whole=True
        )
    needed = frozenset[str]().union(*(found.blobs for found in staying))
    blobs = frozenset[str]().union(*(found.blobs for found in going)) - needed
    refs = frozenset(name for name, target in contents.refs.items() if target in commits)
    return _removal(contents, going, blobs & frozenset(contents.blobs), refs, commits, whole=False)


def half_deleted(contents: RepoContents, revision: str) -> str | None:
    """The commit of a revision whose name is all that a killed deletion has left."""
    there = {found.commit for found in contents.snapshots}
    if (commit := contents.refs.get(revision)) is not None:
        return commit if commit not in there else None
    wanted = revision.lower()
    left = {commit for commit in contents.refs.values() if commit not in there and commit.startswith(wanted)}
    return left.pop() if len(left) == 1 and is_commit_prefix(wanted) else None


def _removal(
    contents: RepoContents,
    going: tuple[SnapshotContents, ...],
    blobs: frozenset[str],
    refs: frozenset[str],
    commits: Set[str],
    *,
    whole: bool,
) -> Removal:
    freed = sum(contents.blobs[name] for name in blobs) + sum(found.own_bytes for found in going)
    return Removal(whole, tuple(sorted(commits)), tuple(sorted(refs)), tuple(sorted(blobs)), freed)
