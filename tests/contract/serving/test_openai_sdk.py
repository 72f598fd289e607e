"""The official OpenAI SDK against real models."""

import json
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tests.contract.serving.conftest import PARROT, PLAIN
from tests.contract.tiny_chats import WEATHER_TOOL

NO_THINKING: Any = {"chat_template_kwargs": {"enable_thinking": False}}
THINKING: Any = {"chat_template_kwargs": {"enable_thinking": True}}
TOOLS: Any = [WEATHER_TOOL]


def asked(text: str) -> Any:
    return [{"role": "user", "content": text}]


def test_a_chat(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=PARROT, messages=asked("Say hello."), temperature=0, extra_body=NO_THINKING
    )
    (choice,) = answer.choices
    assert answer.object == "chat.completion"
    assert answer.model.endswith(PARROT)
    assert (choice.message.role, choice.message.content) == ("assistant", "Hello, world!")
    assert choice.finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


@pytest.mark.parametrize("text", ["Greet me in Chinese.", "Show me a family.", "Count."])
def test_a_stream_says_what_the_whole_answer_says(client: openai.OpenAI, text: str) -> None:
    options: Any = {"model": PARROT, "messages": asked(text), "temperature": 0, "extra_body": NO_THINKING}
    whole = client.chat.completions.create(**options)
    chunks = list(
        client.chat.completions.create(**options, stream=True, stream_options={"include_usage": True})
    )
    assert chunks[0].choices[0].delta.role == "assistant"
    streamed = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert streamed == whole.choices[0].message.content
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert whole.usage is not None
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert len({c.id for c in chunks}) == 1


def test_reasoning_is_apart(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=PARROT, messages=asked("Say hello."), temperature=0, extra_body=THINKING
    )
    message: Any = answer.choices[0].message
    assert (message.content, message.reasoning_content) == ("Hello, world!", "The user wants a greeting.")
    assert answer.usage is not None
    details = answer.usage.completion_tokens_details
    assert details is not None
    assert details.reasoning_tokens is not None
    assert 0 < details.reasoning_tokens < answer.usage.completion_tokens
    stream = client.chat.completions.create(
        model=PARROT, messages=asked("Say hello."), temperature=0, extra_body=THINKING, stream=True
    )
    deltas: list[Any] = [chunk.choices[0].delta for chunk in stream if chunk.choices]
    assert (
        "".join(getattr(d, "reasoning_content", None) or "" for d in deltas) == "The user wants a greeting."
    )
    assert "".join(d.content or "" for d in deltas) == "Hello, world!"


def test_a_sampled_answer_is_the_same_for_the_same_seed(client: openai.OpenAI) -> None:
    def sampled(seed: int, **more: Any) -> Any:
        return client.chat.completions.create(
            model=PLAIN, messages=asked("one two"), temperature=1.3, max_tokens=12, seed=seed, **more
        )

    first, again, other = (sampled(seed).choices[0].message.content for seed in (1, 1, 2))
    assert first == again
    assert first != other
    streamed = "".join(c.choices[0].delta.content or "" for c in sampled(1, stream=True) if c.choices)
    assert streamed == first


def test_several_choices(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=PLAIN, messages=asked("one two"), temperature=1.3, max_tokens=8, seed=5, n=3
    )
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in answer.choices}) > 1
    assert answer.usage is not None
    assert answer.usage.completion_tokens <= 3 * 8


def test_stop_texts_never_leak(client: openai.OpenAI) -> None:
    options: Any = {
        "model": PARROT, "messages": asked("Count."), "temperature": 0,
        "stop": ["five six"], "extra_body": NO_THINKING,
    }  # fmt: skip
    answer = client.chat.completions.create(**options)
    assert answer.choices[0].message.content == "one two three four "
    chunks = client.chat.completions.create(**options, stream=True)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "one two three four "


def test_log_probabilities(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=PARROT, messages=asked("Say hello."), temperature=0, logprobs=True, top_logprobs=3,
        extra_body=NO_THINKING,
    )  # fmt: skip
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert "".join(entry.token for entry in logprobs.content) == "Hello, world!"
    for entry in logprobs.content:
        assert len(entry.top_logprobs) == 3
        assert entry.top_logprobs[0].token == entry.token
        assert entry.logprob <= 0


def test_a_bias_forbids_a_token(client: openai.OpenAI) -> None:
    options: Any = {"model": PLAIN, "prompt": "one two", "temperature": 0, "max_tokens": 1, "logprobs": 1}
    usual = client.completions.create(**options)
    biased = [
        client.completions.create(**options, logit_bias={str(token): 100}).choices[0].text
        for token in range(40, 44)
    ]
    assert len({usual.choices[0].text, *biased}) > 2


def test_tools_are_called(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=PARROT, messages=asked("Weather in Paris?"), tools=TOOLS, temperature=0, extra_body=NO_THINKING
    )
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    (call,) = choice.message.tool_calls
    assert call.type == "function"
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Paris"})


def test_calls_in_parallel_are_streamed(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model=PARROT, messages=asked("Weather in Paris and Rome?"), tools=TOOLS, temperature=0,
        extra_body=NO_THINKING,
    ) as stream:  # fmt: skip
        final = stream.get_final_completion()
    calls = final.choices[0].message.tool_calls
    assert calls is not None
    assert [json.loads(call.function.arguments)["city"] for call in calls] == ["Paris", "Rome"]
    assert len({call.id for call in calls}) == 2


