"""The `openai` SDK reads our chats, completions, models and errors."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import openai
import pytest

from mlxk.app.server.http.options import HttpOptions
from mlxk.app.server.work import Work
from mlxk.domain.errors import ErrorKind, MlxkError
from mlxk.domain.generation import (
    Delta,
    FinishReason,
    LogprobDelta,
    NamedTool,
    ReasoningDelta,
    TextDelta,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
)
from tests.contract.server.asking import serving
from tests.memory_service import MODEL, MemoryService, finish, saying

MESSAGES: Any = [{"role": "user", "content": "Hi"}]
TOOLS: Any = [{"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}]


@pytest.fixture
def service() -> MemoryService:
    return MemoryService()


@pytest.fixture
def client(service: MemoryService) -> Iterator[openai.OpenAI]:
    with (
        serving(service, HttpOptions(api_keys=("key",))) as address,
        openai.OpenAI(base_url=f"{address}/v1", api_key="key", max_retries=0) as client,
    ):
        yield client


def _thoughtful(work: Work) -> Sequence[tuple[int, Delta]]:
    call = ToolCall("call_1", "now", '{"zone":"UTC"}')
    return [
        (0, ReasoningDelta("Let me ")),
        (0, ReasoningDelta("see.")),
        (0, TextDelta('Well "é"\n')),
        (0, ToolCallDelta(0, call)),
        (0, ToolCallDelta(1, ToolCall("call_2", "now", "{}"))),
        (0, finish(FinishReason.TOOL_CALLS, completion=9, cached=4)),
    ]


def _with_logprobs(work: Work) -> Sequence[tuple[int, Delta]]:
    def token(text: str, logprob: float) -> TokenLogprob:
        return TokenLogprob(text, text.encode(), logprob)

    return [
        (0, LogprobDelta(token("Hi", -0.5), (token("Hi", -0.5), token("Ho", float("-inf"))))),
        (0, TextDelta("Hi")),
        (0, LogprobDelta(token("!", -0.25))),
        (0, TextDelta("!")),
        (0, LogprobDelta(token("", -0.125))),
        (0, finish(FinishReason.LENGTH)),
    ]


def test_a_chat(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="tiny", messages=MESSAGES, n=2)
    assert answer.model == MODEL
    assert answer.id.startswith("chatcmpl-")
    assert [choice.message.content for choice in answer.choices] == ["Hello there!"] * 2
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 7
    assert answer.usage.completion_tokens == 8
    assert answer.usage.total_tokens == 15


def test_reasoning_and_tools_whole(client: openai.OpenAI, service: MemoryService) -> None:
    service.script = _thoughtful
    answer: Any = client.chat.completions.create(
        model="tiny",
        messages=MESSAGES,
        tools=TOOLS,
        tool_choice={"type": "function", "function": {"name": "now"}},
        parallel_tool_calls=False,
    )
    message = answer.choices[0].message
    assert message.reasoning_content == "Let me see."
    assert message.content == 'Well "é"\n'
    assert [call.function.arguments for call in message.tool_calls] == ['{"zone":"UTC"}', "{}"]
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.usage.prompt_tokens_details.cached_tokens == 4
    request = service.works[0].requests[0]
    assert request.tool_choice == NamedTool("now")
    assert not request.parallel_tool_calls
    service.script = saying("It is noon.")
    told = [
        *MESSAGES,
        message,
        *({"role": "tool", "tool_call_id": c.id, "content": "12"} for c in message.tool_calls),
    ]
    client.chat.completions.create(model="tiny", messages=told, tools=TOOLS)
    prompt = service.works[1].requests[0].prompt
    assert isinstance(prompt, tuple)
    assert prompt[1].tool_calls[0] == ToolCall("call_1", "now", '{"zone":"UTC"}')
    assert [turn.tool_call_id for turn in prompt] == [None, None, "call_1", "call_2"]


def test_reasoning_and_tools_streamed(client: openai.OpenAI, service: MemoryService) -> None:
    service.script = _thoughtful
    with client.chat.completions.stream(
        model="tiny",
        messages=MESSAGES,
        tools=TOOLS,
        stream_options={"include_usage": True},
    ) as stream:
        chunks = [event.chunk for event in stream if event.type == "chunk"]
        whole = stream.get_final_completion()
    assert chunks[0].choices[0].delta.role == "assistant"
    assert (
        "".join(getattr(c.choices[0].delta, "reasoning_content", "") for c in chunks if c.choices)
        == "Let me see."
    )
    message = whole.choices[0].message
    assert message.content == 'Well "é"\n'
    assert [call.id for call in message.tool_calls or ()] == ["call_1", "call_2"]
    assert whole.choices[0].finish_reason == "tool_calls"
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 9
    assert whole.usage.prompt_tokens_details is not None
    assert whole.usage.prompt_tokens_details.cached_tokens == 4


def test_logprobs_are_the_same_streamed_and_whole(client: openai.OpenAI, service: MemoryService) -> None:
    service.script = _with_logprobs
    asked: Any = {"model": "tiny", "messages": MESSAGES, "logprobs": True, "top_logprobs": 2}
    whole: Any = client.chat.completions.create(**asked).choices[0].logprobs.content
    chunks: Any = list(client.chat.completions.create(**asked, stream=True))
    streamed = [
        token
        for chunk in chunks
        if chunk.choices and chunk.choices[0].logprobs
        for token in chunk.choices[0].logprobs.content
    ]
    assert streamed == whole
    assert [token.token for token in whole] == ["Hi", "!", ""]
    assert whole[0].top_logprobs[1].logprob == -9999.0
    assert whole[0].bytes == [72, 105]
    assert chunks[-1].choices[0].finish_reason == "length"
    assert service.works[0].requests[0].top_logprobs == 2


def test_completions(client: openai.OpenAI, service: MemoryService) -> None:
    answer = client.completions.create(model="tiny", prompt=["Once", "Twice"], n=2, echo=True, seed=5)
    assert [choice.text for choice in answer.choices] == [
        *("OnceHello there!", "OnceHello there!"),
        *("TwiceHello there!", "TwiceHello there!"),
    ]
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 14
    assert [request.sampling.seed for request in service.works[0].requests[2:]] == [5, 6]
    streamed = client.completions.create(model="tiny", prompt=["Once", "Twice"], echo=True, stream=True)
    texts = {0: "", 1: ""}
    for chunk in streamed:
        texts[chunk.choices[0].index] += chunk.choices[0].text
    assert texts == {0: "OnceHello there!", 1: "TwiceHello there!"}
    assert service.left == service.entered == 2


def test_what_the_cache_had_of_each_prompt_counts_once(client: openai.OpenAI, service: MemoryService) -> None:
    cached = (0, 5, 3, 3)

    def script(work: Work) -> Sequence[tuple[int, Delta]]:
        assert (len(work.requests), work.prompts) == (4, 2)
        return [(index, finish(cached=count)) for index, count in enumerate(cached)][::-1]

    service.script = script
    asked: Any = {"model": "tiny", "prompt": ["Once", "Twice"], "n": 2}
    whole = client.completions.create(**asked)
    *_, last = client.completions.create(**asked, stream=True, stream_options={"include_usage": True})
    assert whole.usage is not None
    assert whole.usage.prompt_tokens_details is not None
    assert whole.usage.prompt_tokens_details.cached_tokens == 5 + 3
    assert last.usage == whole.usage


def test_completions_with_logprobs(client: openai.OpenAI, service: MemoryService) -> None:
    service.script = _with_logprobs
    answer = client.completions.create(model="tiny", prompt="Once", logprobs=2)
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.tokens == ["Hi", "!", ""]
    assert logprobs.text_offset == [0, 2, 3]
    assert logprobs.top_logprobs is not None
    assert logprobs.top_logprobs[0] == {"Hi": -0.5, "Ho": -9999.0}


def test_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == [MODEL]
    assert client.models.retrieve(MODEL).owned_by == "mlx-community"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (ErrorKind.VALIDATION, openai.BadRequestError),
        (ErrorKind.MODEL_NOT_FOUND, openai.NotFoundError),
        (ErrorKind.QUEUE_FULL, openai.RateLimitError),
        (ErrorKind.RUNTIME_LOST, openai.InternalServerError),
        (ErrorKind.INSUFFICIENT_MEMORY, openai.InternalServerError),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_refusals(
    client: openai.OpenAI, service: MemoryService, kind: ErrorKind, expected: type[openai.APIStatusError]
) -> None:
    service.refusal = MlxkError(kind, "No.", retry_after=3)
    for stream in (False, True):
        with pytest.raises(expected) as caught:
            client.chat.completions.create(model="tiny", messages=MESSAGES, stream=stream)
        assert caught.value.status_code == kind.http_status
        assert caught.value.code == kind.name.lower()
        assert caught.value.response.headers["retry-after"] == "3"
        assert caught.value.request_id == caught.value.response.json()["request_id"]


def test_a_wrong_key(client: openai.OpenAI) -> None:
    with pytest.raises(openai.AuthenticationError) as caught:
        client.with_options(api_key="kez").models.list()
    assert caught.value.response.headers["www-authenticate"] == "Bearer"


def test_a_failure_in_a_stream_is_raised(client: openai.OpenAI, service: MemoryService) -> None:
    service.script = lambda work: [(0, TextDelta("Hel"))]
    service.failure = MlxkError(ErrorKind.RUNTIME_LOST, "The model stopped.")
    stream = client.chat.completions.create(model="tiny", messages=MESSAGES, stream=True)
    said: list[str | None] = []
    with pytest.raises(openai.APIError, match="The model stopped"):
        said.extend(chunk.choices[0].delta.content for chunk in stream)
    assert said == ["", "Hel"]


def test_the_sdk_waits_as_long_as_it_is_told_and_tries_again(service: MemoryService) -> None:
    service.refusal = MlxkError(ErrorKind.QUEUE_FULL, "Full.", retry_after=2)
    told: list[str | None] = []

    def make_room(response: httpx.Response) -> None:
        told.append(response.headers.get("retry-after"))
        service.refusal = None

    http: Any = httpx.Client(event_hooks={"response": [make_room]})
    with (
        serving(service) as address,
        http,
        openai.OpenAI(base_url=f"{address}/v1", api_key="x", max_retries=1, http_client=http) as client,
    ):
        began = time.monotonic()
        answer = client.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert answer.choices[0].message.content
    assert told == ["2", None]
    assert time.monotonic() - began >= 2
