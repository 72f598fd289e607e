"""What `mlxk convert` says to people."""

import sys

from mlxk.app.convert import ConvertResult
from mlxk.cli.output.terminal import printable

__all__ = ["print_convert"]


def print_convert(result: ConvertResult) -> None:
    """Print what was made and where."""
    health = result.health_status or "health not checked"
    sys.stdout.write(f"{printable(result.message)}: {printable(result.target)} ({health})\n")
