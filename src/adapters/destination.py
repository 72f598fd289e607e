"""Looking at the place where a conversion goes: as at a clone's, and how it lies to the source."""

import os

from mlxk.domain.convert_plan import Destination
from mlxk.domain.ports import CloneTargets

__all__ = ["DiskDestinations"]


class DiskDestinations:
    """Looks at this machine's disks.

    Args:
        targets: what any new workspace must find at its place.
    """

    def __init__(self, targets: CloneTargets) -> None:
        self._targets = targets

    def absolute(self, given: str) -> str:
        """The absolute path of a target as typed.

        Raises:
            MlxkError: see the port.
        """
        return self._targets.absolute("", given)

    def look(self, target: str, source: str) -> Destination:
        """What is at an absolute path, and how it lies to the directory of the source; changes nothing."""
        real = os.path.realpath(target)
        return Destination(
            state=self._targets.look(target),
            overlaps=_is_within(real, os.path.realpath(source)),
            same_volume=_device(os.path.dirname(real)) == _device(source),  # noqa: PTH120
            free=self._targets.free_bytes(target),
        )


def _is_within(path: str, directory: str) -> bool:
    return (path + "/").startswith(directory.rstrip("/") + "/")


def _device(path: str) -> int | None:
    try:
        return os.stat(path).st_dev  # noqa: PTH116
    except OSError:
        return None
