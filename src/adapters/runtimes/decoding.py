"""From tokens to deltas: characters made whole, stop texts cut off, reasoning and tool calls told apart.

One `SequenceDecoder` serves one generation. It never looks at the model, so the same tokens give the same
deltas whether they are streamed or collected, alone or in a batch.
"""

import json
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from mlx_lm.generate import TextStateMachine, make_text_state_machine

from mlxk.adapters.runtimes.tokenizer import ChatEntry, Detokenizer, Tokenizer, ToolParser
from mlxk.domain.generation import (
    Delta,
    FinishReason,
    LogprobDelta,
    ReasoningDelta,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    joined,
)

__all__ = ["Channels", "SequenceDecoder", "TextDecoder", "TokenText", "channels_of", "stop_machine"]

TEXT = "normal"
REASONING = "reasoning"
TOOL = "tool"

INCOMPLETE = "\ufffd"
"""What detokenizers show for bytes that are not, or not yet, a character."""


class TokenText:
    """The text of a growing row of tokens, released in whole characters.

    Args:
        detokenizer: a fresh one.
        size: tokens the tokenizer knows; models may have padding rows beyond, which have no text.
        after: the tokens of what the text goes on from, of its last character at least; none where it is a
            text of its own, which detokenizers begin without a space.
    """

    def __init__(self, detokenizer: Detokenizer, size: int, after: Sequence[int] = ()) -> None:
        self._detokenizer = detokenizer
        self._size = size
        for token in after:
            self.add(token)
        self.end()  # a space at its end is held back

    def add(self, token: int) -> str:
        """The text that `token` completes; empty while a character is incomplete."""
        if token >= self._size:
            return ""
        self._detokenizer.add_token(token)
        return self._detokenizer.last_segment

    def end(self) -> str:
        """The text held back until now, without the bytes of a character that was never completed."""
        try:
            self._detokenizer.finalize()
        except KeyError:  # mlx-lm's byte-level detokenizer, on an added token that looks incomplete
            return ""
        return self._detokenizer.last_segment.rstrip(INCOMPLETE)


@dataclass(frozen=True, slots=True)
class Channels:
    """How the text of a model is divided, and where a generation begins.

    Attributes:
        machine: finds reasoning and tool markers in text and removes them.
        initial: the state a generation begins in; `reasoning` when the prompt has opened it.
        parser: reads tool calls; None leaves tool text as it is.
        tools: the tools offered, as the chat template got them.
        max_calls: tool calls after which the answer ends; None for any number.
        answer_opens: characters that, where the text of the answer begins, say that no marker can follow:
            one in a JSON text is part of a string.
    """

    machine: TextStateMachine
    initial: str = TEXT
    parser: ToolParser | None = None
    tools: Sequence[ChatEntry] = field(default_factory=tuple)
    max_calls: int | None = None
    answer_opens: str = ""


class _WithoutTools:
    """A tokenizer seen without its tool support: where no tools are offered, their markers are text."""

    has_tool_calling = False

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def __getattr__(self, name: str) -> object:
        return getattr(self._tokenizer, name)

    @property
    def response_transitions(self) -> dict[str, list[tuple[str, str]]]:
        edges = self._tokenizer.response_transitions.items()
        return {state: [edge for edge in out if edge[1] != TOOL] for state, out in edges if state != TOOL}


def channels_of(tokenizer: Tokenizer, tools: Sequence[ChatEntry], *, initial: str = TEXT) -> Channels:
    """The channels of a model, by its tokenizer's own thinking and tool support."""
    seen = tokenizer if tools else _WithoutTools(tokenizer)
    parser = tokenizer.tool_parser if tools else None
    return Channels(make_text_state_machine(seen), initial, parser, tools)


def stop_machine(stops: Sequence[str]) -> TextStateMachine | None:
    """A machine that ends at the first stop text to be complete; None when there are none."""
    return TextStateMachine({TEXT: [(stop, None) for stop in dict.fromkeys(stops)]}) if stops else None


