"""Whether the thread of a model is alive, from what it wrote down last."""

import math
from dataclasses import dataclass
from enum import Enum

__all__ = ["DEFAULT_STEP_LIMIT", "Beat", "Phase", "Vital", "judge", "limit_of"]

DEFAULT_STEP_LIMIT = 120.0
"""Seconds that computing one token of every running generation may take."""

_PREFILL_PATIENCE = 5.0
_LOAD_PATIENCE = 10.0


class Phase(Enum):
    """What a model's thread does."""

    IDLE = "idle"
    LOADING = "loading"
    PREFILLING = "prefilling"
    DECODING = "decoding"
    CLOSING = "closing"


@dataclass(frozen=True, slots=True)
class Beat:
    """The last thing a thread began, and when, in seconds of its clock."""

    phase: Phase
    at: float


class Vital(Enum):
    """How a thread is: `DEAD` has ended by itself, `STUCK` does not come back."""

    ALIVE = "alive"
    STUCK = "stuck"
    DEAD = "dead"


_PATIENCE = {
    Phase.IDLE: math.inf,
    Phase.LOADING: _LOAD_PATIENCE,
    Phase.PREFILLING: _PREFILL_PATIENCE,
    Phase.DECODING: 1.0,
    Phase.CLOSING: 1.0,
}


def limit_of(phase: Phase, step_limit: float) -> float:
    """Seconds that a phase may take.

    A step that computes prompt tokens has thousands of them where others have one, and the first step after
    a load is such a step too: it compiles kernels and pages the weights in. Loading reads a whole model.
    """
    return _PATIENCE[phase] * step_limit


def judge(beat: Beat, now: float, *, running: bool, step_limit: float = DEFAULT_STEP_LIMIT) -> Vital:
    """How a thread is.

    Args:
        now: seconds of the clock that the beat was written by.
        running: what the system says of the thread.
        step_limit: seconds that computing one token may take.
    """
    if not running:
        return Vital.DEAD
    return Vital.STUCK if now - beat.at > limit_of(beat.phase, step_limit) else Vital.ALIVE
