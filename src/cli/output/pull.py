"""What `mlxk pull` tells people."""

import sys

from mlxk.app.pull import PullResult
from mlxk.cli.output.terminal import printable
from mlxk.domain.sizes import human_size

__all__ = ["print_pull"]


def print_pull(result: PullResult) -> None:
    """Print what happened; for a dry run, the files that would be fetched before it."""
    for file in result.files_to_fetch or ():
        sys.stdout.write(f"{human_size(file.size_bytes):>9}  {printable(file.name)}\n")
    sys.stdout.write(f"{printable(result.message)}\n")
    if result.commit_hash and result.download_status in ("success", "already_exists"):
        sys.stdout.write(f"{result.model}@{result.commit_hash}\n")
