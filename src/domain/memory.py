"""RAM budgets and gates: pure policy over measured numbers."""

import re
from dataclasses import dataclass
from enum import Enum

from mlxk.domain.errors import InvalidInput

__all__ = [
    "Gate",
    "MemoryFacts",
    "Verdict",
    "gate_audio",
    "gate_text",
    "gate_vision",
    "live_test_budget",
    "parse_budget",
    "pool_budget",
]

GIB = 1024**3
GB = 1000**3
TEXT_OVERHEAD = 1.2
TEXT_WARN_FRACTION = 0.7
VISION_FRACTION = 0.7
AUDIO_MINIMUM = 4 * GIB
POOL_FRACTION = 0.7
_UNITS = {"b": 1, "kb": 1000, "mb": 1000**2, "gb": GB, "kib": 1024, "mib": 1024**2, "gib": GIB}
_BUDGET = re.compile(r"(?P<number>\d{1,18}(?:\.\d{1,6})?)\s*(?P<unit>%|b|[kmg]i?b)?", re.ASCII)
_LIVE_STEPS = ((96, 0.70), (64, 0.60), (32, 0.50), (0, 0.40))


@dataclass(frozen=True, slots=True)
class MemoryFacts:
    """Memory of this machine, bytes: physical in total, and available now without swapping."""

    total: int
    available: int


class Verdict(Enum):
    """Whether a model may be loaded."""

    FITS = "fits"
    TIGHT = "tight"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Gate:
    """A verdict with the numbers behind it: bytes needed and bytes allowed; `reason` unless it fits."""

    verdict: Verdict
    needed: int
    allowed: int
    reason: str | None = None


def gate_text(size: int, memory: MemoryFacts) -> Gate:
    """Text models need 1.2 × their size: warn above 70 % of RAM, refuse only what cannot fit at all."""
    needed = int(size * TEXT_OVERHEAD)
    comfortable = int(memory.total * TEXT_WARN_FRACTION)
    if needed > memory.total:
        return Gate(
            Verdict.REFUSED,
            needed,
            memory.total,
            f"needs {_gib(needed)}, this machine has {_gib(memory.total)}",
        )
    if needed > comfortable:
        return Gate(
            Verdict.TIGHT,
            needed,
            comfortable,
            f"needs {_gib(needed)} of {_gib(memory.total)}; expect swapping",
        )
    return Gate(Verdict.FITS, needed, comfortable)


def gate_vision(size: int, memory: MemoryFacts) -> Gate:
    """Vision models are refused above 70 % of RAM, because their encoders spike."""
    allowed = int(memory.total * VISION_FRACTION)
    if size > allowed:
        return Gate(
            Verdict.REFUSED, size, allowed, f"is {_gib(size)}, vision models may use {_gib(allowed)} here"
        )
    return Gate(Verdict.FITS, size, allowed)


def gate_audio(memory: MemoryFacts) -> Gate:
    """Audio models are refused when less than 4 GiB of memory are available."""
    if memory.available < AUDIO_MINIMUM:
        return Gate(
            Verdict.REFUSED,
            AUDIO_MINIMUM,
            memory.available,
            f"needs {_gib(AUDIO_MINIMUM)} free, {_gib(memory.available)} are available",
        )
    return Gate(Verdict.FITS, AUDIO_MINIMUM, memory.available)


def live_test_budget(memory: MemoryFacts) -> int:
    """Bytes a model may have in live tests: 40 % of RAM from 16 GB, 50 % from 32, 60 % from 64, 70 % from 96.

    Steps, not a slope: between two sizes the lower fraction holds, so a 48 GB machine uses 50 %.
    """
    gigabytes = memory.total / GB  # what a machine reports is a little under its GiB
    fraction = next(fraction for bound, fraction in _LIVE_STEPS if gigabytes >= bound)
    return int(memory.total * fraction)


def pool_budget(memory: MemoryFacts) -> int:
    """Bytes for weights and prompt caches of the server's warm pool, by default 70 % of RAM."""
    return int(memory.total * POOL_FRACTION)


def parse_budget(text: str, memory: MemoryFacts) -> int:
    """Bytes that a person means: `12GB`, `12GiB`, `60%` of RAM, or plain bytes.

    Raises:
        InvalidInput: it is no size, nothing, or more than this machine has.
    """
    found = _BUDGET.fullmatch(text.strip().lower())
    if found is None:
        raise InvalidInput(
            f"The memory budget '{text[:40]}' is no size.", hint="write 12GB, 12GiB, 60% or a number of bytes"
        )
    unit = memory.total / 100 if found["unit"] == "%" else _UNITS[found["unit"] or "b"]
    budget = int(float(found["number"]) * unit)
    if not 0 < budget <= memory.total:
        raise InvalidInput(
            f"The memory budget '{text[:40]}' must be more than nothing and at most the machine's "
            f"{_gib(memory.total)}."
        )
    return budget


def _gib(count: int) -> str:
    return f"{count / GIB:.1f} GiB"
