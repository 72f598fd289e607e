"""Reading files nobody vouches for: regular files only, never more than asked for, never blocking."""

import os
import stat
from pathlib import Path

from mlxk.domain.model import Invalid

__all__ = ["describe", "open_regular", "read_bounded", "read_part", "read_start"]

_CHUNK = 1 << 20
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


def describe(error: OSError) -> str:
    """The system's reason in its own words, without path or number (`Permission denied`)."""
    return error.strerror or error.__class__.__name__


def open_regular(path: str | Path) -> tuple[int, os.stat_result]:
    """Open a regular file for reading and say what it is; the caller closes the descriptor.

    Opening does not wait for the other end of a named pipe.

    Raises:
        OSError: it cannot be opened, or is a directory, pipe, socket or device.
    """
    descriptor = os.open(path, _FLAGS)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise OSError(0, "Not a regular file")
    return descriptor, status


def read_bounded(path: str | Path, limit: int) -> bytes | Invalid:
    """The whole content of a regular file of at most `limit` bytes, or why there is none."""
    try:
        descriptor, status = open_regular(path)
    except OSError as error:
        return Invalid(describe(error))
    try:
        if status.st_size > limit:
            return Invalid(f"larger than {limit} bytes")
        return _read_up_to(descriptor, status.st_size)
    except OSError as error:
        return Invalid(describe(error))
    finally:
        os.close(descriptor)


def read_start(path: str | Path, count: int) -> bytes | Invalid:
    """The first `count` bytes of a regular file (fewer when it is shorter), or why there are none."""
    try:
        descriptor, _ = open_regular(path)
    except OSError as error:
        return Invalid(describe(error))
    try:
        return _read_up_to(descriptor, count)
    except OSError as error:
        return Invalid(describe(error))
    finally:
        os.close(descriptor)


def read_part(path: str | Path, offset: int, count: int) -> bytes | Invalid:
    """`count` bytes of a regular file from `offset` (fewer at its end), or why there are none."""
    try:
        descriptor, _ = open_regular(path)
    except OSError as error:
        return Invalid(describe(error))
    try:
        return os.pread(descriptor, count, offset)
    except OSError as error:
        return Invalid(describe(error))
    finally:
        os.close(descriptor)


def _read_up_to(descriptor: int, limit: int) -> bytes:
    content = os.read(descriptor, min(limit, _CHUNK))
    if len(content) == limit or not content:
        return content
    pieces = [content]
    left = limit - len(content)
    while left and (piece := os.read(descriptor, min(left, _CHUNK))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)
