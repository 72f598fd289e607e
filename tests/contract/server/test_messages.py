"""`POST /v1/messages` through the `anthropic` package, over a real socket."""

from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import pytest
from anthropic import Anthropic
from anthropic.types import MessageParam, ToolParam
from anthropic.types.beta import BetaMessageParam
from pydantic import BaseModel

from mlxk.app.server.http.options import HttpOptions
from mlxk.domain.errors import ErrorKind, MlxkError
from mlxk.domain.generation import (
    Finish,
    FinishReason,
    Message,
    ReasoningDelta,
    Role,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from tests.contract.server.asking import PATIENCE, serving
from tests.contract.server.scripts import CALLING, CALLS, NOTHING, SAYING, THINKING, scripted, without
from tests.memory_service import MODEL, PROMPT_TOKENS, MemoryService, Script, finish

TOOL: ToolParam = {
    "name": "weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
HELLO: MessageParam = {"role": "user", "content": "hello"}


@pytest.fixture
def service() -> MemoryService:
    return MemoryService(script=SAYING)


@pytest.fixture
def client(service: MemoryService) -> Iterator[Anthropic]:
    with (
        serving(service) as address,
        Anthropic(base_url=address, api_key="x", max_retries=0, timeout=PATIENCE) as client,
    ):
        yield client


def test_a_text(client: Anthropic, service: MemoryService) -> None:
    message = client.messages.create(model="tiny", max_tokens=9, messages=[HELLO], system="Be brief.")
    (block,) = message.content
    assert block.type == "text"
    assert block.text == "Hello wörld\n\n🙂"
    assert (message.role, message.model, message.stop_reason) == ("assistant", MODEL, "end_turn")
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens) == (2, 5)
    assert message.usage.output_tokens == 4
    (request,) = service.works[0].requests
    assert request.prompt == (Message(Role.SYSTEM, "Be brief."), Message(Role.USER, "hello"))
    assert request.max_tokens == 9


def test_a_stream_of_text(client: Anthropic) -> None:
    with client.messages.stream(model="tiny", max_tokens=9, messages=[HELLO]) as stream:
        assert list(stream.text_stream) == ["Hello", " wörld\n\n", "🙂"]
        final = stream.get_final_message()
    assert stream.get_final_text() == "Hello wörld\n\n🙂"
    assert (final.usage.input_tokens, final.usage.cache_read_input_tokens) == (2, 5)
    assert final.usage.output_tokens == 4


def test_the_events_of_a_stream(client: Anthropic, service: MemoryService) -> None:
    service.script = scripted(ReasoningDelta("hm"), TextDelta("Yes."), ToolCallDelta(0, CALLS[0]), finish())
    events = list(client.messages.create(model="tiny", max_tokens=9, messages=[HELLO], stream=True))
    block = ["content_block_start", "content_block_delta", "content_block_stop"]
    thinking = ["content_block_start", "content_block_delta", "content_block_delta", "content_block_stop"]
    expected = ["message_start", *thinking, *block, *block, "message_delta", "message_stop"]
    assert [event.type for event in events] == expected
    assert events[0].type == "message_start"
    assert events[0].message.usage.input_tokens == PROMPT_TOKENS


@pytest.mark.parametrize("script", [SAYING, THINKING, CALLING, NOTHING])
def test_a_stream_ends_with_what_is_answered_whole(
    client: Anthropic, service: MemoryService, script: Script
) -> None:
    service.script = script
    whole = client.messages.create(model="tiny", max_tokens=9, messages=[HELLO])
    with client.messages.stream(model="tiny", max_tokens=9, messages=[HELLO]) as stream:
        streamed = stream.get_final_message()
    unlike = ("id", "parsed_output", "stop_details")
    assert without(streamed.to_dict(), unlike) == without(whole.to_dict(), unlike)


def test_thinking_is_a_block_of_its_own(client: Anthropic, service: MemoryService) -> None:
    service.script = THINKING
    thinking, text = client.messages.create(
        model="tiny", max_tokens=9, messages=[HELLO], thinking={"type": "enabled", "budget_tokens": 1024}
    ).content
    assert thinking.type == "thinking"
    assert (thinking.thinking, bool(thinking.signature)) == ("hmm", True)
    assert text.type == "text"
    assert text.text == "Yes."
    assert service.works[0].requests[0].thinking is True
    with client.messages.stream(model="tiny", max_tokens=9, messages=[HELLO]) as stream:
        thoughts = [event.thinking for event in stream if event.type == "thinking"]
    assert thoughts == ["hm", "m"]


@pytest.mark.parametrize("streamed", [False, True])
def test_thinking_can_be_left_out_of_its_block(
    client: Anthropic, service: MemoryService, streamed: bool
) -> None:
    service.script = THINKING
    options: Any = {
        "model": "tiny", "max_tokens": 9, "messages": [HELLO],
        "thinking": {"type": "adaptive", "display": "omitted"},
    }  # fmt: skip
    if streamed:
        with client.messages.stream(**options) as stream:
            content: Any = stream.get_final_message().content
    else:
        content = client.messages.create(**options).content
    thinking, text = content
    assert (thinking.type, thinking.thinking, bool(thinking.signature)) == ("thinking", "", True)
    assert text.text == "Yes."


def test_calls_and_their_results(client: Anthropic, service: MemoryService) -> None:
    """What the model answered goes back as the package gives it."""
    service.script = CALLING
    with client.messages.stream(model="tiny", max_tokens=9, messages=[HELLO], tools=[TOOL]) as stream:
        message = stream.get_final_message()
    assert message.stop_reason == "tool_use"
    uses = [block for block in message.content if block.type == "tool_use"]
    assert [(use.id, use.name, use.input) for use in uses] == [
        ("call_1", "weather", {"city": "Rome"}),
        ("call_2", "weather", {"city": "Bonn"}),
    ]
    service.script = SAYING
    client.messages.create(
        model="tiny",
        max_tokens=9,
        tools=[TOOL],
        messages=[
            HELLO,
            message.to_param(),
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": use.id, "content": "sunny"} for use in uses
                ],
            },
        ],
    )
    calls = (
        ToolCall("call_1", "weather", '{"city": "Rome"}'),
        ToolCall("call_2", "weather", '{"city": "Bonn"}'),
    )
    assert service.works[-1].requests[0].prompt == (
        Message(Role.USER, "hello"),
        Message(Role.ASSISTANT, "Let me see.", tool_calls=calls),
        Message(Role.TOOL, "sunny", tool_call_id="call_1"),
        Message(Role.TOOL, "sunny", tool_call_id="call_2"),
    )


