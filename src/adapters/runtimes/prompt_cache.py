"""Prompts already computed, kept for the next request that begins alike."""

from typing import Any

import mlx.core as mx
from mlx_lm.models.cache import KVCache, LRUPromptCache

from mlxk.adapters.runtimes.lone_cache import make_plain

__all__ = ["PromptCache"]

MAX_SEQUENCES = 64
MODEL = "model"


class PromptCache:
    """mlx-lm's `LRUPromptCache` for one model, within a byte limit.

    Args:
        max_bytes: key and value bytes to keep at most; 0 keeps nothing.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._entries = self._empty()

    @property
    def nbytes(self) -> int:
        """Bytes kept now."""
        return int(self._entries.nbytes)

    def fetch(self, prompt: list[int]) -> tuple[list[Any] | None, int]:
        """A copy of the caches for the longest known beginning of a prompt, and its length in tokens.

        The last token is always left to compute: the first answer token comes from it.
        """
        known = prompt
        caches, rest = self._entries.fetch_nearest_cache(MODEL, known)
        if not rest:
            known = prompt[:-1]
            caches, rest = self._entries.fetch_nearest_cache(MODEL, known)
        return caches, len(known) - len(rest) if caches is not None else 0

    def keep(self, tokens: list[int], caches: list[Any]) -> None:
        """Keep the caches of a sequence; `tokens` are the ones they were computed from."""
        caches = [_compact(layer) for layer in make_plain(caches)]
        if sum(layer.nbytes for layer in caches) > self._max_bytes:
            return
        try:
            # Unevaluated slices would keep the whole batch's memory alive.
            mx.eval([layer.state for layer in caches])
            self._entries.insert_cache(MODEL, list(tokens), caches)
        except BaseException:
            self.clear()  # an interrupt in between may have left it inconsistent
            raise

    def trim(self, max_bytes: int) -> None:
        """Forget the least recently used sequences until no more than this many bytes are kept."""
        self._entries.trim_to(n_bytes=max_bytes)

    def clear(self) -> None:
        """Forget everything."""
        self._entries = self._empty()

    def _empty(self) -> LRUPromptCache:
        return LRUPromptCache(max_size=MAX_SEQUENCES, max_bytes=self._max_bytes)


def _compact(layer: Any) -> Any:
    """The same cache without the room it had left to grow (up to 255 tokens)."""
    if type(layer) is KVCache and layer.keys is not None:
        layer.keys, layer.values = (mx.contiguous(part) for part in layer.keys_and_values())
    return layer
