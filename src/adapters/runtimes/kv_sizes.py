"""How many bytes the caches of one generation take, known before it begins.

A forward pass through fresh caches is built for two lengths and never computed: mlx works when a result is
asked for, and the shapes are known without. That holds for any family, also where layers differ.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
from mlx_lm.models.cache import CacheList, ChunkedKVCache, RotatingKVCache, make_prompt_cache

__all__ = ["ModelSizes", "measure"]

ALLOCATION = 256
"""mlx-lm's caches grow by this many tokens at a time."""


@dataclass(frozen=True, slots=True)
class _LayerSize:
    """Bytes of one layer's cache: `fixed`, and `per_token` up to `window` tokens (None: without end)."""

    fixed: int
    per_token: int
    window: int | None

    def nbytes(self, tokens: int) -> int:
        return self.fixed + self.per_token * (tokens if self.window is None else min(tokens, self.window))


@dataclass(frozen=True, slots=True)
class ModelSizes:
    """What a model's shapes say.

    Attributes:
        vocabulary: columns of its logits; the tokenizer may know fewer tokens.
    """

    vocabulary: int
    layers: tuple[_LayerSize, ...]

    def kv_bytes(self, tokens: int) -> int:
        """Bytes of the caches of one sequence of this many tokens.

        Exact to the 256 tokens at which caches grow, and rounded up to them. Sliding windows stop growing,
        after a window and one prefill step; recurrent state does not grow. In a batch a sequence takes the
        room of the longest one.
        """
        return sum(layer.nbytes(_rounded(tokens)) for layer in self.layers)


def measure(model: Callable[..., Any], prefill_step: int) -> ModelSizes:
    """The sizes of a model whose prompts are computed in steps of this many tokens."""
    short, vocabulary = _caches_after(model, ALLOCATION)
    long, _ = _caches_after(model, 2 * ALLOCATION)
    layers = []
    for one, two in zip(short, long, strict=True):
        per_token = (two.nbytes - one.nbytes) // ALLOCATION
        fixed = one.nbytes - per_token * (ALLOCATION - _regrown(one))
        layers.append(_LayerSize(fixed, per_token, _window(one, prefill_step)))
    return ModelSizes(vocabulary, tuple(layers))


def _caches_after(model: Callable[..., Any], tokens: int) -> tuple[list[Any], int]:
    """The caches, one per layer or part of a layer, as they would be after a prompt; and the vocabulary."""
    caches = make_prompt_cache(model)
    logits = model(mx.zeros((1, tokens), dtype=mx.uint32), cache=caches)
    return list(_flat(caches)), int(logits.shape[-1])


def _flat(caches: list[Any] | tuple[Any, ...]) -> Iterator[Any]:
    for layer in caches:
        if isinstance(layer, CacheList):
            yield from _flat(layer.caches)
        else:
            yield layer


def _window(layer: Any, prefill_step: int) -> int | None:
    """Most tokens a cache holds: a rotating or chunked one its window and what one step adds to it."""
    if isinstance(layer, RotatingKVCache):
        return int(layer.max_size) + prefill_step
    return int(layer.chunk_size) + prefill_step if isinstance(layer, ChunkedKVCache) else None


def _regrown(layer: Any) -> int:
    """Tokens of room that a chunked cache adds again after it was cut to its chunk."""
    return ALLOCATION if isinstance(layer, ChunkedKVCache) else 0


def _rounded(tokens: int) -> int:
    return -(-tokens // ALLOCATION) * ALLOCATION
