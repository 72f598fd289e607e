"""`POST /v1/messages`: from the body to work, and what is refused."""

import json

import pytest

from mlxk.app.server.dialects.messages import CountTokensBody, MessagesBody, counting_work, read_messages
from mlxk.app.server.dialects.messages_body import HARMLESS
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

HELLO = {"role": "user", "content": "hello"}
WEATHER = {"name": "weather", "description": "of a city", "input_schema": {"type": "object"}}
USE = {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Zürich"}}
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "sunny"}


def body(**fields: object) -> MessagesBody:
    document = {"model": "m", "max_tokens": 7, "messages": [HELLO], **fields}
    return parse_body(json.dumps(document).encode(), MessagesBody)


def generation(**fields: object) -> GenerationRequest:
    (request,) = read_messages(body(**fields)).work.requests
    return request


def refusal(**fields: object) -> MlxkError:
    with pytest.raises(MlxkError) as raised:
        read_messages(body(**fields))
    return raised.value


def text(words: str) -> dict[str, object]:
    return {"type": "text", "text": words, "cache_control": {"type": "ephemeral"}}


def test_a_text_is_a_message() -> None:
    assert generation().prompt == (Message(Role.USER, "hello"),)
    assert generation().max_tokens == 7


@pytest.mark.parametrize("system", ["Be brief.\n\nBe kind.", [text("Be brief."), text("Be kind.")]])
def test_the_system_prompt_opens_the_conversation(system: object) -> None:
    expected = (Message(Role.SYSTEM, "Be brief.\n\nBe kind."), Message(Role.USER, "hello"))
    assert generation(system=system).prompt == expected


def test_blocks_of_one_turn_are_one_message() -> None:
    turns = [{"role": "user", "content": [text("one"), text("two")]}, {"role": "user", "content": "three"}]
    assert generation(messages=turns).prompt == (Message(Role.USER, "one\n\ntwo\n\nthree"),)


def test_calls_and_results_are_turns_of_their_own_and_thinking_is_left_out() -> None:
    thinking = {"type": "thinking", "thinking": "hm", "signature": "s"}
    hidden = {"type": "redacted_thinking", "data": "x"}
    turns = [
        HELLO,
        {"role": "assistant", "content": [thinking, hidden, text("Let me see."), USE]},
        {"role": "user", "content": [{**RESULT, "is_error": True}, text("And?")]},
    ]
    call = ToolCall("t1", "weather", '{"city": "Zürich"}')
    assert generation(messages=turns, tools=[WEATHER]).prompt == (
        Message(Role.USER, "hello"),
        Message(Role.ASSISTANT, "Let me see.", tool_calls=(call,)),
        Message(Role.TOOL, "Error: sunny", tool_call_id="t1"),
        Message(Role.USER, "And?"),
    )


def test_a_result_of_blocks_and_one_of_nothing() -> None:
    turns = [
        {"role": "assistant", "content": [USE, {**USE, "id": "t2"}]},
        {
            "role": "user",
            "content": [
                {**RESULT, "content": [text("sunny"), text("dry")]},
                {"type": "tool_result", "tool_use_id": "t2"},
            ],
        },
    ]
    prompt = generation(messages=turns).prompt
    assert isinstance(prompt, tuple)
    assert prompt[1:] == (
        Message(Role.TOOL, "sunny\n\ndry", tool_call_id="t1"),
        Message(Role.TOOL, "", tool_call_id="t2"),
    )


def test_settings() -> None:
    request = generation(temperature=0, top_p=0.5, top_k=4, seed=3, stop_sequences=["END", "END"])
    assert request.stop == ("END",)
    sampling = request.sampling
    assert (sampling.temperature, sampling.top_p, sampling.top_k, sampling.seed) == (0, 0.5, 4, 3)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, ToolChoice.AUTO),
        ({"type": "any"}, ToolChoice.REQUIRED),
        ({"type": "none"}, ToolChoice.NONE),
        ({"type": "tool", "name": "weather"}, NamedTool("weather")),
    ],
)
def test_tools_and_the_choice_among_them(choice: object, expected: object) -> None:
    request = generation(tools=[{**WEATHER, "type": "custom"}], tool_choice=choice)
    assert request.tools == (ToolDefinition("weather", "of a city", {"type": "object"}),)
    assert request.tool_choice == expected
    assert request.parallel_tool_calls


def test_one_tool_at_a_time() -> None:
    choice = {"type": "any", "disable_parallel_tool_use": True}
    assert not generation(tools=[WEATHER], tool_choice=choice).parallel_tool_calls


def test_nobody_thinks_unasked() -> None:
    assert generation().thinking is False
    assert generation(thinking={"type": "disabled"}).thinking is False
    assert generation(thinking={"type": "enabled", "budget_tokens": 1024}).thinking is True
    assert generation(thinking={"type": "adaptive"}).thinking is None


