"""Responses and Messages against a real model: the same in both, and the same as in a stream."""

import json
from typing import Any

import anthropic
import openai
import pytest

from tests.contract.serving.conftest import PARROT
from tests.contract.serving.running import LIMIT, Served
from tests.contract.tiny_chats import WEATHER_TOOL

_FUNCTION: Any = WEATHER_TOOL["function"]
TOOL: Any = {"type": "function", "name": _FUNCTION["name"], "parameters": _FUNCTION["parameters"]}
AT_ONCE: Any = {"reasoning": {"effort": "none"}, "temperature": 0}


@pytest.mark.parametrize("streamed", [False, True])
def test_a_function_is_called(client: openai.OpenAI, streamed: bool) -> None:
    options: Any = {"model": PARROT, "input": "Weather in Paris?", "tools": [TOOL], **AT_ONCE}
    if streamed:
        with client.responses.stream(**options) as stream:
            response: Any = stream.get_final_response()
    else:
        response = client.responses.create(**options)
    (call,) = [item for item in response.output if item.type == "function_call"]
    assert (call.name, json.loads(call.arguments)) == ("get_weather", {"city": "Paris"})


def test_reasoning_is_an_item_before_the_message(client: openai.OpenAI) -> None:
    response = client.responses.create(
        model=PARROT, input="Say hello.", temperature=0, reasoning={"effort": "high"}
    )
    assert [item.type for item in response.output] == ["reasoning", "message"]
    assert response.usage is not None
    assert 0 < response.usage.output_tokens_details.reasoning_tokens < response.usage.output_tokens


def test_an_answer_cut_short(client: openai.OpenAI) -> None:
    response = client.responses.create(model=PARROT, input="Say hello.", max_output_tokens=1, **AT_ONCE)
    assert response.status == "incomplete"
    assert response.usage is not None
    assert response.usage.output_tokens == 1


def test_tokens_are_counted_as_they_are_billed(served: Served) -> None:
    claude = anthropic.Anthropic(base_url=served.base_url, api_key="any", timeout=LIMIT, max_retries=0)
    prompt: Any = {"model": PARROT, "messages": [{"role": "user", "content": "Say hello."}], "system": "Hm."}
    counted = claude.messages.count_tokens(**prompt).input_tokens
    usage = claude.messages.create(max_tokens=1, **prompt).usage
    assert counted == usage.input_tokens + (usage.cache_read_input_tokens or 0)


def test_a_stop_sequence_ends_a_message(served: Served) -> None:
    claude = anthropic.Anthropic(base_url=served.base_url, api_key="any", timeout=LIMIT, max_retries=0)
    message = claude.messages.create(
        model=PARROT, max_tokens=50, messages=[{"role": "user", "content": "Say hello."}],
        stop_sequences=["world"], extra_body={"temperature": 0},
    )  # fmt: skip
    assert [block.text for block in message.content if block.type == "text"] == ["Hello, "]
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "world")
