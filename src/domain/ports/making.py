"""Making models out of models: copying, staging, quantizing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from mlxk.domain.clone_plan import TargetState
    from mlxk.domain.clone_steps import CopyMethod
    from mlxk.domain.convert_plan import Destination, Engine
    from mlxk.domain.ports.surroundings import Progress
    from mlxk.domain.quantization import Packing
    from mlxk.domain.staging import Sentinel, StagingState
    from mlxk.domain.tensors import TensorFact

__all__ = [
    "CloneTargets",
    "Destinations",
    "IndexBuilder",
    "Quantizer",
    "Staging",
    "TensorReader",
    "TreeCopier",
]


class TreeCopier(Protocol):
    """Copies a directory tree; cheap where the volume can share blocks."""

    def copy(
        self, source: Path, target: Path, *, progress: Progress, without: frozenset[str] = frozenset()
    ) -> CopyMethod:
        """Copy `source` to `target`, which must not exist; links become the files they lead to.

        What has its path (relative, POSIX) in `without` is left out, directories too, and not looked at.

        The copy is the user's to edit: files can be written to, and keep their mode otherwise and their
        modification times; holes stay holes where the volume has them. `target` appears in one step, whole.
        Where anything fails, and on an interruption, nothing is left behind.

        Returns:
            How the files were copied; where several ways were needed, the costliest of them.

        Raises:
            MlxkError: (`INSUFFICIENT_DISK`) the disk is full; (`INVALID_TARGET`) the target exists, lies in
                the source, or its parent does not exist; (`CLONE_FAILED`) anything else, such as a link of
                the source that leads nowhere or out of the model.
        """


class CloneTargets(Protocol):
    """The places where clones go."""

    def absolute(self, name: str, given: str | None) -> str:
        """The absolute path for a clone of a model; `given` as typed, or None. See `target_path`.

        Raises:
            InvalidInput: the text can be no path.
            MlxkError: (`INVALID_TARGET`) it can be none on this machine: too long, of a user who does not
                exist, or relative to a working directory that is gone.
        """

    def look(self, target: str, source: str | None = None) -> TargetState:
        """What is there, and whether it lies in the directory that is cloned. Nothing is changed."""

    def free_bytes(self, target: str) -> int | None:
        """Bytes that may still be written beside it; None where that cannot be known."""


class Staging(Protocol):
    """Staging directories, each under the path that `staging_path` gives it.

    A process may be killed at any moment: what it leaves is ours by its sentinel, or empty. Only what is
    ours is ever changed or removed; every method that changes something, but `claimed`, wants it claimed
    first, and raises MlxkError (`CLONE_FAILED`) for what is not ours.
    """

    def look(self, path: str) -> Sentinel | StagingState:
        """What is there: a sentinel, or `NONE`, `BUSY` or `FOREIGN`. Nothing is changed."""

    def has_copy(self, path: str) -> bool:
        """Whether the copy in the making is there."""

    def has_download(self, path: str) -> bool:
        """Whether anything of a download is there."""

    def unfinished(self, target: str) -> Sequence[str]:
        """Our staging directories of clones to a target, of whatever model, that no process works in."""

    def sweep(self, path: str) -> None:
        """Remove what a process killed in its first or last moment left: a directory with nothing in it."""

    def claimed(self, path: str) -> AbstractContextManager[Sentinel | StagingState]:
        """Inside, no other process works in the directory, which is made where it does not exist.

        What is there by then is yielded, since what was looked at before may have changed. One that is still
        empty at the end is removed.

        Raises:
            MlxkError: (`CLONE_FAILED`) another process works in it, or it cannot be made.
        """

    def create(self, path: str, spec: str, target: str) -> None:
        """Make the directory, which may exist empty, ours."""

    def clear(self, path: str) -> None:
        """Remove everything but sentinel and download."""

    def mark_downloading(self, path: str) -> None:
        """Note that the download is not complete (any more)."""

    def mark_complete(self, path: str, commit: str) -> None:
        """Note that the download of a commit is complete."""

    def publish(self, path: str, target: str) -> None:
        """Note that it is about to happen, then rename the finished copy to the target.

        Raises:
            MlxkError: (`INVALID_TARGET`) the target is there by now, and no empty directory; the copy stays.
        """

    def discard(self, path: str) -> None:
        """Remove the directory; from the first moment on its download no longer counts as complete."""

    def remove(self, path: str) -> None:
        """Remove the directory, its sentinel last."""


class TensorReader(Protocol):
    """Reads what the headers of weight files say of their tensors."""

    def tensors(self, file: Path) -> Mapping[str, TensorFact]:
        """The tensors of one safetensors file by name; none where its header cannot be read."""


class IndexBuilder(Protocol):
    """Writes the weight index of a model."""

    def build(self, directory: Path, shards: Sequence[str], progress: Progress) -> None:
        """Write `model.safetensors.index.json` from the headers of the shards, in one step.

        Raises:
            MlxkError: (`OPERATION`) a header cannot be read, or two shards hold the same tensor;
                (`INSUFFICIENT_DISK`, `PERMISSION`) it cannot be written.
        """


class Quantizer(Protocol):
    """Makes weights anew in another format; writes weights, their index and config.json."""

    def quantize(
        self, source: Path, target: Path, engine: Engine, packing: Packing, progress: Progress
    ) -> Mapping[str, str]:
        """Write the model in `source` to the directory `target`, which exists, in fewer bits.

        Returns:
            The versions of the packages that did it.

        Raises:
            MlxkError: (`NOT_IMPLEMENTED`) its architecture is unknown or needs code of its own;
                (`OPERATION`) its weights do not fit its config; (`VALIDATION`) no layer can be packed so;
                (`INSUFFICIENT_DISK`, `PERMISSION`) it cannot be written.
        """

    def dequantize(self, source: Path, target: Path, engine: Engine, progress: Progress) -> Mapping[str, str]:
        """The same with packed weights opened."""


class Destinations(Protocol):
    """Looks at where a workspace shall be made."""

    def absolute(self, given: str) -> str:
        """The absolute path of a target as typed; see `CloneTargets.absolute` for what it raises."""

    def look(self, target: str, source: str) -> Destination:
        """What is at an absolute path, and how it lies to the directory of the source; changes nothing."""
