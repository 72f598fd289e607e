"""`POST /v1/responses`: from the body to work, and what is refused."""

import json

import pytest

from mlxk.app.server.dialects.responses import ResponsesBody, read_responses
from mlxk.app.server.dialects.responses_body import HARMLESS
from mlxk.app.server.http.bodies import parse_body
from mlxk.domain.errors import ErrorKind, MlxkError
from mlxk.domain.generation import (
    GenerationRequest,
    JsonFormat,
    Message,
    NamedTool,
    Role,
    ToolCall,
    ToolChoice,
    ToolDefinition,
)
from mlxk.domain.keep_alive import KeepAlive

WEATHER = {"type": "function", "name": "weather", "parameters": {"type": "object"}}
CALL = {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"city": "Rome"}'}


def body(**fields: object) -> ResponsesBody:
    return parse_body(json.dumps({"model": "m", "input": "hello", **fields}).encode(), ResponsesBody)


def generation(**fields: object) -> GenerationRequest:
    (request,) = read_responses(body(**fields)).work.requests
    return request


def refusal(**fields: object) -> MlxkError:
    with pytest.raises(MlxkError) as raised:
        read_responses(body(**fields))
    return raised.value


def test_a_text_is_the_users() -> None:
    assert generation().prompt == (Message(Role.USER, "hello"),)


def test_instructions_and_developer_messages_open_the_conversation_together() -> None:
    items = [{"role": "developer", "content": "Be kind."}, {"role": "user", "content": "hello"}]
    assert generation(instructions="Be brief.", input=items).prompt == (
        Message(Role.SYSTEM, "Be brief.\n\nBe kind."),
        Message(Role.USER, "hello"),
    )


def test_parts_are_lines() -> None:
    parts = [{"type": "input_text", "text": "one"}, {"type": "input_text", "text": "two"}]
    assert generation(input=[{"role": "user", "content": parts}]).prompt == (Message(Role.USER, "one\ntwo"),)


def test_what_the_model_did_is_one_turn_without_its_reasoning() -> None:
    said = {"type": "output_text", "text": "Let me see.", "annotations": [], "logprobs": []}
    items = [
        {"role": "user", "content": "Rome?"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "content": [], "status": "completed"},
        {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed", "content": [said]},
        CALL,
        {**CALL, "call_id": "c2"},
        {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "dry"}]},
    ]
    calls = (ToolCall("c1", "weather", '{"city": "Rome"}'), ToolCall("c2", "weather", '{"city": "Rome"}'))
    assert generation(input=items, tools=[WEATHER]).prompt == (
        Message(Role.USER, "Rome?"),
        Message(Role.ASSISTANT, "Let me see.", tool_calls=calls),
        Message(Role.TOOL, "sunny", tool_call_id="c1"),
        Message(Role.TOOL, "dry", tool_call_id="c2"),
    )


def test_settings() -> None:
    request = generation(
        max_output_tokens=7, temperature=0, top_p=0.5, seed=3, top_logprobs=2, parallel_tool_calls=False
    )
    assert (request.max_tokens, request.top_logprobs, request.parallel_tool_calls) == (7, 2, False)
    assert (request.sampling.temperature, request.sampling.top_p, request.sampling.seed) == (0, 0.5, 3)


def test_tools_and_the_choice_among_them() -> None:
    request = generation(tools=[WEATHER], tool_choice={"type": "function", "name": "weather"})
    assert request.tools == (ToolDefinition("weather", "", {"type": "object"}),)
    assert request.tool_choice == NamedTool("weather")
    assert generation(tools=[WEATHER], tool_choice="required").tool_choice is ToolChoice.REQUIRED
    assert generation(tools=[WEATHER], tool_choice="none").tool_choice is ToolChoice.NONE
    assert generation(tools=[WEATHER]).tool_choice is ToolChoice.AUTO


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, JsonFormat()),
        ({"type": "json_schema", "name": "n", "schema": {"type": "object"}}, JsonFormat({"type": "object"})),
    ],
)
def test_the_form_of_the_answer(wanted: object, expected: JsonFormat | None) -> None:
    assert generation(text={"format": wanted}).response_format == expected


