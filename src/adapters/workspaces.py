"""Workspaces, read side: flat directories with one model each, managed (with a manifest) or not."""

import errno
import fnmatch
import json
import os
import re
import stat
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from mlxk.adapters.bounded_read import describe, read_bounded
from mlxk.domain.errors import ErrorKind, MlxkError, ModelNotFound
from mlxk.domain.model import Cleanliness, Invalid, JsonObject, ModelRecord, Source, WorkspaceState

__all__ = ["MANIFEST_NAME", "WorkspaceHome", "read_state"]

MANIFEST_NAME = ".mlxk_workspace.json"

_MAX_MANIFEST = 64 * 1024 * 1024
_HASH_ALGORITHM = "v2"
_CONTENT_HASH = re.compile(r"sha256:[0-9a-f]{64}")
_WEIGHTS = re.compile(r".*\.(safetensors|gguf|npz)|pytorch_model.*\.bin", re.DOTALL)


class WorkspaceHome:
    """The workspaces directly below one directory, and workspaces anywhere by explicit path.

    A directory counts when it holds a `config.json`, weights or a manifest. Hidden ones, and with them
    the staging directories of unfinished clones, are not listed.

    Args:
        root: the home; None, or one that does not exist, holds nothing.
    """

    def __init__(self, root: Path | None) -> None:
        self._root = root

    def records(self) -> Sequence[ModelRecord]:
        """Every workspace of the home, sorted by name.

        Raises:
            MlxkError: (`PERMISSION`) the home cannot be read or is no directory.
        """
        if self._root is None:
            return ()
        try:
            return _children(os.path.abspath(self._root))  # noqa: PTH100 - names hold no `..`
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
            record = _record_of(_absolute(path), _display(path))
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
                itself = _record_of(absolute, _display(prefix))
                return (itself,) if itself else _children(absolute, _display(prefix))
            parent, _, beginning = absolute.rpartition("/")
            shown = _display(prefix)
            found = _children(parent or "/", shown and (shown.rpartition("/")[0] or "."))
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


def _children(directory: str, shown: str | None = None) -> list[ModelRecord]:
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
            record = _record_of(path, display)
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


def _record_of(path: str, display: str | None) -> ModelRecord | None:
    """The record of a directory, or None when it holds no model.

    Raises:
        OSError: it cannot be read, or is no directory.
    """
    names = frozenset(os.listdir(path))  # noqa: PTH208 - names only
    if not names & {"config.json", MANIFEST_NAME} and not any(map(_WEIGHTS.fullmatch, names)):
        return None
    state = read_state(Path(path)) if MANIFEST_NAME in names else WorkspaceState(managed=False)
    return ModelRecord(path, path, Source.WORKSPACE, display_name=display, workspace=state)


def read_state(workspace: Path) -> WorkspaceState:
    """What a workspace's manifest says of it. Any manifest that cannot be used counts as none."""
    manifest = _manifest(workspace / MANIFEST_NAME)
    if manifest.get("managed") is not True:
        return WorkspaceState(managed=False)
    content_hash = _text(manifest, "content_hash")
    return WorkspaceState(
        managed=True,
        origin=_text(manifest, "source_repo"),
        content_hash=content_hash if content_hash and _CONTENT_HASH.fullmatch(content_hash) else None,
        hash_modified=_text(manifest, "hash_modified"),
        cleanliness=_cleanliness(workspace, manifest),
    )


def _manifest(file: Path) -> JsonObject:
    content = Invalid("a link") if file.is_symlink() else read_bounded(file, _MAX_MANIFEST)
    if isinstance(content, Invalid):
        return {}
    try:
        value: object = json.loads(content.decode())
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _text(manifest: JsonObject, key: str) -> str | None:
    value = manifest.get(key)
    return value if isinstance(value, str) and value else None


def _cleanliness(workspace: Path, manifest: JsonObject) -> Cleanliness:
    """`CLEAN` when every file still has its recorded size and modification time, and there is no other.

    Everything else needs hashing and is `UNKNOWN` here. Nothing the manifest names is opened or looked up:
    its entries are only compared with what the walk found.
    """
    if manifest.get("hash_algorithm") != _HASH_ALGORITHM:
        return Cleanliness.UNKNOWN
    recorded = _recorded(manifest.get("file_index"))
    patterns = manifest.get("exclude_patterns")
    if not recorded or not isinstance(patterns, list):
        return Cleanliness.UNKNOWN
    try:
        found = dict(
            _stat_tree(str(workspace), [pattern for pattern in patterns if isinstance(pattern, str)])
        )
    except OSError:
        return Cleanliness.UNKNOWN
    return Cleanliness.CLEAN if found == recorded else Cleanliness.UNKNOWN


def _recorded(index: object) -> dict[str, tuple[int, int]]:
    """Path to size and mtime; empty when an entry is malformed or named twice."""
    if not isinstance(index, list):
        return {}
    recorded: dict[str, tuple[int, int]] = {}
    for entry in index:
        match entry:
            case {"path": str(path), "size": int(size), "mtime_ns": int(mtime_ns)} if path not in recorded:
                recorded[path] = (size, mtime_ns)
            case _:
                return {}
    return recorded


def _stat_tree(
    directory: str, patterns: Sequence[str], prefix: str = ""
) -> Iterator[tuple[str, tuple[int, int]]]:
    """Size and mtime of every file that is not excluded, links unfollowed; paths are POSIX and NFC.

    Raises:
        OSError: something cannot be looked at, or is a link, which a stat cannot vouch for.
    """
    with os.scandir(directory) as entries:
        for entry in entries:
            is_directory = entry.is_dir(follow_symlinks=False)
            if _excluded(entry.name, patterns, is_directory=is_directory):
                continue
            path = prefix + entry.name
            if is_directory:
                yield from _stat_tree(entry.path, patterns, path + "/")
                continue
            status = entry.stat(follow_symlinks=False)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(0, "Not a regular file")
            yield unicodedata.normalize("NFC", path), (status.st_size, status.st_mtime_ns)


def _excluded(name: str, patterns: Sequence[str], *, is_directory: bool) -> bool:
    """Whether a name fits a pattern; those for directories end in a slash."""
    return any(
        fnmatch.fnmatchcase(name, pattern.removesuffix("/"))
        for pattern in patterns
        if pattern.endswith("/") == is_directory
    )
