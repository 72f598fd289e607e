"""OpenAI chat completions: from deltas to the bytes of an answer."""

from collections.abc import Mapping, Sequence

from mlxk.app.server.dialects.dialect import Opening
from mlxk.app.server.dialects.openai_parts import (
    LEAST_LOGPROB,
    encode,
    finish_reason,
    usage_of,
)
from mlxk.app.server.dialects.openai_stream import OpenAIStream
from mlxk.domain.generation import (
    Answer,
    Delta,
    Finish,
    LogprobDelta,
    ReasoningDelta,
    TextDelta,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
)
from mlxk.domain.model import JsonValue

__all__ = ["ChatRenderer"]


class ChatRenderer(OpenAIStream):
    """Renders one chat completion.

    Args:
        choices: how many there are.
        usage_in_stream: streams end with a chunk of token counts.
        with_logprobs: log-probabilities were asked for.
    """

    def __init__(self, *, choices: int, usage_in_stream: bool, with_logprobs: bool) -> None:
        super().__init__(choices=choices, usage_in_stream=usage_in_stream)
        self._with_logprobs = with_logprobs
        self._logprobs: dict[int, list[JsonValue]] = {}
        self._tail = b'"finish_reason":null}]}\n\n'

    def whole(self, opening: Opening, answers: Sequence[Answer]) -> bytes:
        """The `chat.completion` object."""
        return encode(
            {
                "id": f"chatcmpl-{opening.token}",
                "object": "chat.completion",
                "created": opening.created,
                "model": opening.model,
                "choices": [self._choice(index, answer) for index, answer in enumerate(answers)],
                "usage": usage_of(
                    opening.prompt_tokens, [answer.finish.usage for answer in answers], self._choices
                ),
            }
        )

    def _choice(self, index: int, answer: Answer) -> dict[str, JsonValue]:
        message: dict[str, JsonValue] = {
            "role": "assistant",
            "content": answer.text if answer.text or not answer.tool_calls else None,
        }
        if answer.reasoning:
            message["reasoning_content"] = answer.reasoning
        if answer.tool_calls:
            message["tool_calls"] = [_call(call) for call in answer.tool_calls]
        tokens = [_logprob(delta) for delta in answer.logprobs]
        return {
            "index": index,
            "message": message,
            "logprobs": {"content": tokens, "refusal": None} if self._with_logprobs else None,
            "finish_reason": finish_reason(answer.finish),
        }

    def begin(self, opening: Opening) -> bytes:
        """One chunk per choice that tells the role."""
        self._open(
            opening,
            {
                "id": f"chatcmpl-{opening.token}",
                "object": "chat.completion.chunk",
                "created": opening.created,
                "model": opening.model,
            },
        )
        return b"".join(
            self._chunk(index, b'"role":"assistant","content":""') for index in range(self._choices)
        )

    def _event(self, index: int, delta: Delta) -> bytes:
        match delta:
            case TextDelta(text):
                return self._chunk(index, b'"content":' + encode(text))
            case ReasoningDelta(text):
                return self._chunk(index, b'"reasoning_content":' + encode(text))
            case ToolCallDelta(place, call):
                return self._chunk(index, b'"tool_calls":' + encode([{"index": place, **_call(call)}]))
            case LogprobDelta():
                self._logprobs.setdefault(index, []).append(_logprob(delta))
                return b""
            case Finish():
                self._usages[index] = delta.usage
                reason = encode(finish_reason(delta))
                return self._chunk(index, b"", b'"finish_reason":' + reason + b"}]}\n\n")

    def _chunk(self, index: int, delta: bytes, tail: bytes | None = None) -> bytes:
        logprobs = b'},"logprobs":null,'
        if self._logprobs and (tokens := self._logprobs.pop(index, None)):
            logprobs = b'},"logprobs":' + encode({"content": tokens, "refusal": None}) + b","
        return b"%b%d%b%b%b%b" % (
            self._head,
            index,
            b',"delta":{',
            delta,
            logprobs,
            self._tail if tail is None else tail,
        )


def _call(call: ToolCall) -> Mapping[str, JsonValue]:
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }


def _logprob(delta: LogprobDelta) -> dict[str, JsonValue]:
    return {**_token(delta.token), "top_logprobs": [_token(token) for token in delta.top]}


def _token(token: TokenLogprob) -> dict[str, JsonValue]:
    return {"token": token.text, "logprob": max(token.logprob, LEAST_LOGPROB), "bytes": list(token.raw)}
