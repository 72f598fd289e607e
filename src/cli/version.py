"""`mlxk --version`."""

from mlxk import __version__
from mlxk.app.results import SPEC_VERSION, SystemView, VersionResult
from mlxk.cli.invocation import Invocation
from mlxk.cli.output.human import print_version

__all__ = ["print_version_of_this_program"]


def print_version_of_this_program(invocation: Invocation) -> None:
    """Print the versions; with --json also the machine's memory."""
    system = _system() if invocation.json else None
    invocation.answer(VersionResult(__version__, SPEC_VERSION, system), print_version)


def _system() -> SystemView | None:
    import psutil

    try:
        return SystemView(psutil.virtual_memory().total)
    except OSError:
        return None