class TextDecoder:
    """Text in, in pieces of any size; deltas out.

    Stop texts are looked for first, in all of the text, then markers in what is left. A piece that may be
    the beginning of a stop text or a marker is held back until that is known. Newlines that only lay out
    the markers (after one, and before the end of the reasoning) are dropped, as chat templates do when they
    render the answer again.
    """

    def __init__(self, channels: Channels, stops: TextStateMachine | None = None) -> None:
        self._channels = channels
        self._channel = channels.machine.make_state(channels.initial)
        self._stop = stops.make_state(TEXT) if stops else None
        self._tool_text = ""
        self._newlines = ""
        self._drops_newlines = channels.initial == REASONING or bool(channels.answer_opens)
        self._answered = self._only_text = False
        self._calls: list[ToolCall] = []
        self.stopped_by: str | None = None
        """The stop text that was found; nothing comes after it."""

    @property
    def stopped(self) -> bool:
        """Whether nothing more can come: a stop text was found, or all the calls there may be."""
        return self.stopped_by is not None or len(self._calls) == self._channels.max_calls

    @property
    def holds_text(self) -> bool:
        """Whether there is text that may become part of the answer, or of a stop text or a marker."""
        return bool(self._stop and self._stop[3]) or bool(self._channel[0] == TEXT and self._channel[3])

    @property
    def reasons(self) -> bool:
        """Whether the text that comes now is reasoning."""
        return bool(self._channel[0] == REASONING)

    @property
    def called_tools(self) -> bool:
        """Whether there was a tool call."""
        return bool(self._calls)

    def push(self, text: str) -> list[Delta]:
        """Take the next text and give what is certain by now."""
        if self.stopped or not text:
            return []
        return list(joined(self._divide(self._until_stop(text))))

    def end(self) -> list[Delta]:
        """Give what was held back: it has become certain that no stop text or marker follows."""
        return list(joined(self._rest()))

    def _rest(self) -> Iterator[Delta]:
        if len(self._calls) == self._channels.max_calls:
            return
        if self._stop is not None and self.stopped_by is None:
            self._stop, held, _ = TextStateMachine.flush(self._stop)
            yield from self._divide(held)
        self._channel, held, state = TextStateMachine.flush(self._channel)
        yield from self._piece(state, held)
        if state == TOOL:
            yield from self._tool_calls()

    def _until_stop(self, text: str) -> str:
        if self._stop is None:
            return text
        seen = self._stop[3] + text
        self._stop, segments = TextStateMachine.split(self._stop, text)
        before = "".join(piece for _, piece in segments)
        if self._stop[0] is None:
            self.stopped_by = seen[len(before) : len(seen) - len(self._stop[3])]
        return before

    def _divide(self, text: str) -> Iterator[Delta]:
        text = self._past_markers(text)
        before = self._channel[0]
        self._channel, segments = TextStateMachine.split(self._channel, text)
        for state, piece in segments:
            if state != before:
                yield from self._leave(before)
            if len(self._calls) == self._channels.max_calls:
                return
            yield from self._piece(state, piece)
            before = state

    def _past_markers(self, text: str) -> str:
        """The text to divide next; from where an answer opened that can hold no marker, none is found."""
        opens = self._channels.answer_opens
        if not opens or self._only_text or self._channel[0] != TEXT:
            return text
        held = self._channel[3] + text
        first = held.lstrip("\n")[:1]
        if not self._answered and (not first or first not in opens):
            return text
        self._only_text = True
        self._channel = TextStateMachine().make_state(TEXT)
        return str(held)

    def _leave(self, state: str) -> Iterator[Delta]:
        """A marker ended a state."""
        if state == TOOL:
            yield from self._tool_calls()
        self._newlines = ""
        self._drops_newlines = True

    def _piece(self, state: str, text: str) -> Iterator[Delta]:
        if state == TOOL:
            self._tool_text += text
        elif state == REASONING:
            yield from self._reasoning(text)
        elif state == TEXT:
            yield from self._text(text)

    def _reasoning(self, text: str) -> Iterator[Delta]:
        text = self._newlines + text
        if self._drops_newlines:
            text = text.lstrip("\n")
        shown = text.rstrip("\n")
        self._newlines = text[len(shown) :]
        if shown:
            self._drops_newlines = False
            yield ReasoningDelta(shown)

    def _text(self, text: str) -> Iterator[Delta]:
        if self._drops_newlines:
            text = text.lstrip("\n")
        if text:
            self._drops_newlines = False
            self._answered = True
            yield TextDelta(text)

    def _tool_calls(self) -> Iterator[Delta]:
        text, self._tool_text = self._tool_text, ""
        calls = self._parsed(text)[: self._calls_left()]
        if not calls:
            yield from self._text(text.strip("\n"))
        for call in calls:
            yield ToolCallDelta(len(self._calls), call)
            self._calls.append(call)

    def _calls_left(self) -> int | None:
        limit = self._channels.max_calls
        return None if limit is None else limit - len(self._calls)

    def _parsed(self, text: str) -> list[ToolCall]:
        """The calls in a tool text; none when any of it cannot be read."""
        if self._channels.parser is None:
            return []
        try:
            parsed = self._channels.parser(text, self._channels.tools)
            calls = [_tool_call(call) for call in (parsed if isinstance(parsed, list) else [parsed])]
        except Exception:  # noqa: BLE001 - what mlx-lm's parsers raise on a model's text differs by family,
            return []  # and one answer that cannot be read must not end the others in the batch
        return _with_unique_ids(calls, {call.id for call in self._calls})


