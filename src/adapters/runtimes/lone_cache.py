"""Caches for a sequence that runs alone in a `BatchGenerator`.

mlx-lm's batched caches carry a padding mask and an offset per row, which a single sequence pays for and
does not need, and some kinds of cache cannot be batched at all. A lone cache is the plain cache, let into
the batch as it is; when a second sequence joins, it becomes the batched one.
"""

from functools import cache
from typing import Any

from mlx_lm.models.cache import ArraysCache, CacheList, make_prompt_cache

__all__ = ["can_be_batched", "make_lone", "make_plain"]


def can_be_batched(model: object) -> bool:
    """Whether several sequences of this model can run together."""
    return all(hasattr(layer, "merge") for layer in make_prompt_cache(model))


def make_lone(layers: list[Any]) -> list[Any]:
    """Turn a sequence's caches, one per layer, into lone ones, in place."""
    for layer in layers:
        if not isinstance(layer, ArraysCache | CacheList):  # their batched form is themselves
            layer.__class__ = _lone_kind(type(layer))
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

    def extract(self, index: int) -> Any:
        return self

    def extend(self, other: Any) -> None:
        batch = make_plain([self])[0].merge([self])
        batch.extend(other)
        self.__class__ = type(batch)
        self.__dict__ = batch.__dict__


@cache
def _lone_kind(kind: type) -> type:
    return kind if issubclass(kind, _Lone) else type(f"Lone{kind.__name__}", (_Lone, kind), {})
