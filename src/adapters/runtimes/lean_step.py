"""One decoding step of mlx-lm's generation batch, without what nobody here reads.

`GenerationBatch` slices and evaluates every sequence's log-probabilities at every token. That is 3 to 4 %
of a token's time on a small model, and the difference between the engine and `mlx_lm.stream_generate`.
This is its step without them, but for the sequences that ask for a few. It knows mlx-lm's batch from
inside, so `mlx-lm<0.33` bounds it and the contract tests hold it to the same tokens.
"""

from collections.abc import Mapping
from types import MethodType
from typing import Any

import mlx.core as mx
from mlx_lm.generate import BatchGenerator

from mlxk.adapters.runtimes.grammars import GrammarMask
from mlxk.adapters.runtimes.logprobs import RowLogprobs, logprobs_of
from mlxk.adapters.runtimes.sampling import Sampler

__all__ = ["make_lean", "release"]


def make_lean(generator: BatchGenerator, tops: Mapping[int, int]) -> BatchGenerator:
    """Let a generator decode without log-probabilities.

    The `logprobs` of its responses are None, and `RowLogprobs` for the sequences in `tops`, by uid: how
    many of the likeliest tokens each of them wants. Only the first token of a sequence is computed by
    mlx-lm itself, and comes with its whole row.
    """
    # Sequences move into this one batch object, which lives as long as the generator.
    batch = generator._generation_batch
    batch._step = MethodType(lambda batch: _step(batch, tops), batch)
    return generator


def release(generator: BatchGenerator) -> None:
    """End a lean generator's work, so that its model and caches are freed with the last reference to them."""
    generator.close()
    del generator._generation_batch._step  # it refers to the batch itself


def _step(batch: Any, tops: Mapping[int, int]) -> tuple[list[int], list[Any]]:
    """Start computing the next token of each sequence, and give the ones computed before."""
    inputs = batch._next_tokens
    logits = batch.model(inputs[:, None], cache=batch.prompt_cache)[:, -1, :]
    contexts: list[mx.array] = []
    if any(batch.logits_processors):
        logits = _processed(batch, inputs, logits, contexts)
    batch._current_tokens, batch._current_logprobs = inputs, batch._next_logprobs
    batch._next_tokens = _sampled(batch.samplers, logits - mx.logsumexp(logits, axis=-1, keepdims=True))
    batch._next_logprobs = [None] * len(batch.uids)
    if tops:
        batch._next_logprobs = _logprobs(batch, logits, tops)
    mx.async_eval(batch._next_tokens, contexts, _arrays(batch._next_logprobs))  # type: ignore[no-untyped-call]
    tokens: list[int] = inputs.tolist()
    for computed, token in zip(batch.tokens, tokens, strict=True):
        computed.append(token)
    return tokens, batch._current_logprobs


def _logprobs(batch: Any, logits: mx.array, tops: Mapping[int, int]) -> list[RowLogprobs | None]:
    return [
        logprobs_of(logits[row], batch._next_tokens[row : row + 1], tops[uid]) if uid in tops else None
        for row, uid in enumerate(batch.uids)
    ]


def _arrays(rows: list[RowLogprobs | None]) -> list[mx.array]:
    return [array for row in rows if row is not None for array in (row.chosen, row.tokens, row.values)]


def _processed(batch: Any, inputs: mx.array, logits: mx.array, contexts: list[mx.array]) -> mx.array:
    """The logits [batch, vocabulary] after each sequence's processors; fills `contexts`, their tokens."""
    if any(isinstance(processor, GrammarMask) for row in batch.logits_processors for processor in row):
        # A grammar waits for the last token; the model need not wait for the grammar.
        mx.async_eval(logits)  # type: ignore[no-untyped-call]
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
