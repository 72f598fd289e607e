"""Where clones go: absolute paths, and what is there."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from mlxk.domain.clone_plan import TargetState, target_path
from mlxk.domain.errors import ErrorKind, InvalidInput, MlxkError

__all__ = ["TargetDirectories"]


class TargetDirectories:
    """Targets on this machine's disks.

    Args:
        workspace_home: where bare names go; None for the working directory.
        cache: the model cache, in which no workspace may lie; None when there is none.
    """

    def __init__(self, workspace_home: Path | None, cache: Path | None) -> None:
        self._home = None if workspace_home is None else str(workspace_home)
        self._cache = cache

    def absolute(self, name: str, given: str | None) -> str:
        """Where a clone of a model goes; `given` as typed, or None.

        Raises:
            InvalidInput: the text can be no path.
            MlxkError: (`PERMISSION`) the working directory is gone.
        """
        try:
            directory = os.getcwd()  # noqa: PTH109
        except OSError as error:
            raise MlxkError(
                ErrorKind.PERMISSION,
                "The working directory is gone.",
                hint="change to a directory that exists",
            ) from error
        expanded = None if given is None else os.path.expanduser(given)  # noqa: PTH111
        target = target_path(name, expanded, workspace_home=self._home, directory=directory)
        try:
            os.lstat(target)
        except (ValueError, UnicodeEncodeError) as error:
            raise InvalidInput("The target can be no path.", hint="give a directory name") from error
        except OSError:
            pass
        return target

    def look(self, target: str, source: str | None = None) -> TargetState:
        """What is there. A link counts as a file: a workspace could not take its place.

        Args:
            source: the directory that is cloned, where there is one already.
        """
        if self._cache is not None and _inside(target, self._cache):
            return TargetState.IN_CACHE
        if source is not None and _inside(target, source):
            return TargetState.IN_SOURCE
        if os.path.islink(target) or os.path.isfile(target):  # noqa: PTH113, PTH114
            return TargetState.FILE
        parent = os.path.dirname(target)  # noqa: PTH120
        try:
            if os.listdir(target):  # noqa: PTH208
                return TargetState.NOT_EMPTY
            found = TargetState.EMPTY
        except FileNotFoundError:
            found = TargetState.ABSENT
        except NotADirectoryError:
            return TargetState.FILE if os.path.lexists(target) else TargetState.NO_PARENT
        except OSError:
            return TargetState.UNWRITABLE
        if not os.path.isdir(parent):  # noqa: PTH112
            return TargetState.NO_PARENT
        return found if os.access(parent, os.W_OK | os.X_OK) else TargetState.UNWRITABLE

    def free_bytes(self, target: str) -> int | None:
        """Bytes that may still be written to the target's volume; None where that cannot be known."""
        with suppress(OSError):
            return shutil.disk_usage(os.path.dirname(target)).free  # noqa: PTH120
        return None


def _inside(target: str, directory: str | Path) -> bool:
    outer = os.path.realpath(directory).rstrip("/") + "/"
    return f"{os.path.realpath(target)}/".startswith(outer)
