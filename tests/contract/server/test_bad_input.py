"""Wrong requests get the specified status and a body that names what is wrong; the next good one works."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from mlxk.app.server.http.application import create_application
from mlxk.app.server.http.options import HttpOptions
from tests.contract.server.asking import CHAT, HELLO, JSON, ask, chat, error_of
from tests.memory_service import MemoryService

USER = {"role": "user", "content": "Hi"}


SERVICE = MemoryService()
APPLICATION = create_application(SERVICE)


@pytest.fixture
def application() -> Iterator[FastAPI]:
    SERVICE.works.clear()
    yield APPLICATION
    assert SERVICE.works == []
    assert chat(APPLICATION).status_code == 200


def _nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"frobnicate": 1}, "frobnicate"),
        ({"functions": []}, "functions"),
        ({"#text": 1}, "#text"),
        ({"chunk": 1}, "chunk"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": [USER] * 16_385}, "messages"),
        ({"messages": ["Hi"]}, "messages[0]"),
        ({"messages": [{"content": "Hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "robot", "content": "Hi"}]}, "messages[0].role"),
        ({"messages": [USER, {"role": "user"}]}, "messages[1].content"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{"type": "smell"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{**USER, "mood": "good"}]}, "messages[0].mood"),
        ({"messages": [{**USER, "tool_call_id": "a"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "tool", "content": "1"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "tool", "content": "1", "tool_call_id": "a"}]}, "messages[0].tool_call_id"),
        ({"messages": [{**USER, "function_call": {"name": "f"}}]}, "messages[0].function_call"),
        ({"model": ""}, "model"),
        ({"model": 7}, "model"),
        ({"model": "m" * 513}, "model"),
        ({"n": 0}, "n"),
        ({"n": 9}, "n"),
        ({"n": -1}, "n"),
        ({"n": 1.5}, "n"),
        ({"n": True}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -5}, "max_tokens"),
        ({"max_tokens": 10**30}, "max_tokens"),
        ({"max_tokens": 5, "max_completion_tokens": 6}, "max_completion_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": 1e400}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": float("-inf")}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"repetition_penalty": 1e-40}, "repetition_penalty"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**64}, "seed"),
        ({"stop": [str(number) for number in range(1000)]}, "stop"),
        ({"stop": ""}, "stop"),
        ({"stop": ["a", ""]}, "stop[1]"),
        ({"stop": {"a": 1}}, "stop"),
        ({"logit_bias": {"a": 1}}, "logit_bias.a"),
        ({"logit_bias": {"1": 101}}, "logit_bias.1"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"tools": [{"type": "retrieval"}]}, "tools[0]"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}] * 2}, "tools[1].function.name"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": "always"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"reasoning_effort": "huge"}, "reasoning_effort"),
        ({"chat_template_kwargs": {"tokenize": False}}, "chat_template_kwargs"),
        ({"chat_template_kwargs": {"enable_thinking": 1}}, "chat_template_kwargs.enable_thinking"),
        (
            {"reasoning_effort": "none", "chat_template_kwargs": {"enable_thinking": True}},
            "reasoning_effort",
        ),
        ({"keep_alive": "soon"}, "keep_alive"),
        ({"keep_alive": []}, "keep_alive"),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else str(value),
)
def test_a_wrong_field_is_named(application: FastAPI, fields: dict[str, Any], param: str) -> None:
    response = ask(application, "POST", CHAT, content=json.dumps({**HELLO, **fields}).encode(), headers=JSON)
    assert response.status_code == 400
    error = error_of(response)
    if error["param"] is None:
        # JSON knows no NaN: the body as a whole is none.
        assert "JSON" in error["message"]
    else:
        assert error["param"] == param
    assert error["retryable"] is False
    assert len(response.content) < 3000


@pytest.mark.parametrize("kind", ["image_url", "input_audio", "file"])
def test_what_only_other_models_read_is_not_implemented(application: FastAPI, kind: str) -> None:
    parts = [{"type": "text", "text": "Look:"}, {"type": kind, kind: {"url": "data:,"}}]
    response = chat(application, messages=[{"role": "user", "content": parts}])
    assert response.status_code == 501
    assert error_of(response)["param"] == "messages[0].content[1]"
    assert error_of(response)["type"] == "unsupported_multimodal"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"  ",
        b"{",
        b"nonsense",
        b"[]",
        b"null",
        b'"text"',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"model": NaN}',
        b'{"model": "\\ud800"}',
        b'{"model": "\xff"}',
        b"\xff\xfe{\x00}\x00",
        b'{"model": "tiny", "messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"model": "tiny", "messages": [{"role": "user", "content": "Hi", "content": "Ho"}]}',
        b'{"model": "a", "model": "tiny", "messages": [{"role": "user", "content": "Hi"}]}',
        b'{"model": "tiny", "messages": [{"role": "user", "content": "Hi"}], "seed": ' + b"9" * 5000 + b"}",
        b'{"model": "tiny", "messages": [{"role": "user", "content": "Hi"}]} {}',
        json.dumps({**HELLO, "metadata": _nested(300)}).encode(),
    ],
    ids=lambda raw: repr(raw[:40]),
)
def test_a_body_that_is_no_request_is_refused(application: FastAPI, raw: bytes) -> None:
    response = ask(application, "POST", CHAT, content=raw, headers=JSON)
    assert response.status_code == 400
    assert error_of(response)["type"] == "ValidationError"


@pytest.mark.parametrize(
    "declared",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
    ids=str,
)
def test_a_body_of_another_type_is_refused(application: FastAPI, declared: dict[str, str]) -> None:
    response = ask(application, "POST", CHAT, content=json.dumps(HELLO).encode(), headers=declared)
    assert response.status_code == 400
    assert error_of(response)["param"] in ("Content-Type", "Content-Encoding")


@pytest.mark.parametrize(
    ("start", "again", "status"),
    [
        (b'{"messages": [', b"1,", 413),
        (b'{"messages": [', b"{},", 413),
        (b'{"metadata": [', b"[],", 413),
        (b'{"a": "\\"", "metadata": [', b"[],", 413),
        (b'{"stop": [', b'"a",', 413),
        (b'{"model": "', b"[,{", 400),
        (b'{"model": "', b'\\",', 400),
    ],
    ids=lambda value: repr(value),
)
def test_a_body_of_very_many_values_is_refused_before_they_are_made(
    application: FastAPI, start: bytes, again: bytes, status: int
) -> None:
    content = start + again * 10_000_000
    response = ask(application, "POST", CHAT, content=content, headers=JSON)
    assert response.status_code == status
    error_of(response)


def test_very_many_unknown_fields_are_counted(application: FastAPI) -> None:
    content = json.dumps({**HELLO, **{f"field{number}": 1 for number in range(100_000)}}).encode()
    response = ask(application, "POST", CHAT, content=content, headers=JSON)
    assert response.status_code == 400
    assert "100,000" in error_of(response)["message"]


def test_a_body_that_declares_too_much_is_refused_before_it_is_read(application: FastAPI) -> None:
    response = ask(
        application, "POST", CHAT, content=b"{}", headers={**JSON, "Content-Length": str(65 * 1024 * 1024)}
    )
    assert response.status_code == 413
    assert error_of(response)["type"] == "payload_too_large"


def test_a_body_that_grows_too_large_is_refused(application: FastAPI) -> None:
    small = create_application(SERVICE, HttpOptions(body_limit=1000))
    content = json.dumps({**HELLO, "user": "x" * 2000}).encode()
    assert ask(small, "POST", CHAT, content=content, headers=JSON).status_code == 413


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "9" * 40])
def test_a_content_length_that_is_none_is_refused(application: FastAPI, length: str) -> None:
    response = ask(application, "POST", CHAT, content=b"{}", headers={**JSON, "Content-Length": length})
    assert response.status_code in (400, 413)
    error_of(response)


def test_an_unknown_model_is_answered_with_close_names() -> None:
    service = MemoryService()
    response = chat(service, model="tinny")
    assert response.status_code == 404
    error = error_of(response)
    assert error["code"] == "model_not_found"
    assert "mlx-community/tiny" in error["message"]


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", CHAT, 405), ("GET", "/v2", 404), ("PUT", "/", 404)]
)
def test_wrong_paths_and_methods(application: FastAPI, method: str, path: str, status: int) -> None:
    response: httpx.Response = ask(application, method, path)
    assert response.status_code == status
    error_of(response)


def test_ten_thousand_messages_are_taken() -> None:
    service = MemoryService()
    assert chat(service, messages=[USER] * 10_000).status_code == 200
    assert len(service.works[0].requests[0].prompt) == 10_000  # type: ignore[arg-type]


def test_a_body_of_sixty_megabytes_is_taken() -> None:
    service = MemoryService()
    assert chat(service, messages=[{"role": "user", "content": "x" * 60_000_000}]).status_code == 200