def test_effort_is_thinking() -> None:
    assert generation().thinking is None
    assert generation(reasoning={"effort": "none"}).thinking is False
    assert generation(reasoning={"effort": "minimal", "summary": "auto"}).thinking is False
    high = generation(reasoning={"effort": "high"})
    assert high.thinking is True
    assert high.template_settings == {"reasoning_effort": "high"}


def test_log_probabilities_by_either_field() -> None:
    assert generation().top_logprobs is None
    assert generation(include=["reasoning.encrypted_content"]).top_logprobs is None
    assert generation(include=["message.output_text.logprobs"]).top_logprobs == 0
    assert generation(top_logprobs=0).top_logprobs == 0


def test_keep_alive() -> None:
    assert read_responses(body(keep_alive="1h")).work.keep_alive == KeepAlive(3600.0)
    assert read_responses(body(keep_alive=0)).work.keep_alive == KeepAlive(0.0)


def test_harmless_fields_change_nothing() -> None:
    plain = read_responses(body()).work
    for field in HARMLESS:
        value = True if field == "store" else {"a": "b"}
        assert read_responses(body(**{field: value})).work == plain


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"background": True}, "background"),
        ({"truncation": "auto"}, "truncation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"max_tool_calls": 1}, "max_tool_calls"),
        ({"moderation": {}}, "moderation"),
        ({"include": ["file_search_call.results"]}, "include[0]"),
        ({"text": {"verbosity": "low"}}, "text.verbosity"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format"),
        ({"reasoning": {"mode": "pro"}}, "reasoning.mode"),
        ({"tools": [WEATHER, {"type": "web_search", "filters": {}}]}, "tools[1]"),
        ({"tools": [WEATHER, WEATHER]}, "tools[1].name"),
        ({"tools": [WEATHER], "tool_choice": {"type": "mcp", "server_label": "x"}}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": {"type": "function", "name": "other"}}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_output_tokens": "7"}, "max_output_tokens"),
        ({"stream": "yes"}, "stream"),
        ({"input": []}, "input"),
        ({"input": 5}, "input"),
        ({"input": [{"type": "reasoning"}]}, "input"),
        ({"input": [{"role": "wizard", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": "x", "mood": "?"}]}, "input[0].mood"),
        ({"input": [{"role": "user", "content": [{"type": "blob"}]}]}, "input[0].content[0]"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0]"),
        ({"input": [{**CALL, "arguments": "[1"}]}, "input[0].arguments"),
        ({"input": [{**CALL, "arguments": "[1]"}]}, "input[0].arguments"),
        ({"input": [{"type": "function_call_output", "call_id": "x", "output": ""}]}, "input[0].call_id"),
        ({"keep_alive": "soon"}, "keep_alive"),
        ({"nonsense": 1}, "nonsense"),
    ],
    ids=str,
)
def test_what_is_not_honoured_is_refused_by_name(fields: dict[str, object], param: str) -> None:
    error = refusal(**fields)
    assert (error.kind, error.param) == (ErrorKind.VALIDATION, param)


def test_a_refused_tool_is_named_by_its_type() -> None:
    assert "web_search" in refusal(tools=[{"type": "web_search", "filters": {}}]).message


@pytest.mark.parametrize("kind", ["input_image", "input_file", "input_audio"])
def test_media_is_refused_for_what_it_is(kind: str) -> None:
    parts = [{"type": "input_text", "text": "what is this?"}, {"type": kind, "image_url": "data:,"}]
    error = refusal(input=[{"role": "user", "content": parts}])
    assert (error.kind, error.param) == (ErrorKind.UNSUPPORTED_MULTIMODAL, "input[0].content[1]")


def test_nan_is_no_number() -> None:
    with pytest.raises(MlxkError) as raised:
        parse_body(b'{"model": "m", "input": "x", "temperature": NaN}', ResponsesBody)
    assert raised.value.param == "temperature"
