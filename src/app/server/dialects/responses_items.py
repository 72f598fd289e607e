"""The items of a response's output, each with the events that make it."""

from collections.abc import Iterator, Sequence
from typing import ClassVar, TypeAlias

from mlxk.app.server.dialects.events import Event
from mlxk.domain.generation import LogprobDelta, TokenLogprob, ToolCall
from mlxk.domain.model import JsonValue

__all__ = ["CallItem", "MessageItem", "OutputItem", "ReasoningOutput"]

LEAST_LOGPROB = -9999.0
"""OpenAI's number for "never"; JSON has no infinity."""


class _TextItem:
    """An item of one part, which grows."""

    def __init__(self, item_id: str, index: int) -> None:
        self.status = "in_progress"
        self._id = item_id
        self._place: dict[str, JsonValue] = {"item_id": item_id, "output_index": index, "content_index": 0}
        self._index = index
        self._pieces: list[str] = []

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._pieces)

    def _item(self, value: JsonValue) -> dict[str, JsonValue]:
        return {"output_index": self._index, "item": value}


class MessageItem(_TextItem):
    """What the model says."""

    PREFIX: ClassVar[str] = "msg"

    def __init__(self, item_id: str, index: int) -> None:
        super().__init__(item_id, index)
        self._logprobs: list[JsonValue] = []

    def begin(self) -> Iterator[Event]:
        """The events that open it."""
        yield "response.output_item.added", self._item({**self.value(), "content": []})
        yield "response.content_part.added", {**self._place, "part": self._part()}

    def grow(self, text: str, logprobs: Sequence[LogprobDelta]) -> Event:
        """The event of its next piece, with the log-probabilities of the tokens in it."""
        self._pieces.append(text)
        values = [_logprob(delta) for delta in logprobs]
        self._logprobs += values
        return "response.output_text.delta", {**self._place, "delta": text, "logprobs": values}

    def finish(self, status: str) -> Iterator[Event]:
        """The events that close it."""
        self.status = status
        done = {**self._place, "text": self.text, "logprobs": self._logprobs}
        yield "response.output_text.done", done
        yield "response.content_part.done", {**self._place, "part": self._part()}
        yield "response.output_item.done", self._item(self.value())

    def value(self) -> dict[str, JsonValue]:
        """It, as it is now."""
        return {
            "type": "message",
            "id": self._id,
            "status": self.status,
            "role": "assistant",
            "content": [self._part()],
        }

    def _part(self) -> JsonValue:
        return {"type": "output_text", "text": self.text, "annotations": [], "logprobs": self._logprobs}


class ReasoningOutput(_TextItem):
    """What the model thinks before it speaks."""

    PREFIX: ClassVar[str] = "rs"

    def begin(self) -> Iterator[Event]:
        """The events that open it."""
        yield "response.output_item.added", self._item({**self.value(), "content": []})
        yield "response.content_part.added", {**self._place, "part": self._part()}

    def grow(self, text: str) -> Event:
        """The event of its next piece."""
        self._pieces.append(text)
        return "response.reasoning_text.delta", {**self._place, "delta": text}

    def finish(self, status: str) -> Iterator[Event]:
        """The events that close it."""
        self.status = status
        yield "response.reasoning_text.done", {**self._place, "text": self.text}
        yield "response.content_part.done", {**self._place, "part": self._part()}
        yield "response.output_item.done", self._item(self.value())

    def value(self) -> dict[str, JsonValue]:
        """It, as it is now."""
        return {
            "type": "reasoning",
            "id": self._id,
            "status": self.status,
            "summary": [],
            "content": [self._part()],
        }

    def _part(self) -> JsonValue:
        return {"type": "reasoning_text", "text": self.text}


class CallItem:
    """A function the model wants called; its arguments come in one piece."""

    def __init__(self, item_id: str, index: int, call: ToolCall) -> None:
        self.status = "in_progress"
        self._id = item_id
        self._index = index
        self._place: dict[str, JsonValue] = {"item_id": item_id, "output_index": index}
        self._call = call

    def begin(self) -> Iterator[Event]:
        """The events that open it."""
        opened = {**self.value(), "arguments": ""}
        yield "response.output_item.added", {"output_index": self._index, "item": opened}
        yield "response.function_call_arguments.delta", {**self._place, "delta": self._call.arguments}

    def finish(self, status: str) -> Iterator[Event]:
        """The events that close it."""
        self.status = status
        done = {**self._place, "name": self._call.name, "arguments": self._call.arguments}
        yield "response.function_call_arguments.done", done
        yield "response.output_item.done", {"output_index": self._index, "item": self.value()}

    def value(self) -> dict[str, JsonValue]:
        """It, as it is now."""
        return {
            "type": "function_call",
            "id": self._id,
            "status": self.status,
            "call_id": self._call.id,
            "name": self._call.name,
            "arguments": self._call.arguments,
        }


OutputItem: TypeAlias = MessageItem | ReasoningOutput | CallItem


def _logprob(delta: LogprobDelta) -> JsonValue:
    return {**_token(delta.token), "top_logprobs": [_token(token) for token in delta.top]}


def _token(token: TokenLogprob) -> dict[str, JsonValue]:
    return {"token": token.text, "bytes": list(token.raw), "logprob": max(token.logprob, LEAST_LOGPROB)}
