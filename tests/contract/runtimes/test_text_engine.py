"""The engine itself: cancelling, interrupts, batches, prompt caches, seeds, closing."""

import itertools
from collections.abc import Iterator

import pytest

from mlxk.adapters.runtimes.text_engine import TextEngine
from mlxk.domain.errors import ErrorKind, InvalidInput, MlxkError
from mlxk.domain.generation import (
    Answer,
    Delta,
    FinishReason,
    GenerationRequest,
    Message,
    Role,
    Sampling,
    collect,
)
from tests.contract.runtimes.asking import TOOLS, ask, chat, raw, run_all, submit
from tests.contract.runtimes.conftest import FAMILIES, Load

REQUESTS = (
    chat("Count."),
    chat("Say hello.", thinking=True),
    chat("Greet me in Chinese."),
    chat("Weather in Paris?", tools=TOOLS),
    chat("Show me a family.", stop=("flag",)),
    chat("Count.", max_tokens=3),
)


def said(answer: Answer) -> tuple[object, ...]:
    """An answer without what may differ: call ids and what the prompt cache had."""
    calls = [(call.name, call.arguments) for call in answer.tool_calls]
    usage = answer.finish.usage
    return (
        answer.text,
        answer.reasoning,
        calls,
        answer.finish.reason,
        usage.prompt_tokens,
        usage.completion_tokens,
    )


def test_requests_that_run_together_get_what_they_get_alone(load: Load) -> None:
    alone = [said(ask(load("overfitted"), request)) for request in REQUESTS]
    engine = load("overfitted")
    handles = [submit(engine, request) for request in REQUESTS]
    seen = run_all(engine)
    assert [said(collect(seen[handle])) for handle in handles] == alone


def test_requests_join_and_leave_a_running_batch(load: Load) -> None:
    alone = [said(ask(load("overfitted"), request)) for request in REQUESTS]
    engine = load("overfitted")
    seen: dict[int, list[Delta]] = {}
    handles = []
    for request in REQUESTS:
        handles.append(submit(engine, request))
        for handle, delta in itertools.chain.from_iterable(engine.step() for _ in range(3)):
            seen.setdefault(handle, []).append(delta)
    for handle, deltas in run_all(engine).items():
        seen.setdefault(handle, []).extend(deltas)
    assert [said(collect(seen[handle])) for handle in handles] == alone


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_serves_several_requests(load: Load, family: str) -> None:
    requests = [raw(text, max_tokens=6) for text in ("one", "one two three four", "the quick brown")]
    alone = [ask(load(family), request) for request in requests]
    engine = load(family)
    handles = [submit(engine, request) for request in requests]
    seen = run_all(engine)
    assert [collect(seen[handle]).finish for handle in handles] == [answer.finish for answer in alone]


def test_more_requests_than_places_wait_their_turn(load: Load) -> None:
    engine = load("overfitted")
    handles = [submit(engine, chat("Say hello.")) for _ in range(20)]
    assert engine.active == 20
    seen = run_all(engine)
    assert {collect(seen[handle]).text for handle in handles} == {"Hello, world!"}


def test_two_iterators_taken_in_turn(overfitted: TextEngine) -> None:
    first, second = overfitted.generate(chat("Count.")), overfitted.generate(chat("Greet me in Chinese."))
    ones, others = [], []
    for one, other in itertools.zip_longest(first, second):
        ones.extend([one] if one else [])
        others.extend([other] if other else [])
    assert collect(ones).text.endswith("nine ten")
    assert collect(others).text.startswith("你好")


@pytest.mark.parametrize("taken", [0, 1, 4])
def test_closing_early_leaves_the_engine_clean(load: Load, taken: int) -> None:
    fresh = said(ask(load("overfitted"), chat("Count.")))
    engine = load("overfitted")
    deltas = engine.generate(chat("Count."))
    list(itertools.islice(deltas, taken))
    deltas.close()
    assert engine.active == 0
    assert said(ask(engine, chat("Count."))) == fresh


def test_an_interrupt_in_the_consumer_leaves_the_engine_clean(overfitted: TextEngine) -> None:
    def consume(deltas: Iterator[Delta]) -> None:
        for _ in deltas:
            raise KeyboardInterrupt

    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            consume(overfitted.generate(chat("Count.")))
        assert overfitted.active == 0
        assert ask(overfitted, chat("Say hello.")).text == "Hello, world!"


