"""A whole answer is what the stream of the same deltas assembles to, in every dialect that keeps an order."""

import json
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxk.app.server.dialects.completion_body import CompletionBody
from mlxk.app.server.dialects.completions import read_completion
from mlxk.app.server.dialects.dialect import Opening, Renderer
from mlxk.app.server.dialects.messages import MessagesBody, read_messages
from mlxk.app.server.dialects.responses import ResponsesBody, read_responses
from mlxk.app.server.engine.answer_stream import coalesce
from mlxk.app.server.http.bodies import parse_body
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

OPENING = Opening("abc", 0, "m", 7)
DATA = re.compile(r"^data: (\{.*)$", re.MULTILINE)

Batches: TypeAlias = Sequence[Sequence[Delta]]


def _token(raw: bytes) -> LogprobDelta:
    said = TokenLogprob(raw.decode("utf-8", "replace"), raw, -0.5)
    return LogprobDelta(said, (said, TokenLogprob("no", b"no", -2.0)))


PIECES = st.text("aé\n", min_size=1, max_size=3)
ROWS: st.SearchStrategy[list[Delta]] = st.lists(
    st.one_of(
        PIECES.map(TextDelta),
        PIECES.map(ReasoningDelta),
        st.one_of(PIECES.map(str.encode), st.binary(max_size=2)).map(_token),
        st.builds(ToolCallDelta, st.just(0), st.builds(ToolCall, PIECES, PIECES, st.just('{"a":1}'))),
    ),
    max_size=12,
)
FINISHES = st.builds(Finish, st.sampled_from(FinishReason), st.just(Usage(7, 5, 3, 2)))


@st.composite
def _batches(draw: st.DrawFn) -> Batches:
    """A generation as a client takes it: at each step, or, when it lags, several steps joined."""
    row: list[Delta] = [*draw(ROWS), draw(FINISHES)]
    cuts = sorted(draw(st.sets(st.integers(1, len(row)))) | {0, len(row)})
    steps = [row[start:end] for start, end in pairwise(cuts)]
    return [
        [delta for _, delta in coalesce((0, delta) for delta in step)] if draw(st.booleans()) else step
        for step in steps
    ]


def _events(renderer: Renderer, batches: Batches) -> list[Any]:
    told = renderer.begin(OPENING)
    for batch in batches:
        told += renderer.deltas([(0, delta) for delta in batch])
    return [json.loads(data) for data in DATA.findall((told + renderer.end()).decode())]


def _whole(renderer: Renderer, batches: Batches) -> Any:
    return json.loads(renderer.whole(OPENING, [collect(delta for batch in batches for delta in batch)]))


def _message(events: Sequence[Any]) -> Any:
    message: Any = {}
    partial = ""
    for event in events:
        match event:
            case {"type": "message_start", "message": message}:
                pass
            case {"type": "content_block_start", "content_block": block}:
                message["content"].append(block)
            case {"type": "content_block_delta", "delta": {"partial_json": piece}}:
                partial += piece
            case {"type": "content_block_delta", "delta": {"type": kind, **pieces}}:
                assert kind in ("text_delta", "thinking_delta", "signature_delta")
                for name, piece in pieces.items():
                    message["content"][-1][name] += piece
            case {"type": "content_block_stop"} if message["content"][-1]["type"] == "tool_use":
                message["content"][-1]["input"], partial = json.loads(partial), ""
            case {"type": "message_delta", "delta": ended, "usage": usage}:
                message |= {**ended, "usage": usage}
    return message


def _response(events: Sequence[Any]) -> Any:
    response = events[-1]["response"]
    assert [e["item"] for e in events if e["type"] == "response.output_item.done"] == response["output"]
    for index, item in enumerate(response["output"]):
        own = [e for e in events if e.get("output_index") == index and e["type"].endswith(".delta")]
        said = item["arguments"] if item["type"] == "function_call" else item["content"][0]["text"]
        assert "".join(event["delta"] for event in own) == said
        if item["type"] == "message":
            assert [one for e in own for one in e["logprobs"]] == item["content"][0]["logprobs"]
    return response


def _completion(events: Sequence[Any]) -> Any:
    *chunks, counts = events
    choices = [chunk["choices"][0] for chunk in chunks]
    logprobs: dict[str, list[Any]] = {
        name: [one for choice in choices if choice["logprobs"] for one in choice["logprobs"][name]]
        for name in ("tokens", "token_logprobs", "top_logprobs", "text_offset")
    }
    text = "".join(choice["text"] for choice in choices)
    return {**counts, "choices": [{**choices[-1], "text": text, "logprobs": logprobs}]}


def _messages_renderer(*, stream: bool) -> Renderer:
    raw = {"model": "m", "max_tokens": 9, "stream": stream, "messages": [{"role": "user", "content": "x"}]}
    return read_messages(parse_body(json.dumps(raw).encode(), MessagesBody)).renderer


def _responses_renderer(*, stream: bool) -> Renderer:
    raw = {"model": "m", "input": "x", "top_logprobs": 1, "stream": stream}
    return read_responses(parse_body(json.dumps(raw).encode(), ResponsesBody)).renderer


def _completions_renderer(*, stream: bool) -> Renderer:
    raw: dict[str, Any] = {"model": "m", "prompt": "x", "logprobs": 1, "stream": stream}
    counted = {"stream_options": {"include_usage": True}} if stream else {}
    return read_completion(parse_body(json.dumps(raw | counted).encode(), CompletionBody)).renderer


@pytest.mark.parametrize(
    ("renderer", "assembled"),
    [
        (_messages_renderer, _message),
        (_responses_renderer, _response),
        (_completions_renderer, _completion),
    ],
    ids=["messages", "responses", "completions"],
)
@given(batches=_batches())
def test_whole_and_streamed_are_the_same(
    renderer: Callable[..., Renderer], assembled: Callable[[Sequence[Any]], Any], batches: Batches
) -> None:
    whole = _whole(renderer(stream=False), batches)
    assert assembled(_events(renderer(stream=True), batches)) == whole
