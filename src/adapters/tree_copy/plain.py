"""Copying bytes: holes stay holes, the kernel copies where it can, and the result is on the disk."""

import errno
import os
from collections.abc import Callable, Iterator

from mlxk.adapters.bounded_read import open_regular

__all__ = ["PlainCopy"]

_AT_ONCE = 16 * 1024 * 1024
"""Bytes between two signs of progress, which is also how soon Ctrl-C works."""

_BUFFER = 1024 * 1024
_KERNEL_CANNOT = frozenset(
    {errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM, errno.EBADF, errno.ETXTBSY}
)


class PlainCopy:
    """Copies one file after another.

    Args:
        copied: hears how many more bytes of the file are done, holes included.
    """

    def __init__(self, copied: Callable[[int], None]) -> None:
        self._copied = copied

    def copy(self, source: str, target: str) -> None:
        """Copy the regular file `source` to `target`, which must not exist, and wait until the disk has it.

        Raises:
            OSError: it cannot be read or written, or became shorter meanwhile.
        """
        reading, status = open_regular(source)
        try:
            writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                self._fill(reading, writing, status.st_size)
                os.fsync(writing)
            finally:
                os.close(writing)
        finally:
            os.close(reading)

    def _fill(self, reading: int, writing: int, size: int) -> None:
        os.ftruncate(writing, size)
        done = 0
        for begin, end in _extents(reading, size):
            self._copied(begin - done)
            self._copy_range(reading, writing, begin, end)
            done = end
        self._copied(size - done)

    def _copy_range(self, reading: int, writing: int, begin: int, end: int) -> None:
        in_kernel = hasattr(os, "copy_file_range")
        while begin < end:
            count = 0
            if in_kernel:
                count = _copy_in_kernel(reading, writing, begin, min(_AT_ONCE, end - begin))
                in_kernel = count > 0
            count = count or _copy_through_memory(reading, writing, begin, min(_BUFFER, end - begin))
            begin += count
            self._copied(count)


def _extents(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """Where a file has data, as begin and end; all of it where the system does not tell holes."""
    end = 0
    while end < size:
        try:
            begin = os.lseek(descriptor, end, os.SEEK_DATA)
            end = min(os.lseek(descriptor, begin, os.SEEK_HOLE), size)
        except OSError as error:
            if error.errno == errno.ENXIO:  # no data after this
                return
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                raise
            begin, end = end, size
        if begin < end:
            yield begin, end


def _copy_in_kernel(reading: int, writing: int, offset: int, count: int) -> int:
    """Bytes copied without passing through memory; 0 when the volumes do not do that."""
    try:
        return os.copy_file_range(reading, writing, count, offset, offset)
    except OSError as error:
        if error.errno in _KERNEL_CANNOT:
            return 0
        raise


def _copy_through_memory(reading: int, writing: int, offset: int, count: int) -> int:
    piece = os.pread(reading, count, offset)
    if not piece:
        raise OSError(errno.EIO, "the file became shorter while it was copied")
    written = 0
    while written < len(piece):
        written += os.pwrite(writing, memoryview(piece)[written:], offset + written)
    return written
