"""What dead downloads leave among the blobs, and when it may go.

`huggingface_hub` downloads into `<etag>.<8 hex>.incomplete` and never takes such a file up again; our own
`<digest>.mlxk-partial` is taken up by the next download of that content, so it only goes when the content
is there, or when nobody has come back for it in a long time.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mlxk.adapters.hub.cache_layout import INCOMPLETE_SUFFIX, PARTIAL_SUFFIX, RepoFolder

__all__ = ["remove_orphans", "try_lock"]

_GRACE = 10 * 60.0
"""Seconds without a byte before a file counts as left behind, for volumes whose locks hold nobody off."""

_FORGOTTEN = 30 * 24 * 3600.0
"""Seconds after which a begun content is one that nobody will ask for again."""


def remove_orphans(folder: RepoFolder) -> tuple[str, ...]:
    """Remove temporary files whose download is dead: their lock can be taken, and they are old enough.

    Returns:
        The names of the files removed, sorted. A file that cannot be removed stays, silently.
    """
    try:
        found = sorted(folder.blobs.iterdir())
    except OSError:
        return ()
    return tuple(path.name for path in found if _is_left_behind(path) and _remove(path, folder))


def _is_left_behind(path: Path) -> bool:
    try:
        age = time.time() - path.lstat().st_mtime
    except OSError:
        return False
    if path.name.endswith(INCOMPLETE_SUFFIX):
        return age > _GRACE
    if path.name.endswith(PARTIAL_SUFFIX):
        whole = path.with_name(path.name.removesuffix(PARTIAL_SUFFIX)).exists()
        return age > (_GRACE if whole else _FORGOTTEN)
    return False


def _remove(path: Path, folder: RepoFolder) -> bool:
    with suppress(OSError), try_lock(folder.lock(path.name.split(".", 1)[0]), seconds=0.05) as taken:
        if taken:
            path.unlink()
            return True
    return False


@contextmanager
def try_lock(path: Path, seconds: float) -> Iterator[bool]:
    """Hold one of the client's locks, as the client takes it; says whether it was free in time.

    Raises:
        OSError: the lock file cannot be made.
    """
    from filelock import Timeout
    from huggingface_hub.utils import WeakFileLock

    lock = WeakFileLock(path, timeout=seconds)
    try:
        lock.__enter__()
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.__exit__(None, None, None)
