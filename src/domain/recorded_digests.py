"""Which digests a workspace's manifest states for the content of its files.

Weights have the sha256 of all their bytes where `tensor_digests` says so; of other files content hash v2
takes the whole content, up to a size. A digest holds for a file that looks as it was recorded; one that was
edited since has none.
"""

from collections.abc import Iterable, Mapping

from mlxk.domain.files import FileRole, role_of
from mlxk.domain.manifest import MANIFEST_NAME, Baseline, IndexedFile, Manifest
from mlxk.domain.model import FileFact, LinkState
from mlxk.domain.verification import Digest, DigestKind
from mlxk.domain.workspace import Exclusions, HashKind, hash_kind, normal_form

__all__ = ["recorded_digests", "undigested_weights", "unrecorded", "untouched_digests"]

_SHA_PREFIX = "sha256:"


def recorded_digests(manifest: Manifest, files: Iterable[FileFact]) -> list[tuple[FileFact, Digest]]:
    """The files whose content can be held against the manifest, in order."""
    index = _index(manifest)
    found = []
    for file in files:
        path = normal_form(file.path)
        entry = index.get(path)
        if entry is None or not _is_as_recorded(file, entry):
            continue
        value = manifest.tensor_digests.get(path)
        if value is None and hash_kind(path, file.size) is HashKind.CONTENT:
            value = entry.sha.removeprefix(_SHA_PREFIX)
        if value is not None:
            found.append((file, Digest(DigestKind.SHA256, value)))
    return found


def untouched_digests(manifest: Manifest, files: Iterable[FileFact]) -> Mapping[str, str]:
    """The tensor digests, by path, of the weights that are, by time too, as when they were recorded."""
    index = _index(manifest)
    found = {}
    for file in files:
        path = normal_form(file.path)
        entry, value = index.get(path), manifest.tensor_digests.get(path)
        if entry and value and not entry.touched and _is_as_recorded(file, entry):
            found[path] = value
    return found


def undigested_weights(manifest: Manifest, files: Iterable[FileFact]) -> list[FileFact]:
    """The weights that look as they were recorded, and of whose whole content the manifest says nothing."""
    index = _index(manifest)
    found = []
    for file in files:
        path = normal_form(file.path)
        entry = index.get(path)
        if entry is None or entry.touched or not _is_as_recorded(file, entry):
            continue
        covered = path in manifest.tensor_digests or hash_kind(path, file.size) is HashKind.CONTENT
        if file.readable and role_of(path) is FileRole.WEIGHTS and not covered:
            found.append(file)
    return found


def unrecorded(
    manifest: Manifest, files: Iterable[FileFact], checked: Iterable[tuple[FileFact, Digest]]
) -> list[str]:
    """The paths of the files that were not among those checked, without those that no manifest counts."""
    baseline = manifest.baseline
    exclusions = Exclusions(baseline.exclude_patterns if isinstance(baseline, Baseline) else (MANIFEST_NAME,))
    done = {file.path for file, _ in checked}
    return [
        file.path
        for file in files
        if file.readable and file.path not in done and not _excluded(exclusions, file.path)
    ]


def _is_as_recorded(file: FileFact, entry: IndexedFile) -> bool:
    same = (file.size, file.mtime_ns) == (entry.size, entry.mtime_ns)
    return same and file.link is LinkState.NONE


def _index(manifest: Manifest) -> Mapping[str, IndexedFile]:
    files = manifest.baseline.files if isinstance(manifest.baseline, Baseline) else ()
    return {file.path: file for file in files}


def _excluded(exclusions: Exclusions, path: str) -> bool:
    *directories, name = normal_form(path).split("/")
    return exclusions.file(name) or any(map(exclusions.directory, directories))