def test_an_answer_is_parsed_by_its_model(client: Anthropic, service: MemoryService) -> None:
    class City(BaseModel):
        name: str

    service.script = scripted(TextDelta('{"name": '), TextDelta('"Rome"}'), finish())
    message = client.messages.parse(model="tiny", max_tokens=9, messages=[HELLO], output_format=City)
    assert message.parsed_output == City(name="Rome")
    assert service.works[0].requests[0].response_format is not None


@pytest.mark.parametrize(
    ("end", "reason", "sequence"),
    [
        (Finish(FinishReason.STOP, Usage(7, 3)), "end_turn", None),
        (Finish(FinishReason.STOP, Usage(7, 3), stopped_by="END"), "stop_sequence", "END"),
        (Finish(FinishReason.LENGTH, Usage(7, 3)), "max_tokens", None),
        (Finish(FinishReason.TOOL_CALLS, Usage(7, 3)), "tool_use", None),
    ],
)
def test_why_it_stopped(
    client: Anthropic, service: MemoryService, end: Finish, reason: str, sequence: str | None
) -> None:
    service.script = scripted(TextDelta("x"), end)
    message = client.messages.create(model="tiny", max_tokens=9, messages=[HELLO], stop_sequences=["END"])
    assert (message.stop_reason, message.stop_sequence) == (reason, sequence)
    with client.messages.stream(model="tiny", max_tokens=9, messages=[HELLO]) as stream:
        streamed = stream.get_final_message()
    assert (streamed.stop_reason, streamed.stop_sequence) == (reason, sequence)


def test_tokens_are_counted(client: Anthropic) -> None:
    count = client.messages.count_tokens(model="tiny", messages=[HELLO], system="x", tools=[TOOL])
    assert count.input_tokens == PROMPT_TOKENS


