"""Sharing blocks on Linux: the `FICLONE` request of btrfs, XFS and others (ioctl_ficlone(2))."""

import errno
import os

from mlxk.adapters.bounded_read import describe, open_regular
from mlxk.adapters.tree_copy.sharing import NotShared
from mlxk.domain.clone_steps import CopyMethod

__all__ = ["FICLONE", "Reflink"]

FICLONE = 0x40049409
"""`_IOW(0x94, 9, int)` of linux/fs.h."""

_VOLUME_CANNOT = frozenset({errno.EOPNOTSUPP, errno.ENOTTY, errno.ENOSYS, errno.EXDEV, errno.EBADF})
# EINVAL also: not this file, such as one without copy-on-write beside others with it.
_FILE_CANNOT = frozenset({errno.EINVAL, errno.EPERM, errno.ETXTBSY})


class Reflink:
    """Shares the blocks of whole files on one volume."""

    method = CopyMethod.REFLINK

    def share(self, source: str, target: str) -> None:
        """Make `target` share all blocks of `source`.

        Raises:
            NotShared: the volumes or the file cannot; no `target` is left.
            OSError: anything else, such as a full disk.
        """
        reading, _ = open_regular(source)
        try:
            writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                _ficlone(writing, reading)
            except BaseException:
                os.unlink(target)  # noqa: PTH108
                raise
            finally:
                os.close(writing)
        finally:
            os.close(reading)


def _ficlone(writing: int, reading: int) -> None:
    import fcntl

    try:
        fcntl.ioctl(writing, FICLONE, reading)
    except OSError as error:
        if error.errno in _VOLUME_CANNOT | _FILE_CANNOT:
            raise NotShared(describe(error), never=error.errno in _VOLUME_CANNOT) from error
        raise
