"""From a chat body to work: every field that is honoured arrives, and nothing else changes the work."""

import json
import math
from collections.abc import Sequence
from typing import Any

import pytest

from mlxk.app.server.dialects.chat import read_chat
from mlxk.app.server.dialects.chat_body import HARMLESS, ChatBody, ChatMessage
from mlxk.app.server.dialects.completion_body import CompletionBody
from mlxk.app.server.dialects.completions import read_completion
from mlxk.app.server.dialects.fields import SERVER_SAMPLING
from mlxk.app.server.http.bodies import parse_body
from mlxk.app.server.work import Work
from mlxk.domain.errors import InvalidInput
from mlxk.domain.generation import (
    GenerationRequest,
    JsonFormat,
    Message,
    NamedTool,
    Prompt,
    Role,
    ToolCall,
    ToolChoice,
    ToolDefinition,
)
from mlxk.domain.keep_alive import KeepAlive

HELLO: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
TOOL = {"type": "function", "function": {"name": "now", "description": "Tells the time."}}


def work(**fields: object) -> Work:
    return read_chat(parse_body(json.dumps({**HELLO, **fields}).encode(), ChatBody)).work


def request(**fields: object) -> GenerationRequest:
    return work(**fields).requests[0]


def prompt(*messages: object) -> Sequence[Message]:
    found = request(messages=messages).prompt
    assert isinstance(found, tuple)
    return found


def test_the_least_request_has_the_servers_defaults() -> None:
    assert work() == Work(
        "m", (GenerationRequest((Message(Role.USER, "Hi"),), sampling=SERVER_SAMPLING),), None
    )
    assert SERVER_SAMPLING.repetition_penalty == 1.0


def test_null_is_as_if_not_said() -> None:
    nulls = {name: None for name in ChatBody.model_fields if name not in ("model", "messages")}
    assert work(**nulls) == work()


def test_harmless_fields_change_nothing() -> None:
    assert set(HARMLESS) <= set(ChatBody.model_fields)
    assert work(**dict.fromkeys(HARMLESS, "x")) == work()
    assert work(metadata={"a": [1, None]}, store=True) == work()


def test_sampling_arrives() -> None:
    sampling = request(
        temperature=1,
        top_p=0.5,
        top_k=7,
        min_p=0.1,
        repetition_penalty=1.2,
        presence_penalty=-1,
        frequency_penalty=0.5,
        logit_bias={"5": -100, "6": 1.5},
        seed=9,
    ).sampling
    assert (sampling.temperature, sampling.top_p, sampling.top_k, sampling.min_p) == (1, 0.5, 7, 0.1)
    assert (sampling.repetition_penalty, sampling.presence_penalty, sampling.frequency_penalty) == (
        1.2,
        -1,
        0.5,
    )
    assert sampling.logit_bias == {5: -100, 6: 1.5}
    assert sampling.seed == 9
    assert request(temperature=0).sampling.temperature == 0


def test_each_choice_has_the_next_seed() -> None:
    assert [each.sampling.seed for each in work(n=3, seed=5).requests] == [5, 6, 7]
    assert [each.sampling.seed for each in work(n=2, seed=2**64 - 1).requests] == [2**64 - 1, 0]
    assert [each.sampling.seed for each in work(n=2).requests] == [None, None]


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 6}, 6),
        ({"max_tokens": 5, "max_completion_tokens": 5}, 5),
        ({}, None),
    ],
)
def test_the_limit_arrives_by_either_name(fields: dict[str, Any], limit: int | None) -> None:
    assert request(**fields).max_tokens == limit


@pytest.mark.parametrize(
    ("given", "stops"), [("a", ("a",)), (["a", "b", "a"], ("a", "b")), ([], ()), (None, ())], ids=str
)
def test_stops_arrive_as_text_or_list(given: object, stops: tuple[str, ...]) -> None:
    assert request(stop=given).stop == stops


def test_roles_and_parts() -> None:
    assert prompt(
        {"role": "developer", "content": "Be brief."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}],
            "name": "Ann",
        },
        {"role": "assistant", "content": "Hi", "reasoning_content": "hm", "annotations": [], "audio": None},
        {"role": "assistant", "content": None, "refusal": "No."},
    ) == (
        Message(Role.SYSTEM, "Be brief."),
        Message(Role.USER, "Hello"),
        Message(Role.ASSISTANT, "Hi"),
        Message(Role.ASSISTANT, "No."),
    )


def test_a_refusal_is_what_a_message_without_content_says() -> None:
    said = prompt(
        {"role": "assistant", "content": "", "refusal": "No."},
        {"role": "assistant", "content": "Yes.", "refusal": ""},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "Never."}]},
    )
    assert [message.content for message in said] == ["No.", "Yes.", "Never."]


def test_no_refusal_is_dropped_beside_content() -> None:
    with pytest.raises(InvalidInput, match="content or a refusal, not both") as caught:
        prompt({"role": "assistant", "content": "Yes.", "refusal": "No."})
    assert caught.value.param == "messages[0].refusal"


