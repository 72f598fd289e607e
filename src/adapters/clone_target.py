"""Where clones go: absolute paths, and what is there."""

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path

from mlxk.domain.clone_plan import TargetState, target_path
from mlxk.domain.errors import ErrorKind, InvalidInput, MlxkError

__all__ = ["TargetDirectories"]

_START = "/"
"""Where no path starts that does not need the working directory."""

_USABLE = os.W_OK | os.X_OK
_EFFECTIVE = os.access in os.supports_effective_ids


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
            MlxkError: (`INVALID_TARGET`) it can be none on this machine.
        """
        expanded = None if given is None else _expanded(given)
        start = _START if self._needs_no_directory(expanded) else _working_directory()
        target = target_path(name, expanded, workspace_home=self._home, directory=start)
        try:
            os.lstat(target)
        except (ValueError, UnicodeEncodeError) as error:
            raise InvalidInput("The target can be no path.", hint="give a directory name") from error
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise _invalid("The target's name is too long.", "give a shorter one") from error
        return target

    def _needs_no_directory(self, given: str | None) -> bool:
        if given is not None and given.startswith("/"):
            return True
        bare = given is None or ("/" not in given and given not in (".", ".."))
        return bare and self._home is not None

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
            return TargetState.FILE if os.path.lexists(target) else TargetState.BELOW_FILE
        except OSError:
            return TargetState.UNWRITABLE
        if not os.path.isdir(parent):  # noqa: PTH112
            return TargetState.NO_PARENT
        return found if os.access(parent, _USABLE, effective_ids=_EFFECTIVE) else TargetState.UNWRITABLE

    def free_bytes(self, target: str) -> int | None:
        """Bytes that may still be written to the target's volume; None where that cannot be known."""
        with suppress(OSError):
            return shutil.disk_usage(os.path.dirname(target)).free  # noqa: PTH120
        return None


def _inside(target: str, directory: str | Path) -> bool:
    outer = os.path.realpath(directory).rstrip("/") + "/"
    return f"{os.path.realpath(target)}/".startswith(outer)


def _expanded(given: str) -> str:
    """A path as typed with its `~` replaced."""
    expanded = os.path.expanduser(given)  # noqa: PTH111
    if given.startswith("~") and expanded == given:
        user = given.partition("/")[0]
        raise _invalid(
            f"The target is in '{user}', and there is no such home directory.",
            "give an absolute path; a name that begins so is written ./~NAME",
        )
    return expanded


def _working_directory() -> str:
    try:
        return os.getcwd()  # noqa: PTH109
    except OSError as error:
        message = "The target is relative to the working directory, which is gone."
        raise _invalid(message, "change to a directory that exists, or give an absolute path") from error


def _invalid(message: str, hint: str) -> MlxkError:
    return MlxkError(ErrorKind.INVALID_TARGET, message, hint=hint)
