"""Log-probabilities: the model's own numbers, for the tokens of the answer and no others."""

import math

import mlx.core as mx
import pytest

from mlxk.domain.generation import LogprobDelta, Sampling, TextDelta, collect
from mlxk.domain.sampling import MAX_REPETITION_PENALTY, MIN_REPETITION_PENALTY
from tests.contract.runtimes.asking import TOOLS, ask, chat, raw, run_all, submit
from tests.contract.runtimes.conftest import FAMILIES, Load


@pytest.mark.parametrize("family", FAMILIES)
def test_they_are_those_of_a_forward_pass(load: Load, family: str) -> None:
    engine = load(family, prompt_cache_bytes=0)
    assert engine._loaded is not None
    model, tokenizer = engine._loaded.model, engine._loaded.tokenizer
    request = raw("one two three", max_tokens=4, top_logprobs=3)
    answer = ask(engine, request)
    tokens = list(engine.prepare(request, default_limit=None).prompt.tokens)
    for delta in answer.logprobs:
        row = model(mx.array([tokens]))[0, -1].astype(mx.float32)
        row = (row - mx.logsumexp(row)).tolist()
        best = max(range(len(row)), key=row.__getitem__)
        assert delta.token.logprob == pytest.approx(row[best], abs=2e-2)
        assert [top.logprob for top in delta.top] == pytest.approx(sorted(row)[::-1][:3], abs=2e-2)
        assert delta.token.raw.decode("utf-8", "replace") == delta.token.text
        tokens.append(best)
    assert tokenizer is not None


def test_the_tokens_make_the_text(load: Load) -> None:
    engine = load("overfitted")
    for question in ("Count.", "Greet me in Chinese.", "Show me a family."):
        answer = ask(engine, chat(question, top_logprobs=0))
        assert b"".join(delta.token.raw for delta in answer.logprobs).decode() == answer.text
        assert all(delta.top == () and delta.token.logprob > math.log(0.5) for delta in answer.logprobs)


def test_reasoning_and_markers_have_none(load: Load) -> None:
    answer = ask(load("overfitted"), chat("Say hello.", thinking=True, top_logprobs=1))
    assert answer.reasoning
    assert b"".join(delta.token.raw for delta in answer.logprobs).decode() == answer.text
    assert not ask(load("overfitted"), chat("Weather in Paris?", tools=TOOLS, top_logprobs=1)).logprobs


def test_stop_texts_have_none(load: Load) -> None:
    answer = ask(load("overfitted"), chat("Count.", stop=(" three four",), top_logprobs=1))
    assert answer.text == "one two"
    assert b"".join(delta.token.raw for delta in answer.logprobs).decode() == answer.text
    assert answer.finish.stopped_by == " three four"


def test_each_comes_right_before_its_text(load: Load) -> None:
    deltas = list(load("overfitted").generate(chat("Count.", top_logprobs=2)))
    kinds = [type(delta) for delta in deltas[:-1]]
    assert kinds[0] is LogprobDelta
    assert kinds[-1] is TextDelta
    assert all(len(delta.top) == 2 for delta in deltas if isinstance(delta, LogprobDelta))


def test_only_those_who_ask_get_them_and_nobody_s_text_changes(load: Load) -> None:
    engine = load("overfitted", prompt_cache_bytes=0)
    plain = ask(engine, chat("Count."))
    warm = Sampling(temperature=1.2, top_p=0.9, seed=4)
    requests = [
        chat("Count."),
        chat("Count.", top_logprobs=5),
        chat("Show me a family.", sampling=warm, top_logprobs=20),
        chat("Show me a family.", sampling=warm),
    ]
    handles = [submit(engine, request) for request in requests]
    seen = run_all(engine)
    answers = [collect(seen[handle]) for handle in handles]
    assert answers[0].text == answers[1].text == plain.text
    assert answers[2].text == answers[3].text
    assert [bool(answer.logprobs) for answer in answers] == [False, True, True, False]
    assert all(len(delta.top) == 20 for delta in answers[2].logprobs)


def test_they_are_after_biases_and_before_temperature(load: Load) -> None:
    engine = load("llama", prompt_cache_bytes=0)
    biased = Sampling(temperature=0, repetition_penalty=1, logit_bias={65: 100.0})
    delta = ask(engine, raw("one", max_tokens=1, sampling=biased, top_logprobs=1)).logprobs[0]
    assert delta.token == delta.top[0]
    assert delta.token.logprob == pytest.approx(0, abs=1e-3)
    letter = {65: 8.0}
    cold = Sampling(temperature=0, top_p=1, repetition_penalty=1, logit_bias=letter)
    hot = Sampling(temperature=1.5, top_p=0.5, repetition_penalty=1, logit_bias=letter, seed=1)
    first = [
        ask(engine, raw("one", max_tokens=1, sampling=sampling, top_logprobs=5)) for sampling in (cold, hot)
    ]
    assert first[0].logprobs[0].top == first[1].logprobs[0].top


@pytest.mark.parametrize("penalty", [MIN_REPETITION_PENALTY, MAX_REPETITION_PENALTY])
@pytest.mark.parametrize("family", FAMILIES)
def test_no_penalty_in_range_makes_them_overflow(load: Load, family: str, penalty: float) -> None:
    sampling = Sampling(temperature=1.0, repetition_penalty=penalty, seed=1)
    answer = ask(load(family), raw("one two three", max_tokens=6, sampling=sampling, top_logprobs=3))
    assert answer.logprobs
    assert all(math.isfinite(delta.token.logprob) for delta in answer.logprobs)
