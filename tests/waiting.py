"""Waiting for what another process or thread brings about."""

import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["LIMIT", "bytes_at", "until"]

LIMIT = 60.0
"""Seconds that a loaded machine may take to what takes a moment."""


def until(condition: Callable[[], bool], *, seconds: float = LIMIT) -> None:
    """Wait for a condition; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def bytes_at(path: Path) -> int:
    """The size of a file that may not be there yet, or no more."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
