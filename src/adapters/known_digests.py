"""Digests that are written down somewhere: in the cache's blob names, and in manifests of workspaces."""

from mlxk.adapters.workspace_manifest import read_manifest
from mlxk.domain.files import FileRole, role_of
from mlxk.domain.manifest import Baseline, Refusal
from mlxk.domain.model import FileFact, ModelRecord, Source
from mlxk.domain.verification import Digest, DigestKind, expected_digest

__all__ = ["RecordedDigests"]


class RecordedDigests:
    """Looks digests up; a manifest's count only for files that were not touched since it was written."""

    def known(self, record: ModelRecord, file: FileFact) -> Digest | None:
        """The digest that the cache or a workspace's manifest states of a file, or None."""
        if record.source is Source.CACHE:
            return expected_digest(file.blob)
        return _of_manifest(record.path, file) if record.source is Source.WORKSPACE else None


def _of_manifest(workspace: str, file: FileFact) -> Digest | None:
    if role_of(file.path) is not FileRole.WEIGHTS:
        return None
    manifest = read_manifest(workspace)
    if isinstance(manifest, Refusal) or not isinstance(manifest.baseline, Baseline):
        return None
    pinned = any(
        (known.path, known.size, known.mtime_ns) == (file.path, file.size, file.mtime_ns)
        and not known.touched
        for known in manifest.baseline.files
    )
    value = manifest.tensor_digests.get(file.path)
    return Digest(DigestKind.SHA256, value) if pinned and value else None