@pytest.mark.parametrize("other", ["refusal", "image_url", "input_audio", "file"])
@pytest.mark.parametrize("value", ["", "x"])
def test_a_part_has_the_fields_of_its_type_alone(other: str, value: str) -> None:
    with pytest.raises(InvalidInput, match="fields of another type") as caught:
        prompt({"role": "user", "content": [{"type": "text", "text": "x", other: value}]})
    assert caught.value.param == "messages[0].content[0]"


def test_tool_calls_and_their_answers() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "now", "arguments": ""}, "index": 0}
    assert prompt(
        {"role": "user", "content": "Time?"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "12"},
    )[1:] == (
        Message(Role.ASSISTANT, "", (ToolCall("c1", "now", "{}"),)),
        Message(Role.TOOL, "12", (), "c1"),
    )


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, ToolChoice.AUTO),
        ("none", ToolChoice.NONE),
        ("required", ToolChoice.REQUIRED),
        ({"type": "function", "function": {"name": "now"}}, NamedTool("now")),
    ],
    ids=str,
)
def test_tools_and_their_choice(choice: object, expected: object) -> None:
    asked = request(tools=[TOOL], tool_choice=choice, parallel_tool_calls=False)
    assert asked.tools == (ToolDefinition("now", "Tells the time.", {"type": "object", "properties": {}}),)
    assert asked.tool_choice == expected
    assert not asked.parallel_tool_calls
    assert request(tools=[]).tools == ()


def test_response_formats() -> None:
    schema: Any = {"type": "object", "properties": {"a": {"enum": [1.5, None]}}}
    named = {"name": "x", "schema": schema, "strict": True}
    assert request(response_format={"type": "text"}).response_format is None
    assert request(response_format={"type": "json_object"}).response_format == JsonFormat()
    asked = request(response_format={"type": "json_schema", "json_schema": named})
    assert asked.response_format == JsonFormat(schema)


@pytest.mark.parametrize(
    ("fields", "thinking", "settings"),
    [
        ({}, None, {}),
        ({"reasoning_effort": "none"}, False, {}),
        ({"reasoning_effort": "minimal"}, False, {}),
        ({"reasoning_effort": "high"}, True, {"reasoning_effort": "high"}),
        ({"chat_template_kwargs": {"enable_thinking": False, "style": [1]}}, False, {"style": [1]}),
        (
            {"reasoning_effort": "low", "chat_template_kwargs": {"enable_thinking": True}},
            True,
            {"reasoning_effort": "low"},
        ),
    ],
    ids=str,
)
def test_thinking(fields: dict[str, Any], thinking: bool | None, settings: dict[str, Any]) -> None:
    assert request(**fields).thinking is thinking
    assert request(**fields).template_settings == settings


def test_logprobs() -> None:
    assert request(logprobs=True).top_logprobs == 0
    assert request(logprobs=True, top_logprobs=20).top_logprobs == 20
    assert request(logprobs=False).top_logprobs is None


@pytest.mark.parametrize(
    ("given", "seconds"), [("5m", 300), (0, 0), (-1, math.inf), (90, 90), ("1.5h", 5400)]
)
def test_keep_alive(given: object, seconds: float) -> None:
    assert work(keep_alive=given).keep_alive == KeepAlive(seconds)


def test_ignored_message_fields_are_fields() -> None:
    assert set(ChatMessage.IGNORED) <= set(ChatMessage.model_fields)


def completion(**fields: object) -> Work:
    body = json.dumps({"model": "m", "prompt": "Once", **fields}).encode()
    return read_completion(parse_body(body, CompletionBody)).work


def test_completions_take_text_and_several_texts() -> None:
    one = completion(max_tokens=3, stop="x", logprobs=2, best_of=1, suffix=None, user="u")
    assert one.requests[0].prompt == Prompt("Once")
    assert one.requests[0].top_logprobs == 2
    assert one.requests[0].max_tokens == 3
    two = completion(prompt=["a", "b"], n=2, keep_alive=0)
    assert [each.prompt for each in two.requests] == [Prompt("a"), Prompt("a"), Prompt("b"), Prompt("b")]
    assert (two.prompts, two.choices, two.keep_alive) == (2, 2, KeepAlive(0))


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": [1, 2]}, "prompt[0]"),
        ({"prompt": [[1]]}, "prompt[0]"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": ["a"] * 33}, "prompt"),
        ({"suffix": "x"}, "suffix"),
        ({"best_of": 2}, "best_of"),
        ({"echo": True, "logprobs": 1}, "logprobs"),
        ({"stream_options": {}}, "stream_options"),
        ({"messages": []}, "messages"),
    ],
    ids=str,
)
def test_completions_refuse_what_they_do_not_do(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        completion(**fields)
    assert caught.value.param == param
