"""Which warm models stay, which go, and when there is room for another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

__all__ = [
    "ModelKey",
    "ModelKind",
    "NeverFits",
    "PoolLimits",
    "Room",
    "RoomDecision",
    "Wait",
    "WarmModel",
    "cache_allowances",
    "expired",
    "make_room",
]


class ModelKind(Enum):
    """What a model was loaded for: the same weights are another warm model for another kind."""

    TEXT = "text"


@dataclass(frozen=True, slots=True)
class ModelKey:
    """What makes two warm models the same. Options that do not change the weights are not part of it.

    Attributes:
        location: `org/model@commit`, or the resolved path of a model outside the cache.
        adapter: the resolved path of a LoRA adapter, or None.
    """

    location: str
    adapter: str | None = None
    kind: ModelKind = ModelKind.TEXT


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How many models may be warm, and how many bytes weights, prompt caches and running work may take.

    Raises:
        ValueError: `max_models` is below 1, or the budget is negative.
    """

    max_models: int
    budget: int

    def __post_init__(self) -> None:
        if self.max_models < 1:
            raise ValueError(f"max_models must be at least 1, not {self.max_models}")
        if self.budget < 0:
            raise ValueError(f"the memory budget must not be negative, not {self.budget}")


@dataclass(frozen=True, slots=True)
class WarmModel:
    """A warm model.

    Attributes:
        nbytes: of its weights.
        last_used: seconds of the pool's clock.
        pins: who uses it now: requests, and generations in progress.
        expires_at: when it goes if nobody uses it until then; infinity for never.
    """

    key: ModelKey
    nbytes: int
    last_used: float
    pins: int
    expires_at: float


@dataclass(frozen=True, slots=True)
class Room:
    """There is room, once these models have gone, least recently used first."""

    evict: tuple[ModelKey, ...] = ()


@dataclass(frozen=True, slots=True)
class Wait:
    """There will be room when models that are busy now, or are on their way out, have gone."""


@dataclass(frozen=True, slots=True)
class NeverFits:
    """There will never be room, whatever goes."""


RoomDecision: TypeAlias = Room | Wait | NeverFits


def make_room(
    wanted: int, warm: Sequence[WarmModel], limits: PoolLimits, *, occupied: int = 0
) -> RoomDecision:
    """Decide how a model gets its place.

    Prompt caches do not count: they are trimmed before a model goes.

    Args:
        wanted: bytes of its weights.
        occupied: bytes that no eviction frees: running generations, and models that are being closed.
    """
    if wanted > limits.budget:
        return NeverFits()
    evicted: list[ModelKey] = []
    count, taken = len(warm), sum(model.nbytes for model in warm) + occupied
    idle = iter(_idle_oldest_first(warm))
    while count >= limits.max_models or taken + wanted > limits.budget:
        oldest = next(idle, None)
        if oldest is None:
            return Wait()
        evicted.append(oldest.key)
        count, taken = count - 1, taken - oldest.nbytes
    return Room(tuple(evicted))


def expired(warm: Sequence[WarmModel], now: float) -> tuple[ModelKey, ...]:
    """The idle models that nobody has used for as long as they may stay."""
    return tuple(model.key for model in _idle_oldest_first(warm) if model.expires_at <= now)


def cache_allowances(allowed: int, caches: Mapping[ModelKey, int]) -> dict[ModelKey, int]:
    """Share bytes for prompt caches: the first keeps what it has, then the next, as far as it goes.

    Args:
        allowed: bytes for all; nothing when negative.
        caches: bytes that each model keeps now, the most recently used first.

    Returns:
        The bytes each of those models may keep that has to give some up.
    """
    left, trims = max(0, allowed), {}
    for key, nbytes in caches.items():
        kept = min(nbytes, left)
        left -= kept
        if kept < nbytes:
            trims[key] = kept
    return trims


def _idle_oldest_first(warm: Sequence[WarmModel]) -> list[WarmModel]:
    return sorted((model for model in warm if not model.pins), key=lambda model: model.last_used)
