"""Penalties and biases: what each does, and that a request gets the same alone, in a batch and streamed."""

from collections import Counter

import pytest

from mlxk.adapters.runtimes.text_engine import TextEngine
from mlxk.domain.generation import GenerationRequest, Sampling, collect
from tests.contract.runtimes.asking import GREEDY, ask, raw, run_all, submit
from tests.contract.runtimes.conftest import Load


def settings(**changes: object) -> Sampling:
    defaults: dict[str, object] = {"temperature": 0.0, "top_p": 1.0, "repetition_penalty": 1.0}
    return Sampling(**(defaults | changes))  # type: ignore[arg-type]


def tokens_of(engine: TextEngine, request: GenerationRequest) -> list[int]:
    """The generated tokens, by driving the engine's batch."""
    submit(engine, request)
    tokens: list[int] = []
    while engine.active:
        engine.step()
        generator = engine._generator
        if generator is not None and generator._generation_batch.uids:
            tokens = list(generator._generation_batch.tokens[0])
    prompt = engine.count_prompt_tokens(request)
    return tokens[prompt:]


def test_a_bias_forbids_and_forces(load: Load) -> None:
    engine = load("llama", prompt_cache_bytes=0)
    first = tokens_of(engine, raw("one", max_tokens=8))[0]
    assert first not in tokens_of(
        engine, raw("one", max_tokens=8, sampling=settings(logit_bias={first: -100}))
    )
    assert set(tokens_of(engine, raw("one", max_tokens=8, sampling=settings(logit_bias={65: 100})))) == {65}


def test_penalties_count_what_was_generated(load: Load) -> None:
    """With a bias that makes one token certain, only penalties can move the choice."""
    engine = load("llama", prompt_cache_bytes=0)
    biases = {65: 30.0, 66: 29.5, 67: 29.0}
    free = tokens_of(engine, raw("one", max_tokens=9, sampling=settings(logit_bias=biases)))
    assert len(set(free)) == 1
    present = tokens_of(
        engine, raw("one", max_tokens=9, sampling=settings(logit_bias=biases, presence_penalty=2))
    )
    assert set(present[:3]) == {65, 66, 67}
    frequent = tokens_of(
        engine, raw("one", max_tokens=30, sampling=settings(logit_bias=biases, frequency_penalty=2))
    )
    counts = Counter(frequent)
    assert set(counts) == {65, 66, 67}
    assert max(counts.values()) - min(counts.values()) <= 2
    negative = tokens_of(
        engine, raw("one", max_tokens=9, sampling=settings(logit_bias=biases, frequency_penalty=-2))
    )
    assert len(set(negative)) == 1


def test_the_prompt_is_not_penalized(load: Load) -> None:
    engine = load("llama", prompt_cache_bytes=0)
    prompt = "AAAA BBBB"
    plain = ask(engine, raw(prompt, max_tokens=1)).text
    assert ask(engine, raw(prompt, max_tokens=1, sampling=settings(presence_penalty=2))).text == plain


MIXED = (
    GREEDY,
    settings(temperature=1.0, seed=1, presence_penalty=1.5),
    settings(temperature=1.0, seed=1, frequency_penalty=1.5, repetition_penalty=1.3),
    settings(temperature=1.0, seed=1, top_p=0.8, top_k=40, logit_bias={70: 3.0, 71: -100.0}),
    settings(temperature=0.7, seed=9, min_p=0.05),
)


@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_mixed_settings_in_a_batch_give_what_they_give_alone(load: Load, family: str) -> None:
    requests = [raw("one two", max_tokens=20, sampling=sampling) for sampling in MIXED]
    engine = load(family, prompt_cache_bytes=0)
    alone = [ask(engine, request).text for request in requests]
    assert [ask(engine, request).text for request in requests] == alone
    handles = [submit(engine, request) for request in requests * 2]
    seen = run_all(engine)
    assert [collect(seen[handle]).text for handle in handles] == alone * 2


def test_a_cached_prompt_changes_no_penalized_answer(load: Load) -> None:
    engine = load("llama")
    request = raw(
        "one two three", max_tokens=16, sampling=settings(presence_penalty=2, repetition_penalty=1.5)
    )
    first, second = ask(engine, request), ask(engine, request)
    assert second.finish.usage.cached_tokens > 0
    assert first.text == second.text
