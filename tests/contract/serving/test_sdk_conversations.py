"""Whole conversations by the SDKs: what a model said goes back to it as the SDK hands it out."""

import asyncio
import json
from typing import Any

import anthropic
import httpx
import openai
import pytest
from anthropic import beta_tool

from tests.contract.serving.conftest import PARROT, PLAIN
from tests.contract.serving.running import LIMIT, Served
from tests.contract.serving.test_openai_sdk import NO_THINKING, TOOLS, asked
from tests.contract.tiny_chats import WEATHER_TOOL
from tests.waiting import until

_FUNCTION: Any = WEATHER_TOOL["function"]


@pytest.mark.parametrize("dumped", [False, True], ids=["objects", "dumped"])
def test_results_of_tools_reach_the_model(client: openai.OpenAI, dumped: bool) -> None:
    options: Any = {"model": PARROT, "tools": TOOLS, "temperature": 0, "extra_body": NO_THINKING}
    conversation = asked("Weather in Paris and Rome?")
    first = client.chat.completions.create(messages=conversation, **options)
    message = first.choices[0].message
    calls = message.tool_calls or []
    assert len(calls) == 2
    conversation += [message.model_dump() if dumped else message]
    conversation += [
        {"role": "tool", "tool_call_id": call.id, "content": f"Sun {place}."}
        for place, call in enumerate(calls)
    ]
    second = client.chat.completions.create(messages=conversation, max_tokens=4, **options)
    assert first.usage is not None
    assert second.usage is not None
    assert second.usage.prompt_tokens > first.usage.total_tokens


@pytest.mark.parametrize("dumped", [False, True], ids=["objects", "dumped"])
def test_items_of_a_response_go_back(client: openai.OpenAI, dumped: bool) -> None:
    tool: Any = {"type": "function", **_FUNCTION}
    options: Any = {"model": PARROT, "tools": [tool], "temperature": 0}
    items: list[Any] = asked("Weather in Paris?")
    first = client.responses.create(input=items, reasoning={"effort": "high"}, **options)
    assert [item.type for item in first.output] == ["reasoning", "function_call"]
    items += [item.model_dump() if dumped else item for item in first.output]
    items += [
        {"type": "function_call_output", "call_id": item.call_id, "output": "Sun."}
        for item in first.output
        if item.type == "function_call"
    ]
    second = client.responses.create(input=items, max_output_tokens=4, **options)
    assert second.usage is not None
    assert first.usage is not None
    assert second.usage.input_tokens > first.usage.input_tokens


def test_the_tool_runner_of_anthropics_sdk(served: Served) -> None:
    told: list[str] = []

    @beta_tool
    def get_weather(city: str) -> str:
        """Weather of a city"""
        told.append(city)
        return "Sun."

    claude = anthropic.Anthropic(base_url=served.base_url, api_key="any", timeout=LIMIT, max_retries=0)
    runner = claude.beta.messages.tool_runner(
        model=PARROT, max_tokens=60, tools=[get_weather], max_iterations=2, thread=False,
        messages=[{"role": "user", "content": "Weather in Paris?"}],
        tool_choice={"type": "tool", "name": "get_weather"}, extra_body={"temperature": 0},
    )  # fmt: skip
    reasons = [message.stop_reason for message in runner]
    assert reasons[0] == "tool_use"
    assert len(reasons) == 2
    assert told


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_answers_go_back_through_litellm(
    served: Served, monkeypatch: pytest.MonkeyPatch, provider: str
) -> None:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else its import asks the network
    import litellm

    base = served.base_url + ("/v1" if provider == "openai" else "")
    options: Any = {
        "model": f"{provider}/{PARROT}", "api_base": base, "api_key": "any", "timeout": LIMIT,
        "tools": TOOLS, "temperature": 0, "max_tokens": 60, "num_retries": 0,
    }  # fmt: skip
    conversation = asked("Weather in Paris?")
    first: Any = litellm.completion(messages=conversation, **options)
    message = first.choices[0].message
    (call,) = message.tool_calls
    assert json.loads(call.function.arguments) == {"city": "Paris"}
    conversation += [message, {"role": "tool", "tool_call_id": call.id, "content": "Sun."}]
    second: Any = litellm.completion(messages=conversation, **options)
    assert second.usage.prompt_tokens > first.usage.prompt_tokens


def test_the_raw_response(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model=PARROT, messages=asked("Say hello."), temperature=0, extra_body=NO_THINKING
    )
    assert raw.headers["content-type"] == "application/json"
    assert raw.request_id == raw.headers["x-request-id"]
    assert raw.parse().choices[0].message.content == "Hello, world!"


def test_clients_that_do_not_block(served: Served) -> None:
    async def both() -> tuple[str, str]:
        async with openai.AsyncOpenAI(
            base_url=f"{served.base_url}/v1", api_key="any", timeout=LIMIT, max_retries=0
        ) as client:
            stream = await client.chat.completions.create(
                model=PARROT, messages=asked("Say hello."), temperature=0, extra_body=NO_THINKING, stream=True
            )
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        async with anthropic.AsyncAnthropic(
            base_url=served.base_url, api_key="any", timeout=LIMIT, max_retries=0
        ) as claude:
            message = await claude.messages.create(
                model=PARROT, max_tokens=50, messages=asked("Say hello."), extra_body={"temperature": 0}
            )
        return text, "".join(block.text for block in message.content if block.type == "text")

    assert asyncio.run(both()) == ("Hello, world!", "Hello, world!")


def test_what_cannot_succeed_is_not_tried_again(served: Served) -> None:
    statuses: list[int] = []
    hooks: Any = {"response": [lambda response: statuses.append(response.status_code)]}
    http: Any = httpx.Client(event_hooks=hooks)
    with http, pytest.raises(openai.InternalServerError):
        openai.OpenAI(
            base_url=f"{served.base_url}/v1", api_key="any", timeout=LIMIT, max_retries=2, http_client=http
        ).chat.completions.create(model=PLAIN, messages=asked("Hm."), tools=TOOLS)
    assert statuses == [501]


def test_an_sdk_that_gives_up_ends_its_generation(served: Served, client: openai.OpenAI) -> None:
    endless: Any = {"model": PLAIN, "prompt": "one two", "n": 8, "temperature": 0, "max_tokens": 450}
    endless["logit_bias"] = {"70": 100}
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.2).completions.create(**endless)
    stream = client.completions.create(**endless, stream=True)
    next(iter(stream))
    stream.close()
    with served.client() as plain:
        until(lambda: plain.get("/ready").json()["active"] == 0)
        answered = plain.get("/metrics").text
    assert 'status="499"' in answered
