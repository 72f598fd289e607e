"""Asking the user on the terminal."""

import sys
from typing import TYPE_CHECKING

from mlxk.cli.output.terminal import printable
from mlxk.domain.consent import Consent

if TYPE_CHECKING:
    from mlxk.cli.invocation import Invocation
    from mlxk.domain.ports import Confirmer

__all__ = ["confirmer_for"]


def confirmer_for(invocation: "Invocation", *, agreed: bool) -> "Confirmer":
    """Who asks: nobody when the user agreed beforehand, or where no person is at the other end.

    Args:
        agreed: a flag such as --force says yes.
    """
    if agreed:
        return _given
    at_terminal = sys.stdin.isatty() and sys.stderr.isatty()
    return _ask if at_terminal and not invocation.json else _nobody


def _given(_question: str) -> Consent:
    return Consent.GIVEN


def _nobody(_question: str) -> Consent:
    return Consent.NOBODY


def _ask(question: str) -> Consent:
    """Ask on stderr; anything but a yes is a no."""
    sys.stderr.write(f"{printable(question)} [y/N] ")
    sys.stderr.flush()
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):  # Ctrl-D: the line is still open
        sys.stderr.write("\n")
    return Consent.GIVEN if answer.strip().casefold() in ("y", "yes") else Consent.REFUSED
