"""The call of clonefile(2), checked without a Mac: its arguments, and what becomes of its error numbers."""

import ctypes
import errno
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from mlxk.adapters.tree_copy import BlockSharing, VolumeTreeCopier
from mlxk.adapters.tree_copy.apfs import CLONE_NOFOLLOW, CLONE_NOOWNERCOPY, Clonefile
from mlxk.adapters.tree_copy.sharing import NotShared
from mlxk.domain.clone_steps import CopyMethod
from mlxk.domain.errors import ErrorKind, MlxkError
from tests.contract.tree_copy.conftest import Recorder, make_snapshot

PROTOTYPE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint32, use_errno=True)


def library(clonefile: Callable[[bytes, bytes, int], int]) -> ctypes.CDLL:
    """A library whose `clonefile` is called as C is, and lands in Python."""
    return cast(ctypes.CDLL, SimpleNamespace(clonefile=PROTOTYPE(clonefile)))


def failing(number: int) -> Clonefile:
    def clonefile(source: bytes, target: bytes, flags: int) -> int:
        ctypes.set_errno(number)
        return -1

    return Clonefile(library(clonefile))


def cloning(calls: list[tuple[bytes, bytes, int]]) -> Clonefile:
    def clonefile(source: bytes, target: bytes, flags: int) -> int:
        calls.append((source, target, flags))
        shutil.copy2(source, target)
        return 0

    return Clonefile(library(clonefile))


def test_the_constants_are_those_of_the_header() -> None:
    """sys/clonefile.h of macOS."""
    assert (CLONE_NOFOLLOW, CLONE_NOOWNERCOPY) == (1, 2)


def test_paths_and_flags_arrive(tmp_path: Path) -> None:
    calls: list[tuple[bytes, bytes, int]] = []
    source = tmp_path / os.fsdecode(b"caf\xc3\xa9 \xff")
    source.write_text("x")

    cloning(calls).share(str(source), str(tmp_path / "copy"))
    assert calls == [(os.fsencode(source), os.fsencode(tmp_path / "copy"), 3)]


@pytest.mark.parametrize("number", [errno.ENOTSUP, errno.EXDEV, errno.ENOSYS])
def test_volumes_that_cannot_are_not_asked_again(number: int) -> None:
    with pytest.raises(NotShared) as refused:
        failing(number).share("a", "b")
    assert refused.value.never


def test_a_file_that_cannot_be_cloned_says_nothing_of_the_others() -> None:
    with pytest.raises(NotShared) as refused:
        failing(errno.EINVAL).share("a", "b")
    assert not refused.value.never


@pytest.mark.parametrize(
    "number", [errno.ENOSPC, errno.EEXIST, errno.EACCES, errno.EROFS, errno.EIO, errno.ENOENT]
)
def test_other_errors_are_errors(number: int) -> None:
    with pytest.raises(OSError) as failed:
        failing(number).share("a", "b")
    assert failed.value.errno == number
    assert failed.value.filename == "b"


@pytest.mark.skipif(sys.platform != "linux", reason="stands in for clonefile with Linux's link(2)")
def test_error_numbers_of_real_system_calls_arrive(tmp_path: Path) -> None:
    """link(2) takes the same paths and fails in the same ways."""
    libc = ctypes.CDLL(None, use_errno=True)
    sharing = Clonefile(cast(ctypes.CDLL, SimpleNamespace(clonefile=libc.link)))
    (tmp_path / "a").write_text("a")

    sharing.share(str(tmp_path / "a"), str(tmp_path / "b"))
    assert (tmp_path / "b").read_text() == "a"
    with pytest.raises(FileExistsError):
        sharing.share(str(tmp_path / "a"), str(tmp_path / "b"))
    with pytest.raises(FileNotFoundError):
        sharing.share(str(tmp_path / "nowhere"), str(tmp_path / "c"))
    with pytest.raises(NotShared) as refused:
        sharing.share(str(tmp_path / "a"), f"/dev/shm/mlxk-{os.getpid()}")
    assert refused.value.never


def test_a_tree_is_cloned_file_by_file(tmp_path: Path) -> None:
    calls: list[tuple[bytes, bytes, int]] = []
    snapshot = make_snapshot(tmp_path)
    ways: list[BlockSharing] = [cloning(calls)]

    assert (
        VolumeTreeCopier(ways).copy(snapshot, tmp_path / "copy", progress=Recorder()) is CopyMethod.CLONEFILE
    )
    assert {Path(os.fsdecode(source)).parent.name for source, _, _ in calls} == {"blobs"}
    assert (tmp_path / "copy" / "model.safetensors").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, ErrorKind.INSUFFICIENT_DISK),
        (errno.EROFS, ErrorKind.PERMISSION),
        (errno.EACCES, ErrorKind.PERMISSION),
        (errno.EIO, ErrorKind.PERMISSION),
        (errno.ENOENT, ErrorKind.CLONE_FAILED),
    ],
)
def test_a_clone_that_fails_leaves_nothing(tmp_path: Path, number: int, kind: ErrorKind) -> None:
    snapshot = make_snapshot(tmp_path)

    with pytest.raises(MlxkError) as refused:
        VolumeTreeCopier([failing(number)]).copy(snapshot, tmp_path / "copy", progress=Recorder())
    assert refused.value.kind is kind
    assert {path.name for path in tmp_path.iterdir()} == {"models--org--name"}


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has it")
def test_elsewhere_there_is_no_clonefile() -> None:
    with pytest.raises(OSError, match="libSystem"):
        Clonefile.of_this_system()