@pytest.mark.parametrize("call", [1, 2, 3, 7])
def test_an_interrupt_inside_the_model_leaves_the_engine_clean(overfitted: TextEngine, call: int) -> None:
    """As Ctrl-C does it: KeyboardInterrupt between two layers, in prefill and in decoding."""
    assert overfitted._loaded is not None
    layer = overfitted._loaded.model.layers[1].mlp
    kind = type(layer)
    calls = itertools.count(1)

    class Interrupted(kind):  # type: ignore[misc, valid-type]
        def __call__(self, x: object) -> object:
            if next(calls) == call:
                raise KeyboardInterrupt
            return super().__call__(x)

    layer.__class__ = Interrupted
    try:
        with pytest.raises(KeyboardInterrupt):
            ask(overfitted, chat("Count."))
    finally:
        layer.__class__ = kind
    assert overfitted.active == 0
    assert ask(overfitted, chat("Count.")).text.endswith("nine ten")


def test_a_failure_of_the_model_is_one_sentence_and_the_engine_goes_on(overfitted: TextEngine) -> None:
    assert overfitted._loaded is not None
    layer = overfitted._loaded.model.layers[0].mlp
    kind = type(layer)

    class Failing(kind):  # type: ignore[misc, valid-type]
        def __call__(self, x: object) -> object:
            raise RuntimeError("[malloc] Unable to allocate 8 bytes.")

    other = overfitted.generate(chat("Count."))
    next(other)
    layer.__class__ = Failing
    try:
        with pytest.raises(MlxkError, match="Unable to allocate") as caught:
            ask(overfitted, chat("Say hello."))
    finally:
        layer.__class__ = kind
    assert caught.value.kind is ErrorKind.INSUFFICIENT_MEMORY
    with pytest.raises(MlxkError, match="lost"):
        list(other)
    assert ask(overfitted, chat("Say hello.")).text == "Hello, world!"


def test_cancel_in_every_stage(overfitted: TextEngine) -> None:
    for steps in range(5):
        running, kept = submit(overfitted, chat("Count.")), submit(overfitted, chat("Greet me in Chinese."))
        seen = [pair for _ in range(steps) for pair in overfitted.step()]
        finish = overfitted.cancel(running)
        assert finish is not None
        assert finish.reason is FinishReason.CANCELLED
        assert finish.usage.completion_tokens <= steps
        assert overfitted.cancel(running) is None
        rest = run_all(overfitted)
        assert running not in rest
        assert collect([*(delta for handle, delta in seen if handle == kept), *rest[kept]]).text.startswith(
            "你好"
        )


def test_the_prompt_cache_is_counted_and_changes_nothing(overfitted: TextEngine) -> None:
    first, second = ask(overfitted, chat("Count.")), ask(overfitted, chat("Count."))
    assert first.finish.usage.cached_tokens == 0
    assert second.finish.usage.cached_tokens == second.finish.usage.prompt_tokens - 1
    assert said(first) == said(second)


def test_the_next_turn_takes_the_last_one_from_the_cache(overfitted: TextEngine) -> None:
    turn = GenerationRequest((Message(Role.USER, "Say hello."),), chat("x").sampling, thinking=None)
    answer = ask(overfitted, turn)
    longer = GenerationRequest(
        (
            Message(Role.USER, "Say hello."),
            Message(Role.ASSISTANT, answer.text),
            Message(Role.USER, "Count."),
        ),
        chat("x").sampling,
        max_tokens=2,
    )
    assert ask(overfitted, longer).finish.usage.cached_tokens >= answer.finish.usage.prompt_tokens - 1


def test_an_answer_cut_by_a_stop_text_is_cached_too(overfitted: TextEngine) -> None:
    ask(overfitted, chat("Count.", stop=("three",)))
    again = ask(overfitted, chat("Count."))
    assert again.finish.usage.cached_tokens == again.finish.usage.prompt_tokens - 1
    assert again.text.endswith("nine ten")


@pytest.mark.parametrize("family", ["gemma3", "mamba", "llama4"])
def test_caches_that_cannot_be_trimmed_or_merged_still_work(load: Load, family: str) -> None:
    engine = load(family)
    first = ask(engine, raw("one two three four " * 12, max_tokens=8))
    second = ask(engine, raw("one two three four " * 12, max_tokens=8))
    assert first.text == second.text


@pytest.mark.parametrize("limit", [0, 10_000, 100_000])
def test_the_prompt_cache_stays_within_its_bytes(load: Load, limit: int) -> None:
    engine = load("overfitted", prompt_cache_bytes=limit)
    for question in ("Count.", "Say hello.", "Show me a family.", "Greet me in Chinese."):
        assert ask(engine, chat(question)).finish.reason is FinishReason.STOP
        assert engine.prompt_cache_nbytes <= limit
    assert limit < 100_000 or engine.prompt_cache_nbytes > 0


