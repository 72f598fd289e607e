"""What an error of the system means for a command that reads or writes files: one rule for all adapters."""

import errno

from mlxk.domain.errors import ErrorKind

__all__ = ["kind_of_system_error"]

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_REFUSED = frozenset(
    {
        errno.EACCES,
        errno.EBUSY,
        errno.EEXIST,
        errno.EIO,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENODEV,
        errno.ENOTDIR,
        errno.ENXIO,
        errno.EPERM,
        errno.EROFS,
        errno.ESTALE,
    }
)
"""Permissions, places that are not what they should be, and disks that fail: the file system's exit code."""


def kind_of_system_error(error: OSError) -> ErrorKind | None:
    """`INSUFFICIENT_DISK` or `PERMISSION` where the file system is why, else None: the caller knows more.

    A file that is not there (`ENOENT`) is none of these: it may have been deleted by now.
    """
    if error.errno in _FULL:
        return ErrorKind.INSUFFICIENT_DISK
    return ErrorKind.PERMISSION if error.errno in _REFUSED else None