def test_one_call_where_calls_are_not_parallel(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=PARROT, messages=asked("Weather in Paris and Rome?"), tools=TOOLS, temperature=0,
        parallel_tool_calls=False, extra_body=NO_THINKING,
    )  # fmt: skip
    assert len(answer.choices[0].message.tool_calls or []) == 1


@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "get_weather"}}], ids=["any", "named"]
)
def test_a_call_can_be_required(client: openai.OpenAI, choice: Any) -> None:
    answer = client.chat.completions.create(
        model=PARROT, messages=asked("Say hello."), tools=TOOLS, tool_choice=choice, temperature=0,
        max_tokens=200, extra_body=NO_THINKING,
    )  # fmt: skip
    calls = answer.choices[0].message.tool_calls
    assert calls
    assert calls[0].type == "function"
    assert calls[0].function.name == "get_weather"
    json.loads(calls[0].function.arguments)


def test_no_call_where_none_may_be(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=PARROT, messages=asked("Say hello."), tools=TOOLS, tool_choice="none", temperature=0,
        extra_body=NO_THINKING,
    )  # fmt: skip
    assert not answer.choices[0].message.tool_calls
    assert answer.choices[0].message.content == "Hello, world!"


class Person(BaseModel):
    name: str
    age: int


@pytest.mark.parametrize("model", [PARROT, PLAIN])
def test_an_answer_by_a_schema_always_validates(client: openai.OpenAI, model: str) -> None:
    for seed in range(4):
        answer = client.chat.completions.parse(
            model=model, messages=asked("Say hello."), response_format=Person, temperature=1.0, seed=seed,
            max_tokens=300, extra_body=NO_THINKING if model == PARROT else None,
        )  # fmt: skip
        assert answer.choices[0].finish_reason == "stop"
        assert isinstance(answer.choices[0].message.parsed, Person)


def test_json_objects(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=PARROT, messages=asked("Say hello."), response_format={"type": "json_object"}, temperature=0,
        max_tokens=300, extra_body=NO_THINKING,
    )  # fmt: skip
    text = answer.choices[0].message.content or ""
    assert text.startswith("{")
    assert answer.choices[0].finish_reason == "stop"
    assert isinstance(json.loads(text), dict)


def test_completions_without_a_template(client: openai.OpenAI) -> None:
    answer = client.completions.create(model=PLAIN, prompt="one two three", max_tokens=5, temperature=0)
    assert answer.object == "text_completion"
    assert answer.usage is not None
    assert answer.usage.completion_tokens <= 5
    streamed = client.completions.create(
        model=PLAIN, prompt="one two three", max_tokens=5, temperature=0, stream=True
    )
    assert "".join(chunk.choices[0].text for chunk in streamed if chunk.choices) == answer.choices[0].text


def test_responses(client: openai.OpenAI) -> None:
    answer = client.responses.create(
        model=PARROT, input="Say hello.", temperature=0, reasoning={"effort": "none"}
    )
    assert answer.output_text == "Hello, world!"
    assert answer.status == "completed"
    with client.responses.stream(
        model=PARROT, input="Say hello.", temperature=0, reasoning={"effort": "none"}
    ) as stream:
        kinds = [event.type for event in stream]
        assert stream.get_final_response().output_text == "Hello, world!"
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"


def test_models(client: openai.OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert any(name.endswith(PARROT) for name in names)
    assert client.models.retrieve(names[0]).object == "model"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such-model")


def test_a_computed_prompt_is_used_again(client: openai.OpenAI) -> None:
    conversation = asked("Tell me: " + "one two three " * 20)
    options: Any = {"model": PARROT, "temperature": 0, "max_tokens": 3, "extra_body": NO_THINKING}
    client.chat.completions.create(messages=conversation, **options)
    second = client.chat.completions.create(messages=conversation, **options)
    assert second.usage is not None
    details = second.usage.prompt_tokens_details
    assert details is not None
    assert details.cached_tokens is not None
    assert details.cached_tokens > second.usage.prompt_tokens // 2


@pytest.mark.parametrize(
    ("options", "kind", "says"),
    [
        ({"model": "no-such-model"}, openai.NotFoundError, "no-such-model"),
        ({"model": "parot"}, openai.NotFoundError, "parrot"),
        ({"temperature": -1}, openai.BadRequestError, "temperature"),
        ({"n": 0}, openai.BadRequestError, "n"),
        ({"messages": []}, openai.BadRequestError, "messages"),
        ({"extra_body": {"no_such_field": 1}}, openai.BadRequestError, "no_such_field"),
        ({"messages": [{"role": "user", "content": "one " * 2000}]}, openai.BadRequestError, "512"),
        ({"model": PLAIN, "tools": TOOLS}, openai.InternalServerError, "tool"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": 5}}}},
            openai.BadRequestError,
            "schema",
        ),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)
def test_errors_are_of_the_sdks_classes(
    client: openai.OpenAI, options: dict[str, Any], kind: type[openai.APIStatusError], says: str
) -> None:
    request: dict[str, Any] = {"model": PARROT, "messages": asked("Say hello."), "max_tokens": 5, **options}
    with pytest.raises(kind) as caught:
        client.chat.completions.create(**request)
    assert says in str(caught.value)
    assert caught.value.response.headers["x-request-id"]
    body = caught.value.response.json()
    assert body["status"] == "error"
    assert body["request_id"] == caught.value.response.headers["x-request-id"]
    assert (
        client.chat.completions.create(
            model=PARROT, messages=asked("Say hello."), temperature=0, extra_body=NO_THINKING
        )
        .choices[0]
        .message.content
        == "Hello, world!"
    )
