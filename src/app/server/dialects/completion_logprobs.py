"""OpenAI's older form of log-probabilities: lists side by side, with the place of each token in the text."""

import codecs
from collections.abc import Mapping, Sequence

from mlxk.app.server.dialects.openai_parts import LEAST_LOGPROB
from mlxk.domain.generation import LogprobDelta, TokenLogprob
from mlxk.domain.model import JsonValue

__all__ = ["TokenLists"]


class TokenLists:
    """The tokens of one choice, as its text comes.

    Tokens come before the text they complete, and need not be all of it: a model's reasoning has none, a
    first token's space may be dropped, and what might begin a stop text comes later than its tokens.
    """

    def __init__(self) -> None:
        self._characters = codecs.getincrementaldecoder("utf-8")("replace")
        self._said = 0
        self._ahead = ""
        self._waiting: list[LogprobDelta] = []
        self._offsets: list[int] = []

    def add(self, delta: LogprobDelta) -> None:
        """Take the next token."""
        self._offsets.append(self._said + len(self._ahead))
        self._waiting.append(delta)
        self._ahead += self._characters.decode(delta.token.raw)

    def say(self, text: str) -> None:
        """Take the next piece of text; where it is not what the tokens made, the text is right."""
        self._said += len(text)
        self._ahead = self._ahead.removeprefix(text) if self._ahead.startswith(text) else ""

    def take(self) -> dict[str, JsonValue]:
        """The lists of the tokens that came since they were last taken."""
        deltas, self._waiting = self._waiting, []
        offsets, self._offsets = self._offsets, []
        return {
            "tokens": [_name(delta.token) for delta in deltas],
            "token_logprobs": [_logprob(delta.token) for delta in deltas],
            "top_logprobs": [_likeliest(delta.top) for delta in deltas],
            "text_offset": list[JsonValue](offsets),
        }

    def __bool__(self) -> bool:
        """Whether there is anything to take."""
        return bool(self._waiting)


def _likeliest(tokens: Sequence[TokenLogprob]) -> Mapping[str, JsonValue]:
    """By name; of two tokens of one name the likelier, which comes first."""
    named: dict[str, JsonValue] = {}
    for token in tokens:
        named.setdefault(_name(token), _logprob(token))
    return named


def _name(token: TokenLogprob) -> str:
    r"""Its text, or `bytes:\xe4` as OpenAI has it where it is no whole characters."""
    try:
        return token.raw.decode("utf-8")
    except UnicodeDecodeError:
        return "bytes:" + token.raw.decode("ascii", "backslashreplace")


def _logprob(token: TokenLogprob) -> float:
    return max(token.logprob, LEAST_LOGPROB)
