"""What a server asks of a model besides tokens: preparing apart from running, sizes, limits."""

import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlx.core as mx
import pytest

from mlxk.adapters.runtimes.text import MlxTextRuntime
from mlxk.domain.errors import InvalidInput, MlxkError
from mlxk.domain.generation import FinishReason, Sampling, collect
from mlxk.domain.ports import BatchingTextModel, BatchingTextRuntime
from tests.contract.runtimes.asking import TOOLS, ask, chat, raw, run_all, submit
from tests.contract.runtimes.conftest import FAMILIES, Load


def test_the_engine_is_a_batching_text_model(load: Load) -> None:
    runtime: BatchingTextRuntime = MlxTextRuntime(max_batch=3)
    assert runtime is not None
    engine: BatchingTextModel = load("llama")
    assert engine.max_batch == 8


def test_a_prepared_request_runs_more_than_once(load: Load) -> None:
    engine = load("overfitted")
    prepared = engine.prepare(chat("Count."), default_limit=None)
    assert prepared.prompt_tokens == engine.count_prompt_tokens(chat("Count."))
    handles = [engine.submit(prepared) for _ in range(2)]
    seen = run_all(engine)
    assert len({collect(seen[handle]).text for handle in handles}) == 1


@pytest.mark.parametrize(("asked", "default", "limit"), [(None, 5, 5), (9, 5, 9), (None, None, 500)])
def test_the_default_limit(load: Load, asked: int | None, default: int | None, limit: int) -> None:
    engine = load("llama")
    prepared = engine.prepare(raw("one", max_tokens=asked), default_limit=default)
    assert prepared.max_tokens == (limit if limit < 500 else 512 - prepared.prompt_tokens)


def test_preparing_on_another_thread_while_the_model_runs(load: Load) -> None:
    engine = load("overfitted")
    alone = ask(engine, chat("Count.")).text
    requests = [chat("Count."), chat("Weather in Paris?", tools=TOOLS)] * 20

    def prepare() -> None:
        for request in requests:
            engine.prepare(request, default_limit=None)
            engine.kv_bytes(100)

    texts: set[str] = set()
    with ThreadPoolExecutor(1) as other_thread:
        preparing = other_thread.submit(prepare)
        while not preparing.done() or not texts:
            handles = [submit(engine, chat("Count.")) for _ in range(3)]
            seen = run_all(engine)
            texts |= {collect(seen[handle]).text for handle in handles}
        preparing.result()
    assert texts == {alone}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("tokens", [10, 100, 300])
