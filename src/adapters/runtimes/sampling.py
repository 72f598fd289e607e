"""How the next token is chosen: mlx-lm's filters, with a random state per request.

mlx-lm draws from one global random state, so in a batch one request's draws would depend on the others.
Here every request has its own, made from its seed.
"""

import secrets
from collections.abc import Callable, Iterator
from typing import TypeAlias

import mlx.core as mx
from mlx_lm.sample_utils import apply_min_p, apply_top_k, apply_top_p, greedy_sampler, make_logits_processors

from mlxk.domain.generation import Sampling

__all__ = ["LogitsProcessor", "Sampler", "logits_processors_for", "sampler_for"]

Sampler: TypeAlias = Callable[[mx.array], mx.array]
"""Log-probabilities [batch, vocabulary] to tokens [batch]."""

LogitsProcessor: TypeAlias = Callable[[mx.array, mx.array], mx.array]
"""Tokens so far and logits [1, vocabulary] to logits."""

KEYS_AT_ONCE = 64

COLDEST = 1e-6
"""Below this temperature the best token wins; dividing by less would overflow."""

SMALLEST_TOP_P = 1e-6
"""A smaller mass, as a 32-bit float, may keep no token at all; this keeps the best one."""


def sampler_for(sampling: Sampling) -> Sampler:
    """The sampler of one request. Greedy requests share one, so that a batch of them is sampled at once."""
    if sampling.temperature < COLDEST:
        sampler: Sampler = greedy_sampler
        return sampler
    return _seeded_sampler(sampling)


def _seeded_sampler(sampling: Sampling) -> Sampler:
    filters = _filters(sampling)
    scale = 1.0 / sampling.temperature
    keys = _keys(secrets.randbits(64) if sampling.seed is None else sampling.seed)

    def sample(logprobs: mx.array) -> mx.array:
        for keep in filters:
            logprobs = keep(logprobs)
        return mx.random.categorical(logprobs.astype(mx.float32) * scale, key=next(keys))

    return sample


def _keys(seed: int) -> Iterator[mx.array]:
    """One key per token, made many at a time to spare work per token."""
    key = mx.random.key(seed)
    while True:
        key, *drawn = mx.random.split(key, KEYS_AT_ONCE + 1)
        yield from drawn


def _filters(sampling: Sampling) -> list[Sampler]:
    """In the order of `mlx_lm.sample_utils.make_sampler`: top-p, min-p, top-k."""
    filters: list[Sampler] = []
    if sampling.top_p < 1:
        filters.append(lambda logprobs: apply_top_p(logprobs, max(sampling.top_p, SMALLEST_TOP_P)))
    if sampling.min_p > 0:
        filters.append(lambda logprobs: apply_min_p(logprobs, sampling.min_p))
    if sampling.top_k > 0:
        filters.append(lambda logprobs: _keep_top_k(logprobs, sampling.top_k))
    return filters


def _keep_top_k(logprobs: mx.array, top_k: int) -> mx.array:
    return logprobs if top_k >= logprobs.shape[-1] else apply_top_k(logprobs, top_k)


def logits_processors_for(sampling: Sampling) -> list[LogitsProcessor]:
    """mlx-lm's penalties for one request; none when they would change nothing."""
    if sampling.repetition_penalty == 1:
        return []
    processors: list[LogitsProcessor] = make_logits_processors(repetition_penalty=sampling.repetition_penalty)
    return processors
