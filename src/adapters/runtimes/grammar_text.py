"""What an answer must look like, written as a grammar for llguidance (its dialect of Lark).

An answer is reasoning (where the model reasons), then a JSON text, or tool calls in the Hermes style:
`<tool_call>`, a JSON object with `name` and `arguments`, `</tool_call>`, on lines of their own.
JSON is written as `json.dumps` writes it, on one line: a model that may lay it out as it likes may also go
on with white space for ever.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from mlxk.domain.model import JsonObject

__all__ = ["SEPARATORS", "AnswerShape", "CallShape", "Marker", "Thought", "grammar_of", "json_rule"]

SEPARATORS: JsonObject = {
    "x-guidance": {
        "item_separator": ", ",
        "key_separator": ": ",
        "whitespace_flexible": False,
        "whitespace_pattern": "",
    }
}
"""How JSON is laid out, as llguidance reads it from a schema."""


class Thought(Enum):
    """Whether an answer may or must begin with reasoning."""

    NONE = "none"
    OPTIONAL = "optional"
    OPENED = "opened"


@dataclass(frozen=True, slots=True)
class Marker:
    """A marker of the model: its text, and its tokens with whether each is one of a kind of its own."""

    text: str
    tokens: Sequence[tuple[int, str, bool]]

    @property
    def is_special(self) -> bool:
        """Whether it begins with a token that no text contains."""
        return bool(self.tokens) and self.tokens[0][2]

    def __str__(self) -> str:
        """The marker in a grammar."""
        return " ".join(
            f"<[{token}]>" if special else json.dumps(text) for token, text, special in self.tokens
        )


@dataclass(frozen=True, slots=True)
class CallShape:
    """Tool calls an answer may consist of.

    Attributes:
        functions: name and schema of the arguments of each.
        many: whether there may be more than one call.
    """

    start: Marker
    end: Marker
    functions: Sequence[tuple[str, JsonObject]]
    many: bool


@dataclass(frozen=True, slots=True)
class AnswerShape:
    """An answer: a JSON text of a schema, tool calls, or either.

    Attributes:
        think: the markers around reasoning; needed unless `thought` is none.
    """

    schema: JsonObject | None
    calls: CallShape | None
    thought: Thought = Thought.NONE
    think: tuple[Marker, Marker] | None = None


def json_rule(schema: JsonObject) -> str:
    """The right side of a rule for a JSON text.

    Raises:
        ValueError: it has a number that is not finite.
    """
    return f"%json {json.dumps({**schema, **SEPARATORS}, allow_nan=False)}"


def grammar_of(shape: AnswerShape) -> str:
    """The grammar of an answer.

    Raises:
        ValueError: it has a number that is not finite.
    """
    rules: list[str] = []
    alternatives = []
    if shape.schema is not None:
        rules.append(f"body: {json_rule(shape.schema)}")
        alternatives.append("body")
    if shape.calls is not None:
        rules.extend(_call_rules(shape.calls))
        alternatives.append('call ("\\n" call)*' if shape.calls.many else "call")
    reasoning = ""
    if shape.thought is not Thought.NONE and shape.think is not None:
        start, end = shape.think
        rules.extend(_THOUGHT_RULES[end.is_special](end))
        reasoning = "thought" if shape.thought is Thought.OPENED else f"({start} thought)?"
    answer = " | ".join(f"({alternative})" for alternative in alternatives)
    return "\n".join([f"start: {reasoning} LAYOUT? ({answer})", r"LAYOUT: /\n{1,2}/", *rules, ""])


def _call_rules(calls: CallShape) -> list[str]:
    rules = []
    for number, (name, schema) in enumerate(calls.functions):
        before = json.dumps(
            f'{{"name": {json.dumps(name, ensure_ascii=False)}, "arguments": ', ensure_ascii=False
        )
        rules.append(f'call_{number}: {before} args_{number} "}}"')
        rules.append(f"args_{number}: {json_rule(schema)}")
    one = " | ".join(f"call_{number}" for number in range(len(calls.functions)))
    return [f'call: {calls.start} "\\n" ({one}) "\\n" {calls.end}', *rules]


def _thought_until_token(end: Marker) -> list[str]:
    """Any text that does not spell the marker, then the marker."""
    spelt = re.escape(end.text).replace("/", r"\/")
    return [f"thought: THOUGHT {end}", rf"THOUGHT: /(?s:.*)/ & ~/(?s:.*){spelt}(?s:.*)/"]


def _thought_until_text(end: Marker) -> list[str]:
    return [f"thought[suffix={json.dumps(end.text)}]: /(?s:.*)/"]


_THOUGHT_RULES: dict[bool, Callable[[Marker], list[str]]] = {
    True: _thought_until_token,
    False: _thought_until_text,
}
