"""One decoding step of mlx-lm's generation batch, without what nobody here reads.

`GenerationBatch` slices and evaluates every sequence's log-probabilities at every token. That is 3 to 4 %
of a token's time on a small model, and the difference between the engine and `mlx_lm.stream_generate`.
This is its step without them; it knows mlx-lm's batch from inside, so `mlx-lm<0.33` bounds it and the
contract tests hold it to the same tokens.
"""

from types import MethodType
from typing import Any

import mlx.core as mx
from mlx_lm.generate import BatchGenerator

from mlxk.adapters.runtimes.sampling import Sampler

__all__ = ["make_lean"]


def make_lean(generator: BatchGenerator) -> BatchGenerator:
    """Let a generator decode without log-probabilities: those of its responses are None."""
    # Sequences move into this one batch object, which lives as long as the generator.
    batch = generator._generation_batch
    batch._step = MethodType(_step, batch)
    return generator


def _step(batch: Any) -> tuple[list[int], list[None]]:
    """Start computing the next token of each sequence, and give the ones computed before."""
    inputs = batch._next_tokens
    logits = batch.model(inputs[:, None], cache=batch.prompt_cache)[:, -1, :]
    contexts: list[mx.array] = []
    if any(batch.logits_processors):
        logits = _processed(batch, inputs, logits, contexts)
    batch._current_tokens = inputs
    batch._next_tokens = _sampled(batch.samplers, logits - mx.logsumexp(logits, axis=-1, keepdims=True))
    batch._current_logprobs, batch._next_logprobs = ([None] * len(batch.uids) for _ in range(2))
    mx.async_eval(batch._next_tokens, contexts)  # type: ignore[no-untyped-call]
    tokens: list[int] = inputs.tolist()
    for computed, token in zip(batch.tokens, tokens, strict=True):
        computed.append(token)
    return tokens, batch._current_logprobs


def _processed(batch: Any, inputs: mx.array, logits: mx.array, contexts: list[mx.array]) -> mx.array:
    """The logits [batch, vocabulary] after each sequence's processors; fills `contexts`, their tokens."""
    rows = []
    for row, processors in enumerate(batch.logits_processors):
        processed = logits[row : row + 1]
        if processors:
            context = batch._token_context[row].update_and_fetch(inputs[row : row + 1])
            contexts.append(context)
            for processor in processors:
                processed = processor(context, processed)
        rows.append(processed)
    return mx.concatenate(rows, axis=0)


def _sampled(samplers: list[Sampler], logprobs: mx.array) -> mx.array:
    """One token per row; in one call when the rows share a sampler."""
    if all(sampler is samplers[0] for sampler in samplers):
        return samplers[0](logprobs)
    return mx.concatenate([sampler(logprobs[row : row + 1]) for row, sampler in enumerate(samplers)], axis=0)