def test_effort_is_for_those_who_think() -> None:
    config = {"effort": "high"}
    assert generation(output_config=config).template_settings == {}
    adaptive = generation(output_config=config, thinking={"type": "adaptive"})
    assert adaptive.template_settings == {"reasoning_effort": "high"}


def test_earlier_thinking_may_be_cleared_as_it_is_left_out_anyway() -> None:
    edits = [{"type": "clear_thinking_20251015", "keep": "all"}]
    assert generation(context_management={"edits": edits}) == generation()


def test_a_schema_for_the_answer() -> None:
    schema = {"type": "object"}
    config = {"format": {"type": "json_schema", "schema": schema}}
    assert generation(output_config=config).response_format == JsonFormat(schema)


def test_keep_alive() -> None:
    assert read_messages(body(keep_alive="1h")).work.keep_alive == KeepAlive(3600.0)


def test_harmless_fields_change_nothing() -> None:
    plain = read_messages(body()).work
    for field in HARMLESS:
        assert read_messages(body(**{field: {"a": "b"}})).work == plain


def test_counting_needs_no_limit_and_gives_the_same_prompt() -> None:
    document = {"model": "m", "messages": [HELLO], "system": "Be brief.", "tools": [WEATHER]}
    work = counting_work(parse_body(json.dumps(document).encode(), CountTokensBody))
    counted = work.requests[0]
    answered = generation(system="Be brief.", tools=[WEATHER])
    assert (counted.prompt, counted.tools, counted.thinking) == (
        answered.prompt,
        answered.tools,
        answered.thinking,
    )


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": None}, "max_tokens"),
        ({"temperature": 1.5}, "temperature"),
        ({"top_k": -1}, "top_k"),
        ({"stop_sequences": [""]}, "stop_sequences[0]"),
        ({"stop_sequences": ["x"] * 1000}, "stop_sequences"),
        ({"stop_sequences": ["x"], "tools": [WEATHER], "tool_choice": {"type": "any"}}, "stop_sequences"),
        (
            {"stop_sequences": ["x"], "tools": [WEATHER], "tool_choice": {"type": "tool", "name": "weather"}},
            "stop_sequences",
        ),
        (
            {
                "stop_sequences": ["x"],
                "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
            },
            "stop_sequences",
        ),
        ({"container": "c"}, "container"),
        ({"speed": "fast"}, "speed"),
        ({"output_config": {"effort": "none"}}, "output_config.effort"),
        ({"thinking": {"type": "between_tools"}}, "thinking.type"),
        ({"thinking": {"type": "adaptive", "display": "whole"}}, "thinking.display"),
        ({"system": [{"type": "image"}]}, "system[0].type"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [HELLO, {"role": "assistant", "content": "So"}]}, "messages[1]"),
        ({"messages": [{"role": "user", "content": [{"type": "blob"}]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [USE]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [RESULT]}]}, "messages[0].content[0].tool_use_id"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 5}]}, "tools[0]"),
        ({"tools": [{**WEATHER, "defer_loading": True}]}, "tools[0].defer_loading"),
        ({"tools": [WEATHER, WEATHER]}, "tools[1].name"),
        ({"tools": [WEATHER], "tool_choice": {"type": "tool", "name": "other"}}, "tool_choice"),
        ({"tool_choice": {"type": "any"}}, "tool_choice"),
        ({"tool_choice": {"type": "mcp"}}, "tool_choice"),
        ({"context_management": {"edits": [{"type": "compact_20260112"}]}}, "context_management.edits[0]"),
        ({"messages": [{"role": "user", "content": []}]}, "messages"),
        ({"nonsense": 1}, "nonsense"),
    ],
    ids=str,
)
def test_what_is_not_honoured_is_refused_by_name(fields: dict[str, object], param: str) -> None:
    error = refusal(**fields)
    assert (error.kind, error.param) == (ErrorKind.VALIDATION, param)


def test_a_refused_tool_is_named_by_its_type() -> None:
    server_tool = {"type": "web_search_20250305", "name": "web_search", "max_uses": 5}
    assert "web_search_20250305" in refusal(tools=[server_tool]).message


@pytest.mark.parametrize("kind", ["image", "document"])
def test_media_is_refused_for_what_it_is(kind: str) -> None:
    block = {"type": kind, "source": {"type": "base64", "media_type": "image/png", "data": ""}}
    error = refusal(messages=[{"role": "user", "content": [text("what is this?"), block]}])
    assert (error.kind, error.param) == (ErrorKind.UNSUPPORTED_MULTIMODAL, "messages[0].content[1]")
    turns = [
        {"role": "assistant", "content": [USE]},
        {"role": "user", "content": [{**RESULT, "content": [block]}]},
    ]
    error = refusal(messages=turns)
    assert (error.kind, error.param) == (
        ErrorKind.UNSUPPORTED_MULTIMODAL,
        "messages[1].content[0].content[0]",
    )
