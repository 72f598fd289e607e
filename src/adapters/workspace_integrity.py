"""Whether workspaces on disk still hold what was pinned, and pinning."""

import errno
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from mlxk.adapters.bounded_read import describe
from mlxk.adapters.content_hash import Walked, walk
from mlxk.adapters.workspace_manifest import read_manifest, replace_manifest, state_of, write_manifest
from mlxk.domain.errors import ErrorKind, InvalidInput, MlxkError
from mlxk.domain.manifest import (
    DEFAULT_EXCLUDE_PATTERNS,
    Baseline,
    IndexedFile,
    Manifest,
    Origin,
    Refusal,
    path_problem,
    pinned,
)
from mlxk.domain.model import Cleanliness, WorkspaceState
from mlxk.domain.workspace import (
    RECALC_HINT,
    Doubt,
    Exclusions,
    FileHash,
    Obstacle,
    Stamp,
    Verdict,
    aggregate,
    contradiction,
    decide,
)

__all__ = ["DiskIntegrity"]


class DiskIntegrity:
    """Checks and pins workspaces on this machine's disks."""

    def state(self, workspace: Path) -> WorkspaceState:
        """What a workspace's manifest says of it, compared with what is there.

        A stat of every file is enough for a clean one. Files that were only touched are read once, and
        their new times noted in the manifest, silently not where it cannot be written.
        """
        manifest = read_manifest(str(workspace))
        if isinstance(manifest, Refusal):
            return WorkspaceState(managed=False)
        verdict = _check(str(workspace), manifest)
        return replace(state_of(manifest), cleanliness=verdict.cleanliness, hint=verdict.hint)

    def recorded(self, workspace: Path) -> Manifest | Refusal:
        """What a workspace's manifest says, unchecked, or why there is none."""
        return read_manifest(str(workspace))

    def remember_digests(self, workspace: Path, known: Manifest, digests: Mapping[str, str]) -> None:
        """Add the sha256 of weight files, by path, to the manifest, where it still is the one known.

        Those of files that are not as they were recorded are left out. On a read-only volume nothing is
        remembered.
        """
        baseline = known.baseline
        if isinstance(baseline, Refusal):
            return
        seen = walk(str(workspace), Exclusions(baseline.exclude_patterns)).tree.files
        same = {
            file.path: digests[file.path]
            for file in baseline.files
            if file.path in digests and seen.get(file.path) == Stamp(file.size, file.mtime_ns)
        }
        if same:
            better = replace(known, tensor_digests={**known.tensor_digests, **same})
            with suppress(OSError):  # it only costs reading the files again
                replace_manifest(str(workspace), known, better)

    def pin(self, workspace: Path) -> Manifest:
        """Make what a managed workspace holds now its clean state, by the patterns of its manifest.

        Raises:
            InvalidInput: it has no manifest.
            MlxkError: (`OPERATION`) something in it cannot be hashed; (`PERMISSION`) the manifest cannot be
                written. The old manifest stays.
        """
        manifest = read_manifest(str(workspace))
        if isinstance(manifest, Refusal):
            raise InvalidInput(
                f"{workspace} has no recorded state to renew: {manifest.message}.",
                hint="only what `mlxk clone` and `mlxk convert` make has one",
            )
        renewed = _pinned(str(workspace), manifest)
        if isinstance(renewed, Obstacle):
            raise _unhashable(renewed)
        return _write(str(workspace), renewed)

    def found(self, workspace: Path, origin: Origin) -> Manifest:
        """Give a directory just made its first manifest, with what it holds as its clean state.

        One that cannot be hashed, such as a damaged model that is cloned to be repaired, gets a manifest
        without content hash, so that its state is unknown until it is pinned.

        Raises:
            MlxkError: (`PERMISSION`, `INSUFFICIENT_DISK`) the manifest cannot be written.
        """
        from importlib.metadata import version

        new = origin.manifest(version("mlxk"), _now())
        first = _pinned(str(workspace), new)
        if isinstance(first, Obstacle):
            return _write(str(workspace), new)
        return _write(str(workspace), replace(first, tensor_digests=origin.tensor_digests))


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _check(workspace: str, manifest: Manifest) -> Verdict:
    baseline = manifest.baseline
    if isinstance(baseline, Refusal):
        return Verdict(Cleanliness.UNKNOWN, f"{baseline.message}; {RECALC_HINT}")
    if problem := contradiction(manifest, baseline):
        return Verdict(Cleanliness.UNKNOWN, f"{problem}; {RECALC_HINT}")
    verdict = _settle(baseline, walk(workspace, Exclusions(baseline.exclude_patterns)))
    if verdict.heal:
        _heal(workspace, manifest, baseline.with_mtimes(verdict.heal, manifest.tensor_digests))
    return verdict


def _settle(baseline: Baseline, walked: Walked) -> Verdict:
    found = decide(baseline, walked.tree, {})
    hashed: dict[str, str | Obstacle] = {}
    while isinstance(found, Doubt):
        for file in found.files:
            hashed[file.path] = walked.hash_file(file.path)
            if hashed[file.path] != file.sha:  # one is enough
                break
        found = decide(baseline, walked.tree, hashed)
    return found


def _heal(workspace: str, manifest: Manifest, baseline: Baseline) -> None:
    try:
        replace_manifest(workspace, manifest, replace(manifest, baseline=baseline))
    except OSError:  # a read-only volume or a full disk only costs reading the files again
        return


def _pinned(workspace: str, manifest: Manifest) -> Manifest | Obstacle:
    known = manifest.baseline
    patterns = known.exclude_patterns if isinstance(known, Baseline) else DEFAULT_EXCLUDE_PATTERNS
    index = _index(walk(workspace, Exclusions(patterns)))
    if isinstance(index, Obstacle):
        return index
    content_hash = aggregate(FileHash(file.path, file.sha) for file in index)
    return pinned(manifest, Baseline(index, patterns), content_hash, _now())


def _index(walked: Walked) -> tuple[IndexedFile, ...] | Obstacle:
    seen = walked.tree
    if seen.obstacles:
        return seen.obstacles[0]
    index = [IndexedFile(path, 0, 0, sha) for path, sha in seen.links.items()]
    for path, stamp in seen.files.items():
        if problem := path_problem(path):
            return Obstacle(ascii(path), problem, "rename it")
        sha = walked.hash_file(path)
        if isinstance(sha, Obstacle):
            return sha
        index.append(IndexedFile(path, stamp.size, stamp.mtime_ns, sha))
    return tuple(sorted(index, key=lambda file: file.path))


def _write(workspace: str, manifest: Manifest) -> Manifest:
    try:
        write_manifest(workspace, manifest)
    except OSError as error:
        raise _unwritable(workspace, error) from error
    return manifest


def _unhashable(obstacle: Obstacle) -> MlxkError:
    return MlxkError(
        ErrorKind.OPERATION,
        f"The workspace has no content hash: {obstacle.path} ({obstacle.reason}).",
        hint=f"{obstacle.hint}, then try again",
    )


def _unwritable(workspace: str, error: OSError) -> MlxkError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return MlxkError(
        ErrorKind.INSUFFICIENT_DISK if full else ErrorKind.PERMISSION,
        f"The manifest of {workspace} cannot be written: {describe(error)}.",
        hint="free some space" if full else "check the permissions of the directory",
    )
