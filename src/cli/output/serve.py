"""What `mlxk serve` says once it listens."""

from typing import TYPE_CHECKING

from mlxk.cli.output.terminal import printable

if TYPE_CHECKING:
    from mlxk.app.results import ServeResult
    from mlxk.cli.invocation import Invocation

__all__ = ["print_served"]


def print_served(served: "ServeResult", invocation: "Invocation") -> None:
    """Where the server is and how to leave it, on stderr: stdout stays empty."""
    models = f" with {printable(served.model)}" if served.model else ""
    invocation.notice(f"Serving{models} at {served.base_url}/v1 (Ctrl-C ends it)")
