"""Sharing blocks on macOS: clonefile(2) of APFS, called in libSystem through ctypes."""

import ctypes
import errno
import os
from collections.abc import Callable

from mlxk.adapters.tree_copy.sharing import NotShared
from mlxk.domain.clone_steps import CopyMethod

__all__ = ["CLONE_NOFOLLOW", "CLONE_NOOWNERCOPY", "Clonefile"]

CLONE_NOFOLLOW = 0x0001
"""Never clone what a link leads to (sys/clonefile.h); the copier has resolved links, within bounds."""

CLONE_NOOWNERCOPY = 0x0002
"""The copy belongs to who makes it (sys/clonefile.h)."""

_LIBRARY = "/usr/lib/libSystem.B.dylib"
_VOLUME_CANNOT = frozenset({errno.ENOTSUP, errno.EOPNOTSUPP, errno.EXDEV, errno.ENOSYS})
_FILE_CANNOT = frozenset({errno.EINVAL})

_Function = Callable[[bytes, bytes, int], int]


class Clonefile:
    """Clones whole files on one APFS volume, with their attributes.

    Args:
        library: what exports `clonefile`; it must have been loaded with `use_errno`.
    """

    method = CopyMethod.CLONEFILE

    def __init__(self, library: ctypes.CDLL) -> None:
        function = library.clonefile
        function.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint32)
        function.restype = ctypes.c_int
        self._clonefile: _Function = function

    @classmethod
    def of_this_system(cls) -> "Clonefile":
        """With the function of macOS.

        Raises:
            OSError: this is no macOS.
        """
        return cls(ctypes.CDLL(_LIBRARY, use_errno=True))

    def share(self, source: str, target: str) -> None:
        """Clone the file `source` to `target`.

        Raises:
            NotShared: the volumes or the file cannot; no `target` is left.
            OSError: anything else, such as a full disk or a target that exists.
        """
        if not self._clonefile(os.fsencode(source), os.fsencode(target), CLONE_NOFOLLOW | CLONE_NOOWNERCOPY):
            return
        number = ctypes.get_errno()
        if number in _VOLUME_CANNOT | _FILE_CANNOT:
            raise NotShared(os.strerror(number), never=number in _VOLUME_CANNOT)
        raise OSError(number, os.strerror(number), target)
