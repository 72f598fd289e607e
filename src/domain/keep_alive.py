"""How long a model that nobody uses stays loaded."""

import math
import re
from dataclasses import dataclass

from mlxk.domain.errors import InvalidInput

__all__ = ["DEFAULT_KEEP_ALIVE", "FOREVER", "KeepAlive", "parse_keep_alive"]

_DURATION = re.compile(r"(?P<number>\d{1,9}(?:\.\d{1,6})?)(?P<unit>ms|s|m|h|d)?", re.ASCII)
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
    text = str(value).strip().lower()
    if text.startswith("-") and _DURATION.fullmatch(text[1:]):
        return FOREVER
    found = _DURATION.fullmatch(text)
    if found is None or isinstance(value, bool):
        raise InvalidInput(
            f"The keep-alive '{text[:40]}' is no duration.",
            hint="write 5m, 90s, 1h, 0 (unload at once) or -1 (never)",
            param="keep_alive",
        )
    return KeepAlive(float(found["number"]) * _SECONDS[found["unit"] or "s"])