def test_kv_bytes_are_what_the_caches_take(load: Load, family: str, tokens: int) -> None:
    engine = load(family, prompt_cache_bytes=0)
    prompt = "one two " * (tokens // 8)
    submit(engine, raw(prompt, max_tokens=8))
    largest = 0
    while engine.active:
        engine.step()
        largest = max(largest, engine.running_nbytes)
    used = engine.count_prompt_tokens(raw(prompt)) + 8
    assert 0 < largest <= engine.kv_bytes(used)
    assert engine.kv_bytes(used) <= max(2 * largest, engine.kv_bytes(256))
    assert engine.running_nbytes == 0


def test_kv_bytes_grow_by_the_token_or_not_at_all(load: Load) -> None:
    llama, mamba, gemma3 = load("llama"), load("mamba"), load("gemma3")
    layers, both, heads, head_size, bytes_each = 2, 2, 2, 16, 4
    assert llama.kv_bytes(512) == layers * both * heads * head_size * bytes_each * 512
    assert mamba.kv_bytes(1) == mamba.kv_bytes(100_000) > 0
    assert gemma3.kv_bytes(100_000) - gemma3.kv_bytes(50_000) < llama.kv_bytes(50_000)


def test_the_prompt_cache_is_trimmed(load: Load) -> None:
    engine = load("overfitted")
    for question in ("Count.", "Say hello.", "Show me a family."):
        ask(engine, chat(question))
    kept = engine.prompt_cache_nbytes
    engine.trim_prompt_cache(kept - 1)
    assert 0 < engine.prompt_cache_nbytes < kept
    engine.trim_prompt_cache(0)
    assert engine.prompt_cache_nbytes == 0
    assert ask(engine, chat("Count.")).text.endswith("nine ten")


def test_a_shared_beginning_is_computed_once(load: Load) -> None:
    """Another question about the same long text: only the rest of the prompt is computed."""
    engine = load("llama")
    text = "one two three four five six seven eight " * 20
    first = ask(engine, raw(text + "nine", max_tokens=2))
    second = ask(engine, raw(text + "ten", max_tokens=2))
    usage = second.finish.usage
    assert first.finish.usage.cached_tokens == 0
    assert usage.prompt_tokens - usage.cached_tokens < 8 < usage.cached_tokens
    again = ask(load("llama", prompt_cache_bytes=0), raw(text + "ten", max_tokens=2))
    assert again.text == second.text


def test_a_first_token_does_not_wait_for_prompts_that_came_later(load: Load) -> None:
    engine = load("llama", prompt_cache_bytes=0)
    first = submit(engine, raw("one two", max_tokens=4))
    assert engine.step() == []
    for _ in range(3):
        submit(engine, raw("one two three four " * 60, max_tokens=4))
    deltas = list(engine.step()) or engine.step()
    assert [handle for handle, _ in deltas] == [first]
    assert engine.running_nbytes <= engine.kv_bytes(8)
    assert len(run_all(engine)) == 4


def test_a_larger_batch(models: Callable[[str], Path]) -> None:
    engine = MlxTextRuntime(max_batch=16).load(models("llama"))
    handles = [submit(engine, raw("one", max_tokens=4)) for _ in range(12)]
    seen = run_all(engine)
    assert len({collect(seen[handle]).text for handle in handles}) == 1
    engine.close()


def test_nothing_is_prepared_for_a_closed_model(load: Load) -> None:
    engine = load("llama")
    prepared = engine.prepare(raw("one"), default_limit=None)
    engine.close()
    with pytest.raises(MlxkError, match="closed"):
        engine.prepare(raw("one"), default_limit=None)
    with pytest.raises(MlxkError, match="closed"):
        engine.submit(prepared)
    assert engine.kv_bytes(10) > 0
    assert (engine.active, engine.running_nbytes, engine.prompt_cache_nbytes) == (0, 0, 0)


@pytest.mark.parametrize("token", [-1, 512, 10**9])
def test_a_bias_for_no_token_is_refused(load: Load, token: int) -> None:
    with pytest.raises(InvalidInput, match=str(token)) as caught:
        ask(load("llama"), raw("one", sampling=Sampling(logit_bias={token: 1.0})))
    assert caught.value.param == "logit_bias"


def test_memory_is_freed_with_the_model_not_some_time_later(load: Load) -> None:
    ask(load("llama"), raw("one", max_tokens=2))
    gc.collect()
    gc.disable()
    try:
        before = mx.get_active_memory()
        engine = load("overfitted")
        assert ask(engine, chat("Count.")).finish.reason is FinishReason.STOP
        submit(engine, chat("Count."))
        engine.step()
        assert mx.get_active_memory() > before + 100_000
        engine.close()
        assert mx.get_active_memory() < before + 10_000
        assert mx.get_cache_memory() == 0
    finally:
        gc.enable()


def test_a_fault_outside_the_model_is_reported_like_one_of_it(load: Load) -> None:
    engine = load("overfitted")
    engine.submit(engine.prepare(chat("Count."), default_limit=None))
    engine.step()
    (sequence,) = engine._sequences.by_handle.values()
    sequence.decoder = None  # type: ignore[assignment]
    with pytest.raises(MlxkError, match="AttributeError"):
        run_all(engine)
    assert engine.active == 0
    assert ask(engine, chat("Count.")).text.endswith("nine ten")
