"""How the next token is chosen: mlx-lm's filters, with a random state per request.

mlx-lm draws from one global random state, so in a batch one request's draws would depend on the others.
Here every request has its own, made from its seed.
"""

import secrets
from collections.abc import Callable, Iterator, Mapping
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
    """The penalties and biases of one request, fresh for each run; none when they would change nothing.

    In this order: the repetition penalty, which is mlx-lm's (over the last 20 tokens, the prompt's among
    them), then presence and frequency penalties over everything generated so far but not the prompt, as
    OpenAI defines them (mlx-lm's look at 20 tokens of prompt and answer), then the biases.
    """
    processors: list[LogitsProcessor] = []
    if sampling.repetition_penalty != 1:
        processors.extend(make_logits_processors(repetition_penalty=sampling.repetition_penalty))
    if sampling.presence_penalty or sampling.frequency_penalty:
        processors.append(_GeneratedPenalty(sampling.presence_penalty, sampling.frequency_penalty))
    if sampling.logit_bias:
        processors.append(_bias(sampling.logit_bias))
    return processors


class _GeneratedPenalty:
    """Subtracts from the logits of generated tokens; it is called once per token, with all tokens so far."""

    def __init__(self, presence: float, frequency: float) -> None:
        self._presence = presence
        self._frequency = frequency
        self._counts: mx.array | None = None

    def __call__(self, tokens: mx.array, logits: mx.array) -> mx.array:
        if self._counts is None:  # the last token is the prompt's
            self._counts = mx.zeros(logits.shape[-1])
            return logits
        self._counts = self._counts.at[tokens[-1:]].add(1)
        penalty = self._presence * (self._counts > 0) + self._frequency * self._counts
        return logits - penalty.astype(logits.dtype)


def _bias(biases: Mapping[int, float]) -> LogitsProcessor:
    tokens = mx.array(list(biases.keys()))
    added = mx.array(list(biases.values()))
    return lambda _, logits: logits.at[:, tokens].add(added.astype(logits.dtype))
