"""The contract of `BatchingTextModel`: the engine in memory, and the real one over a tiny model."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlxk.adapters.runtimes.text import MlxTextRuntime
from mlxk.domain.errors import ErrorKind, InvalidInput, MlxkError
from mlxk.domain.generation import Answer, Delta, Finish, FinishReason, GenerationRequest, collect
from mlxk.domain.ports import BatchingTextModel
from tests.contract.runtimes.asking import chat, raw
from tests.contract.runtimes.conftest import models
from tests.memory_engine import MemoryEngine, says

__all__ = ["models"]


@dataclass
class Subject:
    """A model, and how to ask it for a known answer of at least five tokens."""

    model: BatchingTextModel
    ask: Callable[..., GenerationRequest]
    words: Callable[[str], GenerationRequest]
    text: str


def _count(**settings: Any) -> GenerationRequest:
    return chat("Count.", **settings)


def _say(**settings: Any) -> GenerationRequest:
    return says("one two three four five six seven eight", **settings)


@pytest.fixture(params=["memory", "mlx"])
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    model: BatchingTextModel
    if request.param == "memory":
        model = MemoryEngine(context_length=512)
        yield Subject(model, _say, says, "one two three four five six seven eight ")
    else:
        path: Path = request.getfixturevalue("models")("overfitted")
        model = MlxTextRuntime().load(path)
        yield Subject(model, _count, raw, "one two three four five six seven eight nine ten")
    model.close()


def run(model: BatchingTextModel) -> dict[int, Answer]:
    """Step until all is finished."""
    seen: dict[int, list[Delta]] = {}
    while model.active:
        for handle, delta in model.step():
            seen.setdefault(handle, []).append(delta)
    return {handle: collect(deltas) for handle, deltas in seen.items()}


def test_a_generation_ends_with_its_finish_and_is_counted_until_then(subject: Subject) -> None:
    model = subject.model
    prepared = model.prepare(subject.ask(), default_limit=None)
    assert prepared.prompt_tokens == model.count_prompt_tokens(subject.ask())
    assert model.active == 0
    handle = model.submit(prepared)
    assert model.active == 1
    (answer,) = [answer for owner, answer in run(model).items() if owner == handle]
    assert answer.text == subject.text
    assert answer.finish.reason is FinishReason.STOP
    assert answer.finish.usage.prompt_tokens == prepared.prompt_tokens
    assert not model.step()


def test_generations_run_together_also_more_than_the_batch_holds(subject: Subject) -> None:
    model = subject.model
    count = 2 * model.max_batch + 1
    handles = {model.submit(model.prepare(subject.ask(), default_limit=None)) for _ in range(count)}
    assert len(handles) == model.active == count
    answers = run(model)
    assert set(answers) == handles
    assert {answer.text for answer in answers.values()} == {subject.text}


@pytest.mark.parametrize(("asked", "default", "limit"), [(2, 4, 2), (4, 2, 4), (None, 3, 3)])
def test_a_limit_that_is_asked_for_wins_over_the_default(
    subject: Subject, asked: int | None, default: int, limit: int
) -> None:
    model = subject.model
    prepared = model.prepare(subject.ask(max_tokens=asked), default_limit=default)
    assert prepared.max_tokens == limit
    model.submit(prepared)
    (answer,) = run(model).values()
    assert answer.finish.reason is FinishReason.LENGTH
    assert answer.finish.usage.completion_tokens == limit


def test_a_cancelled_generation_is_gone_at_once_and_the_others_go_on(subject: Subject) -> None:
    model = subject.model
    gone, stays, never = (model.submit(model.prepare(subject.ask(), default_limit=None)) for _ in range(3))
    assert model.cancel(never) is not None
    model.step()
    finish = model.cancel(gone)
    assert isinstance(finish, Finish)
    assert finish.reason is FinishReason.CANCELLED
    assert model.cancel(gone) is None
    assert model.active == 1
    assert set(run(model)) <= {stays}
    assert model.cancel(stays) is None
    assert model.cancel(12345) is None


def test_memory_is_estimated_measured_and_given_back(subject: Subject) -> None:
    model = subject.model
    assert model.kv_bytes(1) <= model.kv_bytes(100) <= model.kv_bytes(400)
    assert model.running_nbytes == 0
    prepared = model.prepare(subject.ask(), default_limit=None)
    model.submit(prepared)
    most = 0
    while model.active:
        model.step()
        most = max(most, model.running_nbytes)
    assert 0 < most <= model.kv_bytes(prepared.prompt_tokens + prepared.max_tokens)
    assert model.running_nbytes == 0
    kept = model.prompt_cache_nbytes
    assert kept > 0
    model.trim_prompt_cache(kept)
    assert model.prompt_cache_nbytes == kept
    model.trim_prompt_cache(0)
    assert model.prompt_cache_nbytes == 0


def test_a_prompt_that_does_not_fit_the_context_is_refused_with_both_numbers(subject: Subject) -> None:
    with pytest.raises(InvalidInput, match="512"):
        subject.model.prepare(subject.words("one " * 600), default_limit=None)


def test_a_closed_model_takes_nothing(subject: Subject) -> None:
    model = subject.model
    prepared = model.prepare(subject.ask(), default_limit=None)
    model.submit(prepared)
    model.close()
    model.close()
    assert model.active == 0
    with pytest.raises(MlxkError) as caught:
        model.submit(prepared)
    assert caught.value.kind is ErrorKind.OPERATION
