"""Deltas on their way to a client that keeps up, or does not."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxk.app.server.engine.answer_stream import AnswerStream, coalesce
from mlxk.domain.errors import ErrorKind, MlxkError
from mlxk.domain.generation import (
    Delta,
    Finish,
    FinishReason,
    LogprobDelta,
    ReasoningDelta,
    TextDelta,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    Usage,
    collect,
)

END = Finish(FinishReason.STOP, Usage(1, 2))
CALL = ToolCallDelta(0, ToolCall("id", "f", "{}"))
LOGPROB = LogprobDelta(TokenLogprob("a", b"a", -0.5))

deltas: st.SearchStrategy[Delta] = st.one_of(
    st.text(min_size=1, max_size=3).map(TextDelta),
    st.text(min_size=1, max_size=3).map(ReasoningDelta),
    st.sampled_from([CALL, LOGPROB]),
)


@given(st.lists(st.tuples(st.integers(0, 2), deltas), max_size=30))
def test_joining_changes_no_answer(given_deltas: list[tuple[int, Delta]]) -> None:
    joined = coalesce(given_deltas)
    for choice in range(3):
        before = [delta for owner, delta in given_deltas if owner == choice]
        after = [delta for owner, delta in joined if owner == choice]
        assert collect([*after, END]) == collect([*before, END])
        kinds = [type(delta) for delta in after if isinstance(delta, (TextDelta, ReasoningDelta))]
        assert len(kinds) <= len(before)


def test_neighbours_are_joined_and_the_order_stays() -> None:
    found = coalesce([(0, TextDelta("a")), (1, TextDelta("x")), (0, TextDelta("b")), (0, CALL), (0, END)])
    assert found == [(0, TextDelta("ab")), (0, CALL), (0, END), (1, TextDelta("x"))]


def test_a_client_that_takes_nothing_costs_no_more_than_its_text() -> None:
    async def run() -> None:
        stream = AnswerStream("m", 1, 2)
        for _ in range(100_000):
            stream.put(0, TextDelta("a"))
            stream.put(1, TextDelta("b"))
            assert stream.pending < 600
        stream.put(0, END)
        stream.put(1, END)
        taken = await anext(stream)
        texts = ["".join(d.text for c, d in taken if c == n and isinstance(d, TextDelta)) for n in (0, 1)]
        assert texts == ["a" * 100_000, "b" * 100_000]
        with pytest.raises(StopAsyncIteration):
            await anext(stream)

    asyncio.run(run())


def test_what_came_before_a_failure_is_heard_first_and_only_the_first_failure_counts() -> None:
    async def run() -> None:
        stream = AnswerStream("m", 1, 1)
        stream.put(0, TextDelta("a"))
        stream.fail(MlxkError(ErrorKind.RUNTIME_LOST, "first"))
        stream.fail(MlxkError(ErrorKind.SERVER_SHUTDOWN, "second"))
        assert await anext(stream) == [(0, TextDelta("a"))]
        with pytest.raises(MlxkError, match="first"):
            await anext(stream)

    asyncio.run(run())


def test_a_finished_answer_cannot_fail() -> None:
    async def run() -> None:
        stream = AnswerStream("m", 1, 1)
        stream.put(0, END)
        stream.fail(MlxkError(ErrorKind.SERVER_SHUTDOWN, "late"))
        assert [batch async for batch in stream] == [[(0, END)]]

    asyncio.run(run())
