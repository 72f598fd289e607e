"""Caches for a sequence that runs alone in a `BatchGenerator`.

mlx-lm's batched caches carry a padding mask and an offset per row, which a single sequence pays for and
does not need, and some kinds of cache cannot be batched at all. A lone cache is the plain cache, let into
the batch as it is; when a second sequence joins, it becomes the batched one.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import mlx.core as mx
from mlx_lm.models.cache import ArraysCache, CacheList, make_prompt_cache

__all__ = ["can_be_batched", "can_be_merged", "make_lone", "make_plain"]

PROBE_ROWS = 7


def can_be_merged(model: object) -> bool:
    """Whether mlx-lm knows a batched form of every cache of this model."""
    return all(hasattr(layer, "merge") for layer in make_prompt_cache(model))


def can_be_batched(model: Callable[..., object]) -> bool:
    """Whether several sequences of this model can run together.

    Some attention code takes no mask per row. Building a step for several rows shows it, and costs
    nothing: mlx computes when a result is asked for, and none is. The number of rows is one that no
    number of heads equals, or a mask could fit by chance.
    """
    if not can_be_merged(model):
        return False
    rows = [make_prompt_cache(model) for _ in range(PROBE_ROWS)]
    batch = [layers[0].merge(list(layers)) for layers in zip(*rows, strict=True)]
    try:
        for length in (3, 1):  # prompt, then one token
            model(mx.zeros((PROBE_ROWS, length), dtype=mx.uint32), cache=batch)
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError):
        return False
    return True


def make_lone(layers: list[Any]) -> list[Any]:
    """Turn a sequence's caches, one per layer, into lone ones, in place."""
    for layer in layers:
        if not isinstance(layer, ArraysCache | CacheList):  # their batched form is themselves
            layer.__class__ = _lone_kind(layer.__class__)
    return layers


def make_plain(layers: list[Any]) -> list[Any]:
    """Undo `make_lone`, in place."""
    for layer in layers:
        if isinstance(layer, _Lone):
            layer.__class__ = type(layer).__mro__[2]
    return layers


class _Lone:
    """What a batch asks of its caches, answered for one sequence."""

    @staticmethod
    def merge(caches: list[Any]) -> Any:
        if len(caches) == 1:
            return caches[0]
        plain = make_plain(caches)
        return plain[0].merge(plain)

    def filter(self, keep: list[int]) -> None:
        """Keep the only row."""

    def extract(self, _index: int) -> Any:
        return self

    def extend(self, other: Any) -> None:
        batch = make_plain([self])[0].merge([self])
        batch.extend(other)
        self.__class__ = type(batch)
        self.__dict__ = batch.__dict__


@cache
def _lone_kind(kind: type) -> type:
    return kind if issubclass(kind, _Lone) else type(f"Lone{kind.__name__}", (_Lone, kind), {})