class SequenceDecoder:
    """Tokens in, one at a time; deltas out."""

    def __init__(self, text: TokenText, decoder: TextDecoder) -> None:
        self._text = text
        self._decoder = decoder
        self._logprobs: list[LogprobDelta] = []
        self.reasoning_tokens = 0
        """How many of the tokens are reasoning, its markers among them."""

    @property
    def stopped(self) -> bool:
        """Whether the answer has ended, by a stop text or the last tool call there may be."""
        return self._decoder.stopped

    @property
    def stopped_by(self) -> str | None:
        """The stop text that ended the answer."""
        return self._decoder.stopped_by

    def add(self, token: int, logprob: LogprobDelta | None = None) -> list[Delta]:
        """Take one token that is part of the answer.

        Its log-probability comes right before the text that it completes, and not at all when the token is
        no part of the answer's text: reasoning, tool calls, markers and stop texts have none.
        """
        text = self._text.add(token)
        reasoned = self._decoder.reasons
        deltas = self._decoder.push(text)
        self.reasoning_tokens += reasoned or self._decoder.reasons
        if logprob is None:
            return deltas
        self._logprobs.append(logprob)
        deltas = self._with_logprobs(deltas)
        if text and not self._decoder.holds_text:
            self._logprobs = []
        return deltas

    def end(self) -> list[Delta]:
        """Give what is still held back; the generation is over."""
        deltas = [] if self.stopped else self._decoder.push(self._text.end())
        return self._with_logprobs(list(joined([*deltas, *self._decoder.end()])))

    def _with_logprobs(self, deltas: list[Delta]) -> list[Delta]:
        if not self._logprobs or not any(isinstance(delta, TextDelta) for delta in deltas):
            return deltas
        logprobs, self._logprobs = self._logprobs, []
        return [*logprobs, *deltas]

    def reason(self, *, ended: bool) -> FinishReason:
        """Why the generation is over, once `end` was called.

        Args:
            ended: the model gave an end token.
        """
        if not ended and not self.stopped:
            return FinishReason.LENGTH
        return FinishReason.TOOL_CALLS if self._decoder.called_tools else FinishReason.STOP


def _tool_call(call: object) -> ToolCall:
    """One call as a tool parser gives it; the id is the model's own, or empty.

    Raises:
        ValueError: it has no name, or its arguments are no JSON object.
    """
    if isinstance(call, ToolCall):
        return call
    if not isinstance(call, dict) or not isinstance(call.get("name"), str) or not call["name"]:
        raise ValueError("a tool call without a name")
    arguments = call.get("arguments") or {}
    if isinstance(arguments, str):
        arguments = json.loads(arguments)
    if not isinstance(arguments, dict):
        raise ValueError("tool arguments that are no object")
    own = call.get("id")
    return ToolCall(own if isinstance(own, str) else "", call["name"], _json_text(arguments))


def _json_text(value: object) -> str:
    """JSON that any client can read.

    Raises:
        ValueError: it has a number that is not finite.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # half a surrogate pair, which the model wrote as an escape
        return json.dumps(value, allow_nan=False)
    return text


def _with_unique_ids(calls: Sequence[ToolCall], taken: set[str]) -> list[ToolCall]:
    """The same calls; those without an id, or with one that is taken, get a fresh one."""
    unique = []
    for call in calls:
        own = call.id if call.id and call.id not in taken else f"call_{secrets.token_hex(12)}"
        taken.add(own)
        unique.append(replace(call, id=own))
    return unique
