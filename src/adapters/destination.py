"""Looking at the place where a workspace shall be made."""

import os
from pathlib import Path

from mlxk.domain.clone_plan import TargetState
from mlxk.domain.convert_plan import Destination

__all__ = ["DiskDestinations"]


class DiskDestinations:
    """Looks at this machine's disks.

    Args:
        cache: the model cache, which nothing is ever made in; None where there is none.
    """

    def __init__(self, cache: Path | None) -> None:
        self._cache = cache

    def look(self, target: str, source: str) -> Destination:
        """What is at an absolute path, and how it lies to the directory of the source; changes nothing."""
        real = os.path.realpath(target)
        parent = os.path.dirname(real)  # noqa: PTH120
        return Destination(
            state=self._state(target, real, parent),
            overlaps=_is_within(real, os.path.realpath(source)),
            same_volume=_device(parent) == _device(source),
            free=_free(parent),
        )

    def _state(self, target: str, real: str, parent: str) -> TargetState:
        if self._cache is not None and _is_within(real, os.path.realpath(self._cache)):
            return TargetState.IN_CACHE
        path = Path(target)
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            return TargetState.FILE
        if not Path(parent).is_dir():
            return TargetState.NO_PARENT
        if not os.access(parent, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
            return TargetState.UNWRITABLE
        if not path.exists():
            return TargetState.ABSENT
        return TargetState.EMPTY if _is_empty(target) else TargetState.NOT_EMPTY


def _is_empty(directory: str) -> bool:
    try:
        with os.scandir(directory) as entries:
            return next(entries, None) is None
    except OSError:  # what cannot be looked into is not ours to replace
        return False


def _is_within(path: str, directory: str) -> bool:
    return (path + "/").startswith(directory.rstrip("/") + "/")


def _device(path: str) -> int | None:
    try:
        return os.stat(path).st_dev  # noqa: PTH116
    except OSError:
        return None


def _free(directory: str) -> int | None:
    try:
        status = os.statvfs(directory)
    except OSError:
        return None
    return status.f_bavail * status.f_frsize
