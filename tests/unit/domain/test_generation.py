"""Requests are checked where they are made; answers are collected from their deltas."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlxk.domain.errors import ErrorKind, InvalidInput
from mlxk.domain.generation import (
    Answer,
    Delta,
    Finish,
    FinishReason,
    GenerationRequest,
    LogprobDelta,
    Message,
    Prompt,
    ReasoningDelta,
    Role,
    Sampling,
    TextDelta,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    Usage,
    collect,
)

USER = (Message(Role.USER, "hi"),)


def sampling(**changed: Any) -> Sampling:
    return replace(Sampling(), **changed)


def test_the_defaults_of_run() -> None:
    assert Sampling() == Sampling(0.7, 0.9, 0, 0.0, 1.1, None)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("temperature", [0, 0.0, 1, 5]),
        ("top_p", [1e-9, 0.5, 1]),
        ("top_k", [0, 1, 1_000_000]),
        ("min_p", [0, 0.5, 1]),
        ("repetition_penalty", [0.01, 1, 10]),
        ("seed", [None, 0, 2**64 - 1]),
    ],
)
def test_values_in_range_are_kept(name: str, values: list[float | None]) -> None:
    for value in values:
        assert getattr(sampling(**{name: value}), name) == value


HUGE = 10**400
"""An integer beyond the range of floats."""


@pytest.mark.parametrize(
    ("name", "values", "bounds"),
    [
        ("temperature", [-0.1, 5.1, HUGE, -HUGE], "between 0 and 5"),
        ("top_p", [0, -1, 1.01], "more than 0 and at most 1"),
        ("top_k", [-1, 1_000_001], "between 0 and 1,000,000"),
        ("min_p", [-0.1, 1.1], "between 0 and 1"),
        ("repetition_penalty", [0, -1, 1e-40, 0.0099, 10.1], "between 0.01 and 10"),
        ("seed", [-1, 2**64, HUGE], "between 0 and 18,446,744,073,709,551,615"),
    ],
)
def test_values_out_of_range_are_refused_with_the_bounds(name: str, values: list[float], bounds: str) -> None:
    for value in [*values, math.nan, math.inf, -math.inf]:
        with pytest.raises(InvalidInput) as caught:
            sampling(**{name: value})
        assert caught.value.kind is ErrorKind.VALIDATION
        assert name.replace("_", "-") in caught.value.message
        assert bounds in caught.value.message


@given(st.floats() | st.integers())
@settings(deadline=None)
def test_any_number_is_a_temperature_or_invalid_input(value: float) -> None:
    try:
        made = sampling(temperature=value)
    except InvalidInput:
        assert not 0 <= value <= 5
    else:
        assert 0 <= made.temperature <= 5


@pytest.mark.parametrize("prompt", [(), Prompt("")])
def test_an_empty_prompt_is_refused(prompt: Any) -> None:
    with pytest.raises(InvalidInput, match="prompt is empty"):
        GenerationRequest(prompt)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused(limit: int) -> None:
    with pytest.raises(InvalidInput, match=rf"at least 1, not {limit}"):
        GenerationRequest(USER, max_tokens=limit)


def test_an_empty_stop_text_is_refused() -> None:
    with pytest.raises(InvalidInput, match="stop text is empty"):
        GenerationRequest(USER, stop=("END", ""))


def test_64_stop_texts_are_the_most() -> None:
    assert len(GenerationRequest(USER, stop=("x",) * 64).stop) == 64
    with pytest.raises(InvalidInput, match=r"65 stop texts; at most 64"):
        GenerationRequest(USER, stop=("x",) * 65)


def test_a_sound_request_is_kept_as_it_is() -> None:
    request = GenerationRequest(Prompt(" "), max_tokens=1, stop=("\n",), thinking=False)
    assert (request.prompt, request.max_tokens, request.stop, request.thinking) == (
        Prompt(" "),
        1,
        ("\n",),
        False,
    )
    assert request.sampling == Sampling()


FINISH = Finish(FinishReason.STOP, Usage(3, 2))


def test_deltas_make_an_answer() -> None:
    calls = [ToolCall("1", "add", '{"a": 1}'), ToolCall("2", "sub", "{}")]
    deltas: list[Delta] = [
        ReasoningDelta("Let me "),
        ReasoningDelta("see."),
        TextDelta("It "),
        ToolCallDelta(0, calls[0]),
        TextDelta("is."),
        ToolCallDelta(1, calls[1]),
        FINISH,
    ]
    answer = collect(deltas)
    assert (answer.text, answer.reasoning) == ("It is.", "Let me see.")
    assert (answer.tool_calls, answer.finish) == (tuple(calls), FINISH)


def test_an_answer_keeps_the_order_of_its_pieces_and_joins_only_neighbours() -> None:
    call = ToolCallDelta(0, ToolCall("1", "add", "{}"))
    logprob = LogprobDelta(TokenLogprob("b", b"b", -0.5))
    deltas: list[Delta] = [
        *(TextDelta("a"), TextDelta("b"), call, logprob, TextDelta("c")),
        *(ReasoningDelta("d"), ReasoningDelta("e"), TextDelta("f"), FINISH),
    ]
    assert collect(deltas).deltas == (
        *(TextDelta("ab"), call, logprob, TextDelta("c")),
        *(ReasoningDelta("de"), TextDelta("f"), FINISH),
    )


def test_an_answer_may_be_empty() -> None:
    assert collect([FINISH]) == Answer((FINISH,))


@pytest.mark.parametrize("deltas", [[], [TextDelta("x")], [FINISH, TextDelta("x")]])
def test_without_its_finish_an_answer_is_not_whole(deltas: list[Delta]) -> None:
    with pytest.raises(ValueError, match="ends with a Finish"):
        collect(deltas)
