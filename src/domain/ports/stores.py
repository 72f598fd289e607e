"""Where models are, and what is known of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from mlxk.domain.manifest import Manifest, Origin, Refusal
    from mlxk.domain.model import FileFact, ModelRecord, SnapshotFacts, WorkspaceState
    from mlxk.domain.ports.surroundings import Progress
    from mlxk.domain.verification import Digest, FileVerdict

__all__ = [
    "FactReader",
    "KnownDigests",
    "ModelStore",
    "Verifier",
    "WorkspaceIntegrity",
    "WorkspaceStore",
]


class ModelStore(Protocol):
    """A place with models: the Hugging Face cache, the workspace home, the bundled models."""

    def records(self) -> Sequence[ModelRecord]:
        """Every model of this place, sorted by name; one broken model never hides another.

        A place that does not exist holds nothing.

        Raises:
            MlxkError: (`PERMISSION`) the place itself cannot be read, or is no directory.
        """

    def revisions(self, record: ModelRecord) -> Sequence[ModelRecord]:
        """The other revisions of a record's model that are here, each as a record; may be empty."""

    def at_revision(self, record: ModelRecord, revision: str) -> ModelRecord:
        """The record for a branch, tag or commit prefix (3 hex digits or more) of the same model.

        Raises:
            ModelNotFound: no such revision here; the hint names those that are.
            AmbiguousMatch: two commits begin with it.
        """


class WorkspaceStore(ModelStore, Protocol):
    """The workspace home, and workspaces anywhere by explicit path."""

    def record_at(self, path: str) -> ModelRecord:
        """The model in a directory, given as typed (`./x`, `~/x`, `/x`); a relative path is remembered.

        Raises:
            MlxkError: (`WORKSPACE_NOT_FOUND`) there is no directory, or no model in it; (`PERMISSION`) it
                cannot be read.
        """

    def under(self, prefix: str) -> Sequence[ModelRecord]:
        """The workspaces whose path begins with a prefix, names in the form they were asked for.

        A directory lists the workspaces in it, or is one itself.
        """


class WorkspaceIntegrity(Protocol):
    """Tells whether workspaces still hold what their manifests recorded, and records it."""

    def state(self, workspace: Path) -> WorkspaceState:
        """What a workspace's manifest says of it, compared with what is there. Never raises for bad data.

        Files that were only touched are read once and noted in the manifest; nothing else is written.
        """

    def recorded(self, workspace: Path) -> Manifest | Refusal:
        """What a workspace's manifest says, unchecked, or why there is none. Never raises for bad data."""

    def remember_digests(self, workspace: Path, known: Manifest, digests: Mapping[str, str]) -> None:
        """Add the sha256 (64 hex) of weight files, by path, to the manifest, where it still is the one known.

        Those of files that are not as they were recorded are left out. Where the manifest cannot be written,
        nothing is remembered.
        """

    def pin(self, workspace: Path) -> Manifest:
        """Make what a managed workspace holds now its clean state.

        Raises:
            InvalidInput: it has no manifest.
            MlxkError: (`OPERATION`) something in it cannot be hashed; (`PERMISSION`, `INSUFFICIENT_DISK`)
                the manifest cannot be written. The old manifest stays.
        """

    def found(self, workspace: Path, origin: Origin) -> Manifest:
        """Give a directory just made its first manifest, with what it holds as its clean state.

        One that cannot be hashed gets a manifest without content hash: damaged models are cloned to be
        repaired.

        Raises:
            MlxkError: (`PERMISSION`, `INSUFFICIENT_DISK`) the manifest cannot be written.
        """


class FactReader(Protocol):
    """Looks into one model directory."""

    def facts(self, record: ModelRecord) -> SnapshotFacts:
        """Gather facts in one tolerant scan, without reading weights. Never raises for bad data."""


class KnownDigests(Protocol):
    """Knows digests of files that need not be read for it."""

    def known(self, record: ModelRecord, file: FileFact) -> Digest | None:
        """The digest that the cache or a workspace's manifest states of a file, or None."""


class Verifier(Protocol):
    """Hashes files, remembering in receipts what was already hashed."""

    def verify(
        self, record: ModelRecord, files: Sequence[tuple[FileFact, Digest]], progress: Progress
    ) -> Iterator[FileVerdict]:
        """Compare each file's content with its expected digest, in order; `NO_DIGEST` compares with nothing.

        A file whose size and modification time match its receipt is not read again. Interrupting keeps
        the receipts of the files that were finished.
        """
