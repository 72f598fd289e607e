"""`POST /v1/responses` through the `openai` package, over a real socket."""

import json
from collections.abc import Iterator

import openai
import pytest
from openai import OpenAI
from openai.types.responses import ResponseInputParam, ResponseStreamEvent
from pydantic import BaseModel

from mlxk.app.server.http.options import HttpOptions
from mlxk.domain.errors import ErrorKind, MlxkError
from mlxk.domain.generation import (
    FinishReason,
    LogprobDelta,
    Message,
    Role,
    TextDelta,
    TokenLogprob,
)
from tests.contract.server.asking import PATIENCE, serving
from tests.contract.server.scripts import CALLING, CALLS, NOTHING, SAYING, THINKING, scripted, without
from tests.memory_service import MODEL, MemoryService, Script, finish

TOOL = {
    "type": "function",
    "name": "weather",
    "description": None,
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": True,
}


@pytest.fixture
def service() -> MemoryService:
    return MemoryService(script=SAYING)


@pytest.fixture
def client(service: MemoryService) -> Iterator[OpenAI]:
    with (
        serving(service) as address,
        OpenAI(base_url=f"{address}/v1", api_key="x", max_retries=0, timeout=PATIENCE) as client,
    ):
        yield client


def test_a_text(client: OpenAI, service: MemoryService) -> None:
    response = client.responses.create(
        model="tiny", input="hi", instructions="Be brief.", max_output_tokens=9
    )
    assert response.output_text == "Hello wörld\n\n🙂"
    assert (response.status, response.model, response.object) == ("completed", MODEL, "response")
    assert (response.instructions, response.max_output_tokens) == ("Be brief.", 9)
    assert response.usage is not None
    assert response.usage.input_tokens == 7
    assert response.usage.input_tokens_details.cached_tokens == 5
    assert response.usage.output_tokens == 4
    assert response.usage.total_tokens == 11
    (request,) = service.works[0].requests
    assert request.prompt == (Message(Role.SYSTEM, "Be brief."), Message(Role.USER, "hi"))


def test_a_stream_of_text(client: OpenAI) -> None:
    with client.responses.stream(model="tiny", input="hi") as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert deltas == ["Hello", " wörld\n\n", "🙂"]
    assert final.output_text == "".join(deltas)
    assert final.usage is not None
    assert final.usage.total_tokens == 11


@pytest.mark.parametrize("script", [SAYING, THINKING, CALLING, NOTHING])
def test_a_stream_ends_with_what_is_answered_whole(
    client: OpenAI, service: MemoryService, script: Script
) -> None:
    service.script = script
    whole = client.responses.create(model="tiny", input="hi")
    with client.responses.stream(model="tiny", input="hi") as stream:
        streamed = stream.get_final_response()
    unlike = ("id", "created_at", "parsed", "parsed_arguments")
    assert without(streamed.to_dict(), unlike) == without(whole.to_dict(), unlike)
    assert streamed.output_text == whole.output_text


def test_reasoning_comes_before_the_text(client: OpenAI, service: MemoryService) -> None:
    service.script = THINKING
    response = client.responses.create(model="tiny", input="hi", reasoning={"effort": "low"})
    reasoning, message = response.output
    assert reasoning.type == "reasoning"
    assert reasoning.content is not None
    assert [part.text for part in reasoning.content] == ["hmm"]
    assert message.type == "message"
    assert response.output_text == "Yes."
    assert response.usage is not None
    assert response.usage.output_tokens_details.reasoning_tokens == 2
    assert service.works[0].requests[0].thinking is True


def test_reasoning_is_streamed(client: OpenAI, service: MemoryService) -> None:
    service.script = THINKING
    stream = client.responses.create(model="tiny", input="hi", stream=True)
    thoughts = [event.delta for event in stream if event.type == "response.reasoning_text.delta"]
    assert thoughts == ["hm", "m"]


