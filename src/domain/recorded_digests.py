"""Which digests a workspace's manifest states for the content of its files.

Weights have the sha256 of all their bytes where `tensor_digests` says so; of other files content hash v2
takes the whole content, up to a size. A digest holds for a file that looks as it was recorded; one that was
edited since has none.
"""

from collections.abc import Iterable, Mapping

from mlxk.domain.manifest import MANIFEST_NAME, Baseline, IndexedFile, Manifest
from mlxk.domain.model import FileFact, LinkState
from mlxk.domain.verification import Digest, DigestKind
from mlxk.domain.workspace import Exclusions, HashKind, hash_kind, normal_form

__all__ = ["recorded_digests", "unrecorded"]

_SHA_PREFIX = "sha256:"


def recorded_digests(manifest: Manifest, files: Iterable[FileFact]) -> list[tuple[FileFact, Digest]]:
    """The files whose content can be held against the manifest, in order."""
    index = _index(manifest)
    found = []
    for file in files:
        path = normal_form(file.path)
        entry = index.get(path)
        if entry is None or file.link is not LinkState.NONE:
            continue
        if (file.size, file.mtime_ns) != (entry.size, entry.mtime_ns):
            continue
        value = manifest.tensor_digests.get(path)
        if value is None and hash_kind(path, file.size) is HashKind.CONTENT:
            value = entry.sha.removeprefix(_SHA_PREFIX)
        if value is not None:
            found.append((file, Digest(DigestKind.SHA256, value)))
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


def _index(manifest: Manifest) -> Mapping[str, IndexedFile]:
    files = manifest.baseline.files if isinstance(manifest.baseline, Baseline) else ()
    return {file.path: file for file in files}


def _excluded(exclusions: Exclusions, path: str) -> bool:
    *directories, name = normal_form(path).split("/")
    return exclusions.file(name) or any(map(exclusions.directory, directories))
