"""What `mlxk rm` tells people."""

import sys

from mlxk.app.rm import RmResult
from mlxk.cli.output.terminal import printable

__all__ = ["print_rm"]


def print_rm(result: RmResult) -> None:
    """Print what happened, and the commits where several revisions go."""
    sys.stdout.write(f"{printable(result.message)}\n")
    if len(result.revisions) > 1:
        for commit in result.revisions:
            sys.stdout.write(f"  {printable(commit)}\n")
