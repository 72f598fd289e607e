"""Workspaces, read side: flat directories with one model each, managed (with a manifest) or not."""

import errno
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from mlxk.adapters.bounded_read import describe
from mlxk.adapters.workspace_manifest import read_manifest, state_of
from mlxk.domain.errors import ErrorKind, MlxkError, ModelNotFound
from mlxk.domain.manifest import MANIFEST_NAME, Refusal
from mlxk.domain.model import ModelRecord, Source, WorkspaceState
from mlxk.domain.ports import WorkspaceIntegrity

__all__ = ["MANIFEST_NAME", "WorkspaceHome", "read_state"]

_WEIGHTS = re.compile(r".*\.(safetensors|gguf|npz)|pytorch_model.*\.bin", re.DOTALL)

_State: TypeAlias = Callable[[Path], WorkspaceState]
"""What a workspace's manifest says of it, compared with what is there or not."""


class WorkspaceHome:
    """The workspaces directly below one directory, and workspaces anywhere by explicit path.

    A directory counts when it holds a `config.json`, weights or a manifest. Hidden ones, and with them
    the staging directories of unfinished clones, are not listed.

    Args:
        root: the home; None, or one that does not exist, holds nothing.
        integrity: tells whether workspaces are clean. Without one, as for completion, which is after names
            only, that stays unknown and no file is looked at.
    """

    def __init__(self, root: Path | None, integrity: WorkspaceIntegrity | None = None) -> None:
        self._root = root
        self._state: _State = read_state if integrity is None else integrity.state

    def records(self) -> Sequence[ModelRecord]:
        """Every workspace of the home, sorted by name.

        Raises:
            MlxkError: (`PERMISSION`) the home cannot be read or is no directory.
        """
        if self._root is None:
            return ()
        try:
            return _children(self._state, os.path.abspath(self._root))  # noqa: PTH100 - names hold no `..`
        except OSError as error:
            raise MlxkError(
                ErrorKind.PERMISSION,
                f"The workspace home {self._root} cannot be read: {describe(error)}.",
                hint="check its permissions, or point MLXK_WORKSPACE_HOME at a directory you can read",
            ) from error

    def revisions(self, record: ModelRecord) -> Sequence[ModelRecord]:  # noqa: ARG002 - the port's signature
        """Nothing: a workspace holds one state of its model."""
        return ()

    def at_revision(self, record: ModelRecord, revision: str) -> ModelRecord:
        """Never finds one.

        Raises:
            ModelNotFound: always; workspaces have no revisions.
        """
        raise ModelNotFound(
            f"'{record.display_name or record.name}' is a workspace and has no revision '{revision}'.",
            hint="leave out '@' and the revision; revisions belong to models in the cache",
        )

    def record_at(self, path: str) -> ModelRecord:
        """The model in a directory, given as typed (`./x`, `~/x`, `/x`).

        Raises:
            MlxkError: (`WORKSPACE_NOT_FOUND`) there is no directory, or no model in it; (`PERMISSION`) it
                cannot be read.
        """
        try:
            record = _record_of(self._state, _absolute(path), _display(path))
        except PermissionError as error:
            raise _unreadable(path, error) from error
        except NotADirectoryError as error:
            raise _not_a_workspace(f"'{path}' is a file, not a directory with a model.") from error
        except (OSError, ValueError) as error:
            raise _not_a_workspace(f"There is no directory '{path}'.") from error
        if record is None:
            raise _not_a_workspace(f"'{path}' holds no model: no config.json and no weights.")
        return record

    def under(self, prefix: str) -> Sequence[ModelRecord]:
        """The workspaces a path stands for, sorted by name, displayed in the form they were asked for.

        A directory is a workspace itself, or lists those in it; anything else is the beginning of a path,
        and lists the workspaces whose path begins so.

        Raises:
            MlxkError: (`PERMISSION`) the directory to look in cannot be read.
        """
        absolute = _absolute(prefix)
        try:
            if os.path.isdir(absolute):  # noqa: PTH112 - tolerates any text
                itself = _record_of(self._state, absolute, _display(prefix))
                return (itself,) if itself else _children(self._state, absolute, _display(prefix))
            parent, _, beginning = absolute.rpartition("/")
            shown = _display(prefix)
            found = _children(self._state, parent or "/", shown and (shown.rpartition("/")[0] or "."))
        except OSError as error:
            raise _unreadable(prefix, error) from error
        return [record for record in found if record.path.rpartition("/")[2].startswith(beginning)]


def _absolute(typed: str) -> str:
    return os.path.abspath(os.path.expanduser(typed))  # noqa: PTH100, PTH111 - any text is fine here


def _display(typed: str) -> str | None:
    return None if typed.startswith("/") else typed


def _unreadable(path: str, error: OSError) -> MlxkError:
    return MlxkError(
        ErrorKind.PERMISSION, f"'{path}' cannot be read: {describe(error)}.", hint="check its permissions"
    )


def _not_a_workspace(message: str) -> MlxkError:
    return MlxkError(
        ErrorKind.WORKSPACE_NOT_FOUND, message, hint="give the directory that holds the model's config.json"
    )


def _children(state: _State, directory: str, shown: str | None = None) -> list[ModelRecord]:
    """The workspaces directly in a directory, sorted; none when it does not exist.

    Raises:
        OSError: it cannot be read, or is no directory.
    """
    try:
        names = sorted(name for name in os.listdir(directory) if name[0] != ".")  # noqa: PTH208
    except FileNotFoundError:
        return []
    found = []
    for name in names:
        display = None if shown is None else f"{shown.rstrip('/')}/{name}"
        path = f"{directory.rstrip('/')}/{name}"
        try:
            record = _record_of(state, path, display)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            if error.errno == errno.ELOOP:  # a link to itself leads to no directory
                continue
            record = ModelRecord(
                path,
                path,
                Source.WORKSPACE,
                display_name=display,
                problem=f"its directory cannot be read: {describe(error)}",
                workspace=WorkspaceState(managed=False),
            )
        if record:
            found.append(record)
    return found


def _record_of(state: _State, path: str, display: str | None) -> ModelRecord | None:
    """The record of a directory, or None when it holds no model.

    Raises:
        OSError: it cannot be read, or is no directory.
    """
    names = frozenset(os.listdir(path))  # noqa: PTH208 - names only
    if not names & {"config.json", MANIFEST_NAME} and not any(map(_WEIGHTS.fullmatch, names)):
        return None
    found = state(Path(path)) if MANIFEST_NAME in names else WorkspaceState(managed=False)
    return ModelRecord(path, path, Source.WORKSPACE, display_name=display, workspace=found)


def read_state(workspace: Path) -> WorkspaceState:
    """What a workspace's manifest says of it, unchecked. Any manifest that cannot be used counts as none."""
    manifest = read_manifest(str(workspace))
    if isinstance(manifest, Refusal):
        return WorkspaceState(managed=False)
    return state_of(manifest)