def test_a_failure_on_the_way_is_raised(client: Anthropic, service: MemoryService) -> None:
    service.script = scripted(TextDelta("Hel"))
    service.failure = MlxkError(ErrorKind.RUNTIME_LOST, "The model is gone.")
    seen: list[str] = []
    with (
        client.messages.stream(model="tiny", max_tokens=9, messages=[HELLO]) as stream,
        pytest.raises(anthropic.APIStatusError, match="The model is gone") as raised,
    ):
        seen.extend(stream.text_stream)
    assert seen == ["Hel"]
    assert raised.value.type == "overloaded_error"


@pytest.mark.parametrize(
    ("kind", "expected", "named"),
    [
        (ErrorKind.VALIDATION, anthropic.BadRequestError, "invalid_request_error"),
        (ErrorKind.QUEUE_FULL, anthropic.RateLimitError, "rate_limit_error"),
        (ErrorKind.RUNTIME_LOST, anthropic.InternalServerError, "overloaded_error"),
        (ErrorKind.INSUFFICIENT_MEMORY, anthropic.InternalServerError, "api_error"),
    ],
)
def test_refusals_are_the_packages_exceptions(
    client: Anthropic,
    service: MemoryService,
    kind: ErrorKind,
    expected: type[anthropic.APIStatusError],
    named: str,
) -> None:
    service.refusal = MlxkError(kind, "Not now.")
    with pytest.raises(expected, match="Not now") as raised:
        client.messages.create(model="tiny", max_tokens=9, messages=[HELLO])
    assert raised.value.type == named
    body = raised.value.body
    assert isinstance(body, dict)
    assert (body["type"], body["status"], body["error"]["code"]) == ("error", "error", kind.name.lower())


def test_an_unknown_model_and_an_unknown_field(client: Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match=MODEL):
        client.messages.create(model="nope", max_tokens=9, messages=[HELLO])
    with pytest.raises(anthropic.BadRequestError, match="container"):
        client.messages.create(model="tiny", max_tokens=9, messages=[HELLO], container="c")


def test_the_key_is_read_from_either_header() -> None:
    with serving(MemoryService(), HttpOptions(api_keys=("right",))) as address:
        for client in (
            Anthropic(base_url=address, api_key="right", auth_token=None, max_retries=0),
            Anthropic(base_url=address, auth_token="right", api_key=None, max_retries=0),
        ):
            with client:
                client.messages.create(model="tiny", max_tokens=9, messages=[HELLO])
        with (
            Anthropic(base_url=address, api_key="wrong", max_retries=0) as client,
            pytest.raises(anthropic.AuthenticationError) as raised,
        ):
            client.messages.create(model="tiny", max_tokens=9, messages=[HELLO])
    assert raised.value.type == "authentication_error"


def test_what_the_package_sends_to_its_newest_endpoint(client: Anthropic) -> None:
    hello: BetaMessageParam = {"role": "user", "content": "hello"}
    message = client.beta.messages.create(model="tiny", max_tokens=9, messages=[hello], betas=["x"])
    assert message.content[0].type == "text"


def test_events_on_the_wire(service: MemoryService) -> None:
    with serving(service) as address:
        answer = httpx.post(
            f"{address}/v1/messages",
            json={"model": "tiny", "max_tokens": 9, "messages": [HELLO], "stream": True},
            timeout=PATIENCE,
        )
    assert answer.headers["content-type"].startswith("text/event-stream")
    names = [line.removeprefix("event: ") for line in answer.text.splitlines() if line.startswith("event: ")]
    assert names[:2] == ["message_start", "ping"]
    assert names[-1] == "message_stop"


@pytest.mark.parametrize(
    ("written", "read"),
    [("1e999", 1.7976931348623157e308), ("9" * 5000, 1.7976931348623157e308), (r'"\ud800"', "?"), ("12", 12)],
)
def test_what_a_model_writes_in_a_call_can_be_sent(
    client: Anthropic, service: MemoryService, written: str, read: object
) -> None:
    call = ToolCallDelta(0, ToolCall("call_1", "f", f'{{"a": {written}}}'))
    service.script = scripted(call, finish(FinishReason.TOOL_CALLS))
    (block,) = client.messages.create(
        model=MODEL, max_tokens=9, messages=[{"role": "user", "content": "x"}]
    ).content
    assert block.type == "tool_use"
    assert block.input == {"a": read}