def test_calls_and_their_results(client: OpenAI, service: MemoryService) -> None:
    """What the model answered goes back as the package gives it, streamed or not."""
    service.script = CALLING
    history: ResponseInputParam = [{"role": "user", "content": "Weather?"}]
    with client.responses.stream(model="tiny", input=history, tools=[TOOL]) as stream:  # type: ignore[list-item]
        events = list(stream)
        response = stream.get_final_response()
    arguments = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
    assert arguments == [call.arguments for call in CALLS]
    calls = [item for item in response.output if item.type == "function_call"]
    assert [(call.call_id, call.name, json.loads(call.arguments)) for call in calls] == [
        ("call_1", "weather", {"city": "Rome"}),
        ("call_2", "weather", {"city": "Bonn"}),
    ]
    history += response.output  # type: ignore[arg-type]
    history += [
        {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"} for call in calls
    ]
    service.script = SAYING
    client.responses.create(model="tiny", input=history, tools=[TOOL])  # type: ignore[list-item]
    assert service.works[-1].requests[0].prompt == (
        Message(Role.USER, "Weather?"),
        Message(Role.ASSISTANT, "Let me see.", tool_calls=CALLS),
        Message(Role.TOOL, "sunny", tool_call_id="call_1"),
        Message(Role.TOOL, "sunny", tool_call_id="call_2"),
    )


def test_an_answer_is_parsed_by_its_model(client: OpenAI, service: MemoryService) -> None:
    class City(BaseModel):
        name: str

    service.script = scripted(TextDelta('{"name": '), TextDelta('"Rome"}'), finish())
    response = client.responses.parse(model="tiny", input="hi", text_format=City)
    assert response.output_parsed == City(name="Rome")
    assert service.works[0].requests[0].response_format is not None
    with client.responses.stream(model="tiny", input="hi", text_format=City) as stream:
        assert stream.get_final_response().output_parsed == City(name="Rome")
    again = [*response.output, {"role": "user", "content": "again"}]
    client.responses.parse(model="tiny", input=again, text_format=City)  # type: ignore[arg-type]


def test_log_probabilities(client: OpenAI, service: MemoryService) -> None:
    yes, no = TokenLogprob("Yes", b"Yes", -0.1), TokenLogprob("No", b"No", float("-inf"))
    service.script = scripted(LogprobDelta(yes, (yes, no)), TextDelta("Yes"), finish())
    response = client.responses.create(
        model="tiny", input="hi", top_logprobs=2, include=["message.output_text.logprobs"]
    )
    message = response.output[0]
    assert message.type == "message"
    part = message.content[0]
    assert part.type == "output_text"
    assert part.logprobs is not None
    (token,) = part.logprobs
    assert (token.token, token.bytes, token.logprob) == ("Yes", list(b"Yes"), -0.1)
    assert [top.logprob for top in token.top_logprobs] == [-0.1, -9999.0]
    stream = client.responses.create(model="tiny", input="hi", top_logprobs=2, stream=True)
    deltas = [event for event in stream if event.type == "response.output_text.delta"]
    assert [[token.token for token in delta.logprobs] for delta in deltas] == [["Yes"]]


def test_an_answer_cut_short_is_incomplete(client: OpenAI, service: MemoryService) -> None:
    service.script = scripted(TextDelta("Hel"), finish(FinishReason.LENGTH))
    response = client.responses.create(model="tiny", input="hi", max_output_tokens=3)
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.output[0].type == "message"
    assert response.output[0].status == "incomplete"
    events = list(client.responses.create(model="tiny", input="hi", stream=True))
    assert events[-1].type == "response.incomplete"


def test_an_empty_answer_has_a_message(client: OpenAI, service: MemoryService) -> None:
    service.script = NOTHING
    response = client.responses.create(model="tiny", input="hi")
    assert response.output_text == ""
    assert [item.type for item in response.output] == ["message"]


def test_a_failure_on_the_way_is_told_and_raised(client: OpenAI, service: MemoryService) -> None:
    service.script = scripted(TextDelta("Hel"))
    service.failure = MlxkError(ErrorKind.RUNTIME_LOST, "The model is gone.")
    seen: list[ResponseStreamEvent] = []
    stream = client.responses.create(model="tiny", input="hi", stream=True)
    with pytest.raises(openai.APIError, match="The model is gone"):
        seen.extend(stream)
    failed = seen[-1]
    assert failed.type == "response.failed"
    assert failed.response.status == "failed"
    assert failed.response.error is not None
    assert failed.response.error.code == "server_error"
    assert failed.response.output[0].type == "message"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (ErrorKind.VALIDATION, openai.BadRequestError),
        (ErrorKind.QUEUE_FULL, openai.RateLimitError),
        (ErrorKind.RUNTIME_LOST, openai.InternalServerError),
        (ErrorKind.NOT_IMPLEMENTED, openai.InternalServerError),
    ],
)
def test_refusals_are_the_packages_exceptions(
    client: OpenAI, service: MemoryService, kind: ErrorKind, expected: type[openai.APIStatusError]
) -> None:
    service.refusal = MlxkError(kind, "Not now.")
    for stream in (False, True):
        with pytest.raises(expected, match="Not now") as raised:
            client.responses.create(model="tiny", input="hi", stream=stream)
        assert raised.value.code == kind.name.lower()


def test_an_unknown_model_and_an_unknown_field(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match=MODEL):
        client.responses.create(model="nope", input="hi")
    with pytest.raises(openai.BadRequestError, match="previous_response_id") as raised:
        client.responses.create(model="tiny", input="hi", previous_response_id="resp_1")
    assert raised.value.param == "previous_response_id"


def test_a_wrong_key() -> None:
    with (
        serving(MemoryService(), HttpOptions(api_keys=("right",))) as address,
        OpenAI(base_url=f"{address}/v1", api_key="wrong", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.responses.create(model="tiny", input="hi")