def warm(seed: int | None) -> GenerationRequest:
    return raw("one", sampling=Sampling(temperature=1.5, top_p=1, seed=seed), max_tokens=24)


def test_the_same_seed_gives_the_same_answer(load: Load) -> None:
    engine = load("llama", prompt_cache_bytes=0)
    answers = [ask(engine, warm(seed)).text for seed in (1, 1, 2, 2**64 - 1)]
    assert answers[0] == answers[1]
    assert len(set(answers)) == 3
    assert ask(engine, warm(None)).text != ask(engine, warm(None)).text


def test_seeds_do_not_depend_on_the_rest_of_the_batch(load: Load) -> None:
    engine = load("llama", prompt_cache_bytes=0)
    alone = ask(engine, warm(1)).text
    handles = [submit(engine, warm(seed)) for seed in (3, 1, 1, None)]
    seen = run_all(engine)
    assert [collect(seen[handle]).text for handle in handles[1:3]] == [alone, alone]


def test_a_generation_does_not_depend_on_mlx_s_own_random_state(load: Load) -> None:
    import mlx.core as mx

    engine = load("llama", prompt_cache_bytes=0)
    answers = set()
    for seed in (1, 2):
        mx.random.seed(seed)
        answers.add(ask(engine, warm(5)).text)
    assert len(answers) == 1


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=5, seed=1),
        Sampling(temperature=1e-300, seed=1),
        Sampling(temperature=1e-5, seed=1),
        Sampling(top_p=1e-300, seed=1),
        Sampling(top_k=1, seed=1),
        Sampling(top_k=1_000_000, seed=1),
        Sampling(min_p=1, seed=1),
        Sampling(min_p=5e-324, seed=1),
        Sampling(repetition_penalty=10, seed=1),
        Sampling(repetition_penalty=0.01, seed=1),
        Sampling(temperature=0, top_p=0.1, top_k=3, min_p=0.5, repetition_penalty=2),
    ],
    ids=repr,
)
def test_extreme_sampling(load: Load, sampling: Sampling) -> None:
    for family in ("llama", "phi3"):
        answer = ask(load(family), raw("one two", sampling=sampling, max_tokens=5))
        assert 1 <= answer.finish.usage.completion_tokens <= 5


def test_cold_and_narrow_sampling_is_greedy(load: Load) -> None:
    engine = load("llama")
    greedy = ask(engine, raw("one two", max_tokens=10)).text
    for narrow in ({"temperature": 1e-5}, {"top_p": 1e-300}, {"top_k": 1}, {"min_p": 1.0}):
        sampling = Sampling(**({"temperature": 1.0, "top_p": 1.0, "repetition_penalty": 1.0} | narrow))
        assert ask(engine, raw("one two", sampling=sampling, max_tokens=10)).text == greedy


def test_the_limit_is_what_the_context_leaves(load: Load) -> None:
    engine = load("llama")
    assert engine.context_length == 512
    request = raw("one two three " * 160, sampling=Sampling(temperature=0, repetition_penalty=1))
    usage = ask(engine, request).finish.usage
    assert usage.prompt_tokens + usage.completion_tokens <= 512


def test_a_prompt_longer_than_the_context_is_refused_before_any_work(load: Load) -> None:
    engine = load("llama")
    request = raw("one two three " * 300)
    tokens = engine.count_prompt_tokens(request)
    assert tokens > 512
    for refuse in (engine.generate, lambda request: submit(engine, request)):
        with pytest.raises(InvalidInput, match=rf"{tokens}.*512"):
            refuse(request)
    assert engine.active == 0


def test_a_prompt_of_several_prefill_steps(load: Load) -> None:
    from mlxk.adapters.runtimes.text_engine import TextEngine

    request = raw("one two three four five six " * 12, max_tokens=6)
    loaded = load("llama")._loaded
    assert loaded is not None
    engine = TextEngine(loaded, prompt_cache_bytes=0, max_batch=8, prefill_on_cpu=16)
    assert ask(engine, request).text == ask(load("llama"), request).text
    handle = submit(engine, request)
    assert engine.step() == []  # the first piece of the prompt: one may cancel between pieces
    assert engine.cancel(handle) is not None
    assert engine.active == 0


def test_closing_twice(load: Load) -> None:
    engine = load("llama")
    deltas = engine.generate(raw("one", max_tokens=9))
    next(deltas)
    engine.close()
    engine.close()
    with pytest.raises(MlxkError, match="closed"):
        list(deltas)
    with pytest.raises(MlxkError, match="closed"):
        engine.generate(raw("one"))
    assert engine.context_length == 512
