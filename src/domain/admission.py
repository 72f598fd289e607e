"""Whether a request may begin: a bounded queue, and one byte budget for everything that is in memory.

How long an answer becomes is not known when it begins. To reserve all that it may have (by default half of
the context) would refuse ordinary work on most machines; to reserve nothing would let a full batch grow until
the process is killed. So a generation reserves its prompt and a first stretch of its answer; what runs is
measured as it grows, and while that fills the budget nothing new begins. Only when what runs has outgrown the
budget by a good part does the youngest generation fail, so that the others live.
"""

from dataclasses import dataclass
from enum import Enum

from mlxk.domain.errors import ErrorKind, MlxkError

__all__ = [
    "DEFAULT_QUEUE_LIMIT",
    "RESERVED_STRETCH",
    "Admission",
    "MemoryUse",
    "Need",
    "admit",
    "cache_room",
    "check_queue",
    "is_overgrown",
    "reserved_tokens",
]

DEFAULT_QUEUE_LIMIT = 64
"""Requests that may wait."""

RESERVED_STRETCH = 512
"""Tokens of an answer that have their place in memory from its beginning."""

_RETRY_AFTER = 5
_OVERGROWN = 1.15


class Admission(Enum):
    """What becomes of a generation that wants to begin."""

    ADMIT = "admit"
    TRIM_CACHES = "trim caches, then admit"
    EVICT_IDLE = "evict idle models, then look again"
    WAIT = "wait for running generations"
    REFUSE = "refuse, it can never fit"


@dataclass(frozen=True, slots=True)
class Need:
    """What a generation takes, in bytes.

    Attributes:
        model: the weights of its model.
        begin: caches for its prompt and the first stretch of its answer.
        whole: caches for all that was asked for explicitly; as `begin` when no length was asked for.
    """

    model: int
    begin: int
    whole: int


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """What is in memory, in bytes.

    Attributes:
        budget: for all of it.
        busy: weights of models that cannot go now, those that are being closed among them.
        idle: weights of models that nobody uses.
        caches: prompts kept for later requests.
        running: caches of generations in progress, measured or reserved.
    """

    budget: int
    busy: int
    idle: int
    caches: int
    running: int


def reserved_tokens(prompt_tokens: int, max_tokens: int) -> int:
    """Tokens that a generation has a place for when it begins."""
    return prompt_tokens + min(max_tokens, RESERVED_STRETCH)


def admit(need: Need, use: MemoryUse) -> Admission:
    """Decide on one generation; its model's weights are in `use.busy` already."""
    if need.model + max(need.begin, need.whole) > use.budget:
        return Admission.REFUSE
    kept = use.busy + use.running + need.begin
    if kept + use.idle + use.caches <= use.budget:
        return Admission.ADMIT
    if kept + use.idle <= use.budget:
        return Admission.TRIM_CACHES
    if kept <= use.budget and use.idle:
        return Admission.EVICT_IDLE
    return Admission.WAIT


def cache_room(use: MemoryUse, needed: int = 0) -> int:
    """Bytes left for prompt caches when `needed` bytes are taken besides; may be negative."""
    return use.budget - use.busy - use.idle - use.running - needed


def is_overgrown(use: MemoryUse) -> bool:
    """Whether running generations have outgrown the budget so far that one must end for the others."""
    return use.busy + use.running > use.budget * _OVERGROWN


def check_queue(waiting: int, limit: int) -> None:
    """Let one more request wait.

    Raises:
        MlxkError: (`QUEUE_FULL`) as many wait as may.
    """
    if waiting >= limit:
        raise MlxkError(
            ErrorKind.QUEUE_FULL,
            f"{waiting} requests wait already, and no more than {limit} may.",
            hint="try again in a few seconds",
            retry_after=_RETRY_AFTER,
        )
