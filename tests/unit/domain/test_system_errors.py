"""What an error of the system means."""

import errno
import os

import pytest

from mlxk.domain.errors import ErrorKind
from mlxk.domain.system_errors import kind_of_system_error


def kind(number: int) -> ErrorKind | None:
    return kind_of_system_error(OSError(number, os.strerror(number)))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk(number: int) -> None:
    assert kind(number) is ErrorKind.INSUFFICIENT_DISK


@pytest.mark.parametrize(
    "number",
    [
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOTDIR,
        errno.ELOOP,
        errno.EIO,
        errno.EISDIR,
        errno.EEXIST,
    ],
)
def test_the_file_system_refuses(number: int) -> None:
    found = kind(number)
    assert found is ErrorKind.PERMISSION
    assert found.exit_code == 3


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ECONNRESET, errno.EINTR, errno.EMFILE])
def test_anything_else_is_for_the_caller_to_judge(number: int) -> None:
    assert kind(number) is None
    assert kind_of_system_error(OSError("no number")) is None
