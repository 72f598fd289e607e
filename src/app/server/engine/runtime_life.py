"""What the event loop knows of a runtime thread."""

from dataclasses import dataclass
from enum import Enum

__all__ = ["RuntimeLife", "RuntimeStats"]


class RuntimeLife(Enum):
    """Where a runtime thread is in its life, as the event loop knows it."""

    LOADING = "loading"
    READY = "ready"
    CLOSING = "closing"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class RuntimeStats:
    """Bytes that a model keeps for later prompts, and that its generations in progress take."""

    prompt_cache_bytes: int = 0
    running_bytes: int = 0
