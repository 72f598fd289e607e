"""What `mlxk clone` did, for people."""

import sys

from mlxk.app.clone_answer import CloneResult
from mlxk.cli.output.terminal import printable
from mlxk.domain.sizes import human_size

__all__ = ["print_clone"]

_METHODS = {
    "clonefile": "its blocks are shared with the original until either is changed",
    "reflink": "its blocks are shared with the original until either is changed",
    "copy": "copied byte by byte, since this volume shares no blocks",
}


def print_clone(result: CloneResult) -> None:
    """Print what was done and how healthy it is, or the plan of a dry run."""
    details = result.details
    for line in details.plan:
        sys.stdout.write(f"{printable(line)}\n")
    sys.stdout.write(f"{printable(result.message)}\n")
    if details.bytes_downloaded:
        kept = f", {human_size(details.bytes_resumed)} were there" if details.bytes_resumed else ""
        sys.stdout.write(f"  Downloaded  {human_size(details.bytes_downloaded)}{kept}\n")
    if details.copy_method:
        sys.stdout.write(f"  Copy        {details.copy_method}: {_METHODS[details.copy_method]}\n")
    if result.health == "unhealthy":
        sys.stdout.write(f"  Health      unhealthy: {printable(result.health_reason or '')}\n")
    elif result.health:
        sys.stdout.write(f"  Health      {result.health}\n")
