"""What unfinished clones of other models, or of other revisions, have left beside a target."""

import shlex
from collections.abc import Sequence
from contextlib import suppress

from mlxk.domain.errors import MlxkError
from mlxk.domain.ports import Staging

__all__ = ["advice_on", "clear_leftovers", "leftovers"]


def leftovers(staging: Staging, target: str) -> Sequence[str]:
    """The staging directories of clones to a target that somebody could want to finish or to delete."""
    return [path for path in staging.unfinished(target) if staging.has_download(path)]


def clear_leftovers(staging: Staging, target: str) -> Sequence[str]:
    """Remove those in which nothing is worth keeping; what stays is a download, and is answered."""
    for path in staging.unfinished(target):
        with suppress(OSError, MlxkError), staging.claimed(path):
            if not staging.has_download(path):
                staging.remove(path)
    return leftovers(staging, target)


def advice_on(kept: Sequence[str]) -> str | None:
    """What to tell of them; None of none."""
    if not kept:
        return None
    return f"`rm -r {shlex.join(kept)}` gives up what an unfinished clone to the same target had downloaded"
