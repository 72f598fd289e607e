"""The answer of `POST /v1/responses`: the response object, and the events that tell how it comes about.

Events and their order are those of OpenAI's streaming API, as the `openai` package reads them. A whole answer
is the response object at the end of the same events, so the two cannot differ.
"""

from collections.abc import Iterator, Sequence

from mlxk.app.server.dialects.events import Event
from mlxk.app.server.dialects.responses_body import (
    JsonObjectFormat,
    NamedFunction,
    ResponsesBody,
    SchemaTextFormat,
)
from mlxk.app.server.dialects.responses_items import (
    CallItem,
    MessageItem,
    OutputItem,
    ReasoningOutput,
)
from mlxk.domain.generation import (
    Delta,
    Finish,
    FinishReason,
    LogprobDelta,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from mlxk.domain.model import JsonObject, JsonValue

__all__ = ["ResponseProgress"]


class ResponseProgress:
    """One response as it grows.

    Args:
        body: what was asked; the response repeats its settings.
        response_id: unique, without a prefix.
        model: the model's full name.
        created: seconds since 1970.
    """

    def __init__(self, body: ResponsesBody, *, response_id: str, model: str, created: int) -> None:
        self._id = response_id
        self._settings = _settings(body)
        self._model = model
        self._created = created
        self._sequence = 0
        self._items: list[OutputItem] = []
        self._logprobs: list[LogprobDelta] = []
        self._status = "in_progress"
        self._usage: Usage | None = None

    def begin(self) -> Iterator[Event]:
        """The events before the first token."""
        yield self._numbered("response.created", {"response": self.response()})
        yield self._numbered("response.in_progress", {"response": self.response()})

    def grow(self, deltas: Sequence[Delta]) -> Iterator[Event]:
        """The events of the next deltas; the last one, a `Finish`, completes the response."""
        for delta in deltas:
            match delta:
                case LogprobDelta():
                    self._logprobs.append(delta)
                case TextDelta(text):
                    yield from self._open(MessageItem)
                    yield from self._told(text)
                case ReasoningDelta(text):
                    yield from self._open(ReasoningOutput)
                    yield from self._told(text)
                case ToolCallDelta(call=call):
                    yield from self._close("completed")
                    item = CallItem(self._next_id("fc"), len(self._items), call)
                    yield from self._begun(item)
                    yield from self._close("completed")
                case Finish():
                    yield from self._finish(delta)

    def fail(self, message: str) -> Iterator[Event]:
        """The event that ends a response which cannot be completed."""
        self._status = "failed"
        error = {"code": "server_error", "message": message}
        yield self._numbered("response.failed", {"response": {**self.response(), "error": error}})

    def next_number(self) -> int:
        """The sequence number of the next event."""
        number = self._sequence
        self._sequence += 1
        return number

    def response(self) -> dict[str, JsonValue]:
        """The response as it is now."""
        incomplete = {"reason": "max_output_tokens"} if self._status == "incomplete" else None
        return {
            "id": f"resp_{self._id}",
            "object": "response",
            "created_at": self._created,
            "status": self._status,
            "error": None,
            "incomplete_details": incomplete,
            "model": self._model,
            "output": [item.value() for item in self._items],
            "usage": _usage(self._usage) if self._usage else None,
            **self._settings,
        }

    def _open(self, kind: type[MessageItem | ReasoningOutput]) -> Iterator[Event]:
        """Make sure that the last item takes text of this kind."""
        last = self._items[-1] if self._items else None
        if isinstance(last, kind) and last.status == "in_progress":
            return
        yield from self._close("completed")
        yield from self._begun(kind(self._next_id(kind.PREFIX), len(self._items)))

    def _begun(self, item: OutputItem) -> Iterator[Event]:
        self._items.append(item)
        for name, payload in item.begin():
            yield self._numbered(name, payload)

    def _told(self, text: str) -> Iterator[Event]:
        match self._items[-1]:
            case MessageItem() as message:
                name, payload = message.grow(text, self._logprobs)
                self._logprobs = []
                yield self._numbered(name, payload)
            case ReasoningOutput() as reasoning:
                name, payload = reasoning.grow(text)
                yield self._numbered(name, payload)

    def _close(self, status: str) -> Iterator[Event]:
        if self._items and self._items[-1].status == "in_progress":
            for name, payload in self._items[-1].finish(status):
                yield self._numbered(name, payload)

    def _finish(self, finish: Finish) -> Iterator[Event]:
        """An answer that calls nothing has a message, be it empty."""
        if not any(isinstance(item, MessageItem | CallItem) for item in self._items):
            yield from self._open(MessageItem)
        cut = finish.reason in (FinishReason.LENGTH, FinishReason.CANCELLED)
        status = "incomplete" if cut else "completed"
        yield from self._close(status)
        self._status = status
        self._usage = finish.usage
        yield self._numbered(f"response.{status}", {"response": self.response()})

    def _next_id(self, prefix: str) -> str:
        return f"{prefix}_{self._id}_{len(self._items)}"

    def _numbered(self, name: str, payload: JsonObject) -> Event:
        return name, {"type": name, **payload, "sequence_number": self.next_number()}


def _settings(body: ResponsesBody) -> dict[str, JsonValue]:
    """What the client asked for, as OpenAI's API repeats it."""
    effort = body.reasoning.effort if body.reasoning else None
    return {
        "instructions": body.instructions,
        "max_output_tokens": body.max_output_tokens,
        "temperature": body.temperature,
        "top_p": body.top_p,
        "top_logprobs": body.top_logprobs,
        "tools": [tool.model_dump() for tool in body.tools or ()],
        "tool_choice": _tool_choice(body),
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "text": {"format": _format(body)},
        "reasoning": {"effort": effort, "summary": None},
        "truncation": "disabled",
        "background": False,
        "store": False,
        "previous_response_id": None,
        "metadata": body.metadata,
        "user": body.user,
    }


def _tool_choice(body: ResponsesBody) -> JsonValue:
    if isinstance(body.tool_choice, NamedFunction):
        return {"type": "function", "name": body.tool_choice.name}
    return body.tool_choice or "auto"


def _format(body: ResponsesBody) -> JsonValue:
    match body.text.format if body.text else None:
        case JsonObjectFormat():
            return {"type": "json_object"}
        case SchemaTextFormat() as wanted:
            return {"type": "json_schema", "name": wanted.name, "schema": wanted.schema_, "strict": True}
        case _:
            return {"type": "text"}


def _usage(usage: Usage) -> JsonValue:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
