"""The answer of `POST /v1/messages`: the message, and the events that tell how it comes about.

Events and their order are those of Anthropic's streaming API, as the `anthropic` package reads them. A whole
answer is the message at the end of the same events, so the two cannot differ.
"""

import json
import sys
from collections.abc import Iterator, Sequence

from mlxk.app.server.dialects.events import Event
from mlxk.domain.generation import (
    Delta,
    Finish,
    FinishReason,
    LogprobDelta,
    ReasoningDelta,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from mlxk.domain.model import JsonValue

__all__ = ["UNSIGNED", "MessageProgress"]

UNSIGNED = "unsigned"
"""The signature of thinking: clients want one; this server neither signs nor checks."""

_STOP_REASONS = {
    FinishReason.STOP: "end_turn",
    FinishReason.LENGTH: "max_tokens",
    FinishReason.TOOL_CALLS: "tool_use",
    FinishReason.CANCELLED: "end_turn",
}


class MessageProgress:
    """One message as it grows.

    Args:
        message_id: unique, without a prefix.
        model: the model's full name.
        prompt_tokens: tokens of the rendered prompt.
        shows_thinking: False leaves the text out of thinking blocks.
    """

    def __init__(
        self, *, message_id: str, model: str, prompt_tokens: int, shows_thinking: bool = True
    ) -> None:
        self._shows_thinking = shows_thinking
        self._id = message_id
        self._model = model
        self._usage = Usage(prompt_tokens, 0)
        self._blocks: list[_TextBlock | _ThinkingBlock | _ToolUseBlock] = []
        self._open = False
        self._stop: dict[str, JsonValue] = {"stop_reason": None, "stop_sequence": None}

    def begin(self) -> Iterator[Event]:
        """The events before the first token."""
        yield "message_start", {"type": "message_start", "message": self.message()}
        yield "ping", {"type": "ping"}

    def grow(self, deltas: Sequence[Delta]) -> Iterator[Event]:
        """The events of the next deltas; the last one, a `Finish`, completes the message."""
        for delta in deltas:
            match delta:
                case TextDelta(text):
                    yield from self._told(_TextBlock, text)
                case ReasoningDelta(text) if self._shows_thinking:
                    yield from self._told(_ThinkingBlock, text)
                case ReasoningDelta():
                    yield from self._continued(_ThinkingBlock)
                case ToolCallDelta(call=call):
                    yield from self._close()
                    block = _ToolUseBlock(call)
                    yield from self._begun(block)
                    yield self._change({"type": "input_json_delta", "partial_json": call.arguments})
                    yield from self._close()
                case Finish():
                    yield from self._finish(delta)
                case LogprobDelta():
                    pass  # Anthropic's API has none

    def message(self) -> dict[str, JsonValue]:
        """The message as it is now."""
        return {
            "id": f"msg_{self._id}",
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [block.value() for block in self._blocks],
            **self._stop,
            "usage": _usage(self._usage),
        }

    def _told(self, kind: "type[_TextBlock | _ThinkingBlock]", text: str) -> Iterator[Event]:
        yield from self._continued(kind)
        last = self._blocks[-1]
        assert isinstance(last, kind), "it was opened just now"
        yield self._change(last.grow(text))

    def _continued(self, kind: "type[_TextBlock | _ThinkingBlock]") -> Iterator[Event]:
        """Begin a block unless one of this kind is open."""
        if not (self._open and isinstance(self._blocks[-1], kind)):
            yield from self._close()
            yield from self._begun(kind())

    def _begun(self, block: "_TextBlock | _ThinkingBlock | _ToolUseBlock") -> Iterator[Event]:
        self._blocks.append(block)
        self._open = True
        index = len(self._blocks) - 1
        started: dict[str, JsonValue] = {
            "type": "content_block_start",
            "index": index,
            "content_block": block.empty(),
        }
        yield "content_block_start", started

    def _change(self, delta: dict[str, JsonValue]) -> Event:
        index = len(self._blocks) - 1
        return "content_block_delta", {"type": "content_block_delta", "index": index, "delta": delta}

    def _close(self) -> Iterator[Event]:
        if not self._open:
            return
        self._open = False
        if isinstance(self._blocks[-1], _ThinkingBlock):
            yield self._change({"type": "signature_delta", "signature": UNSIGNED})
        yield "content_block_stop", {"type": "content_block_stop", "index": len(self._blocks) - 1}

    def _finish(self, finish: Finish) -> Iterator[Event]:
        yield from self._close()
        by_stop = finish.reason is FinishReason.STOP and finish.stopped_by is not None
        self._stop = {
            "stop_reason": "stop_sequence" if by_stop else _STOP_REASONS[finish.reason],
            "stop_sequence": finish.stopped_by if by_stop else None,
        }
        self._usage = finish.usage
        ended: dict[str, JsonValue] = {
            "type": "message_delta",
            "delta": self._stop,
            "usage": _usage(finish.usage),
        }
        yield "message_delta", ended
        yield "message_stop", {"type": "message_stop"}


class _TextBlock:
    """What the model says."""

    def __init__(self) -> None:
        self._pieces: list[str] = []

    def empty(self) -> dict[str, JsonValue]:
        return {"type": "text", "text": ""}

    def grow(self, text: str) -> dict[str, JsonValue]:
        self._pieces.append(text)
        return {"type": "text_delta", "text": text}

    def value(self) -> dict[str, JsonValue]:
        return {"type": "text", "text": "".join(self._pieces)}


class _ThinkingBlock:
    """What the model thinks before it speaks."""

    def __init__(self) -> None:
        self._pieces: list[str] = []

    def empty(self) -> dict[str, JsonValue]:
        return {"type": "thinking", "thinking": "", "signature": ""}

    def grow(self, text: str) -> dict[str, JsonValue]:
        self._pieces.append(text)
        return {"type": "thinking_delta", "thinking": text}

    def value(self) -> dict[str, JsonValue]:
        return {"type": "thinking", "thinking": "".join(self._pieces), "signature": UNSIGNED}


class _ToolUseBlock:
    """A tool the model wants called; its input comes in one piece."""

    def __init__(self, call: ToolCall) -> None:
        self._call = call

    def empty(self) -> dict[str, JsonValue]:
        return {"type": "tool_use", "id": self._call.id, "name": self._call.name, "input": {}}

    def value(self) -> dict[str, JsonValue]:
        return {**self.empty(), "input": _input(self._call.arguments or "{}")}


def _input(arguments: str) -> JsonValue:
    """Arguments as a value that can be sent: a model may write numbers and escapes that have none."""
    value = json.loads(arguments, parse_float=_finite, parse_int=_readable)
    read: JsonValue = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    return read


def _finite(number: str) -> float:
    return max(-sys.float_info.max, min(float(number), sys.float_info.max))


def _readable(number: str) -> float:
    return int(number) if len(number) <= sys.int_info.default_max_str_digits else _finite(number)


def _usage(usage: Usage) -> dict[str, JsonValue]:
    """Token counts; Anthropic's `input_tokens` are those that no cache had."""
    return {
        "input_tokens": usage.prompt_tokens - usage.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
    }
