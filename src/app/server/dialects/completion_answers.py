"""OpenAI text completions: from deltas to the bytes of an answer."""

from collections.abc import Sequence

from mlxk.app.server.dialects.completion_logprobs import TokenLists
from mlxk.app.server.dialects.dialect import Opening
from mlxk.app.server.dialects.openai_parts import encode, finish_reason, usage_of
from mlxk.app.server.dialects.openai_stream import OpenAIStream
from mlxk.domain.generation import (
    Answer,
    Delta,
    Finish,
    LogprobDelta,
    ReasoningDelta,
    TextDelta,
)
from mlxk.domain.model import JsonValue

__all__ = ["CompletionRenderer"]


class CompletionRenderer(OpenAIStream):
    """Renders one text completion; whatever a model writes after a raw prompt is text, reasoning too.

    Args:
        choices: how many each prompt has.
        echoes: what each choice's text begins with; one for every choice.
        usage_in_stream: streams end with a chunk of token counts.
        with_logprobs: log-probabilities were asked for.
    """

    def __init__(
        self, *, choices: int, echoes: Sequence[str], usage_in_stream: bool, with_logprobs: bool
    ) -> None:
        super().__init__(choices=choices, usage_in_stream=usage_in_stream)
        self._echoes = echoes
        self._with_logprobs = with_logprobs
        self._tokens = [TokenLists() for _ in echoes]

    def whole(self, opening: Opening, answers: Sequence[Answer]) -> bytes:
        """The `text_completion` object."""
        return encode(
            {
                **_identity(opening),
                "choices": [self._choice(index, answer) for index, answer in enumerate(answers)],
                "usage": usage_of(
                    opening.prompt_tokens, [answer.finish.usage for answer in answers], self._choices
                ),
            }
        )

    def _choice(self, index: int, answer: Answer) -> dict[str, JsonValue]:
        tokens, text = self._tokens[index], self._echoes[index]
        for delta in answer.deltas:
            match delta:
                case TextDelta(piece) | ReasoningDelta(piece):
                    text += piece
                    tokens.say(piece)
                case LogprobDelta():
                    tokens.add(delta)
        return {
            "text": text,
            "index": index,
            "logprobs": tokens.take() if self._with_logprobs else None,
            "finish_reason": finish_reason(answer.finish),
        }

    def begin(self, opening: Opening) -> bytes:
        """The echoed prompts, if asked for."""
        self._open(opening, _identity(opening))
        return b"".join(self._chunk(index, echo) for index, echo in enumerate(self._echoes) if echo)

    def _event(self, index: int, delta: Delta) -> bytes:
        match delta:
            case TextDelta(text) | ReasoningDelta(text):
                self._tokens[index].say(text)
                return self._chunk(index, text)
            case LogprobDelta():
                self._tokens[index].add(delta)
                return b""
            case Finish():
                self._usages[index] = delta.usage
                return self._chunk(index, "", encode(finish_reason(delta)))
        return b""

    def _chunk(self, index: int, text: str, reason: bytes = b"null") -> bytes:
        tokens = self._tokens[index]
        logprobs = encode(tokens.take()) if tokens else b"null"
        return b'%b%d,"text":%b,"logprobs":%b,"finish_reason":%b}]}\n\n' % (
            self._head,
            index,
            encode(text),
            logprobs,
            reason,
        )


def _identity(opening: Opening) -> dict[str, JsonValue]:
    return {
        "id": f"cmpl-{opening.token}",
        "object": "text_completion",
        "created": opening.created,
        "model": opening.model,
    }
