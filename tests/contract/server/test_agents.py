"""Requests as programs that people use send them: what asks for nothing is no reason to refuse one."""

from typing import Any

import pytest

from tests.contract.server.asking import CHAT, ask
from tests.memory_service import MODEL, MemoryService

SCHEMA: dict[str, Any] = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "properties": {"command": {"type": "string"}},
    "required": ["command"],
    "additionalProperties": False,
}
FUNCTION: dict[str, Any] = {"name": "shell", "description": "Runs a command", "parameters": SCHEMA}
USER: dict[str, Any] = {"role": "user", "content": "List the files."}
CALL: dict[str, Any] = {
    "id": "call_1", "type": "function", "function": {"name": "shell", "arguments": '{"command":"ls"}'},
}  # fmt: skip
CACHED: dict[str, Any] = {"cache_control": {"type": "ephemeral"}}
CALLED: dict[str, Any] = {
    "type": "function_call", "call_id": "call_1", "name": "shell", "arguments": '{"command":"ls"}',
}  # fmt: skip
RESULT: dict[str, Any] = {"type": "function_call_output", "call_id": "call_1", "output": "a.txt"}

CHATS: dict[str, dict[str, Any]] = {
    "cline": {
        "messages": [
            {"role": "system", "content": "You are Cline."},
            {"role": "user", "content": [
                {"type": "text", "text": "<task>List</task>"},
                {"type": "text", "text": "<environment_details/>"},
            ]},
        ],
        "temperature": 0, "stream": True, "stream_options": {"include_usage": True},
    },
    "continue": {
        "messages": [{"role": "system", "content": "Hm."}, USER], "max_tokens": 4096, "stream": True,
        "stop": ["\n\n"], "prediction": {"type": "content", "content": "x = 1"},
    },
    "aider": {
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "You are an editor.", **CACHED}]},
            USER, {"role": "assistant", "content": "Ok."}, USER,
        ],
        "temperature": 0, "stream": True, "stream_options": {"include_usage": True},
    },
    "langchain": {
        "messages": [
            USER,
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "call_1", "content": "a.txt", "name": "shell"},
        ],
        "tools": [{"type": "function", "function": FUNCTION}], "tool_choice": "auto",
        "parallel_tool_calls": False, "max_completion_tokens": 50, "n": 1, "stream": False,
    },
    "open webui": {
        "messages": [USER], "stream": True, "stream_options": {"include_usage": True}, "temperature": 0.8,
        "top_p": 0.9, "seed": 42, "stop": ["</s>"], "frequency_penalty": 0.1, "logit_bias": {},
        "reasoning_effort": "medium", "user": {"name": "Open WebUI", "role": "admin"},
    },
    "zed": {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hm."}]}], "stream": True,
        "stream_options": {"include_usage": True}, "max_completion_tokens": 50, "stop": [], "tools": [],
        "tool_choice": None, "parallel_tool_calls": None, "prompt_cache_key": "thread",
        "reasoning_effort": None,
    },
    "litellm, an answer sent back": {
        "messages": [
            USER,
            {
                "role": "assistant", "content": None, "tool_calls": [{**CALL, "index": 0}],
                "function_call": None, "reasoning_content": "Hm.",
                "provider_specific_fields": {"refusal": None, "reasoning_content": "Hm."},
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "a.txt", **CACHED},
        ],
        "tools": [{"type": "function", "function": FUNCTION, **CACHED}],
    },
    "the openai package, an answer dumped": {
        "messages": [
            USER,
            {
                "role": "assistant", "content": None, "refusal": None, "annotations": None, "audio": None,
                "function_call": None, "tool_calls": [CALL], "a_field_of_next_year": None,
            },
            {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "a.txt"}]},
        ],
        "modalities": ["text"], "verbosity": "medium", "functions": None, "web_search_options": None,
        "store": False, "service_tier": "auto", "metadata": {"a": "b"}, "prompt_cache_options": {},
    },
}  # fmt: skip
RESPONSES: dict[str, dict[str, Any]] = {
    "codex": {
        "instructions": "You are Codex.",
        "input": [
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Hm."}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "List."}]},
            {"type": "reasoning", "summary": [], "content": None, "encrypted_content": None},
            {**CALLED, "id": None},
            RESULT,
        ],
        "tools": [{"type": "function", **FUNCTION, "strict": False}], "tool_choice": "auto",
        "parallel_tool_calls": False, "reasoning": {"effort": "medium", "summary": "auto"}, "store": False,
        "stream": True, "include": ["reasoning.encrypted_content"], "prompt_cache_key": "thread",
        "client_metadata": {"installation": "x"},
    },
    "the openai package, items dumped": {
        "input": [
            USER,
            {**CALLED, "id": "fc_1", "status": "completed", "caller": None, "namespace": None,
             "async_": None},
            RESULT,
            {
                "id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "phase": None,
                "content": [{"type": "output_text", "text": "Hm.", "annotations": [], "logprobs": []}],
            },
            USER,
        ],
        "tools": [{
            "type": "function", **FUNCTION, "strict": True, "allowed_callers": None, "defer_loading": None,
            "output_schema": None,
        }],
        "instructions": None, "truncation": None, "previous_response_id": None, "conversation": None,
    },
}  # fmt: skip
MESSAGES: dict[str, dict[str, Any]] = {
    "claude code": {
        "max_tokens": 32_000, "temperature": 1, "stream": True,
        "system": [{"type": "text", "text": "You are Claude Code.", **CACHED}],
        "metadata": {"user_id": "user_1"},
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "List.", **CACHED}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "x"},
                {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "ls"}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "a", "is_error": False},
            ]},
        ],
        "tools": [{"name": "Bash", "description": "Runs it", "input_schema": SCHEMA}],
        "thinking": {"type": "adaptive", "display": "omitted"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "medium"},
    },
    "the anthropic package": {
        "max_tokens": 50, "thread": False, "speed": "standard",
        "messages": [
            USER,
            {"role": "assistant", "content": [
                {"type": "text", "text": "Hm.", "citations": None},
                {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {}, "caller": None},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": None},
            ]},
        ],
        "tools": [{"name": "Bash", "input_schema": SCHEMA, "allowed_callers": ["direct"]}],
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("path", "body"),
    [
        *(pytest.param(CHAT, body, id=name) for name, body in CHATS.items()),
        *(pytest.param("/v1/responses", body, id=name) for name, body in RESPONSES.items()),
        *(pytest.param("/v1/messages?beta=true", body, id=name) for name, body in MESSAGES.items()),
    ],
)
def test_it_is_answered(path: str, body: dict[str, Any]) -> None:
    service = MemoryService()
    response = ask(service, "POST", path, json={"model": MODEL, **body})
    assert response.status_code == 200, response.text
    assert service.works


@pytest.mark.parametrize(
    ("path", "fields", "param"),
    [
        (CHAT, {"messages": [USER], "functions": [{"name": "f"}]}, "functions"),
        (CHAT, {"messages": [USER], "modalities": ["text", "audio"]}, "modalities[1]"),
        (CHAT, {"messages": [USER], "verbosity": "low"}, "verbosity"),
        (CHAT, {"messages": [USER], "tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools[0]"),
        (CHAT, {"messages": [USER], "tool_choice": {"type": "allowed_tools"}}, "tool_choice"),
        (CHAT, {"messages": [{**USER, "a_field_of_next_year": 0}]}, "messages[0].a_field_of_next_year"),
        ("/v1/responses", {"input": "x", "tools": [{"type": "web_search"}]}, "tools[0]"),
        ("/v1/messages", {"max_tokens": 5, "messages": [USER], "speed": "fast"}, "speed"),
        ("/v1/messages", {"max_tokens": 5, "messages": [USER], "thread": {"type": "create"}}, "thread"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else str(value),
)
def test_what_would_be_dropped_is_named(path: str, fields: dict[str, Any], param: str) -> None:
    response = ask(MemoryService(), "POST", path, json={"model": MODEL, **fields})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param
