"""How long a model that nobody uses stays loaded."""

import math
import re
from dataclasses import dataclass

from mlxk.domain.errors import InvalidInput

__all__ = ["DEFAULT_KEEP_ALIVE", "FOREVER", "KeepAlive", "parse_keep_alive"]

_DURATION = re.compile(r"(?P<number>\d{1,9}(?:\.\d{1,6})?)(?P<unit>ms|s|m|h|d)?", re.ASCII)
_TOO_MANY = 10**9
"""Seconds as a number stay under this, as the nine digits of a text do."""

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """Seconds after its last use; 0 unloads at once, infinity never."""

    seconds: float


DEFAULT_KEEP_ALIVE = KeepAlive(300.0)
"""Five minutes, as Ollama."""

FOREVER = KeepAlive(math.inf)
"""Until its place is needed."""


def parse_keep_alive(value: str | float) -> KeepAlive:
    """Read a keep-alive as Ollama writes it: `5m`, `90s`, `1.5h`, seconds as a number, `-1` for ever.

    Raises:
        InvalidInput: it is no duration.
    """
    if isinstance(value, bool):
        raise _no_duration(str(value))
    return _of_text(value) if isinstance(value, str) else _of_number(value)


def _of_text(text: str) -> KeepAlive:
    text = text.strip().lower()
    found = _DURATION.fullmatch(text.removeprefix("-"))
    if found is None:
        raise _no_duration(text)
    if text.startswith("-"):
        return FOREVER
    return KeepAlive(float(found["number"]) * _SECONDS[found["unit"] or "s"])


def _of_number(seconds: float) -> KeepAlive:
    """Not by way of its text: that of an ordinary fraction has many digits, or an exponent."""
    if not -_TOO_MANY < seconds < _TOO_MANY:  # as NaN and the infinities are not
        raise _no_duration(_shown(seconds))
    return FOREVER if seconds < 0 else KeepAlive(float(seconds))


def _shown(seconds: float) -> str:
    return f"{seconds:g}" if isinstance(seconds, float) else "a number that large"


def _no_duration(text: str) -> InvalidInput:
    return InvalidInput(
        f"The keep-alive '{text[:40]}' is no duration.",
        hint="write 5m, 90s, 1h, 0 (unload at once) or -1 (never)",
        param="keep_alive",
    )
