"""Answers held to a grammar with llguidance: compiled once, then a mask over the next token at every step.

Grammars are compiled where requests are prepared, not on the thread that owns the model. llguidance comes
with the extra `server`; it is imported when the first such request arrives.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import mlx.core as mx

from mlxk.adapters.runtimes.grammar_text import SEPARATORS, AnswerShape, Marker, grammar_of
from mlxk.adapters.runtimes.schema_costs import too_costly
from mlxk.adapters.runtimes.tokenizer import Tokenizer
from mlxk.domain.errors import ErrorKind, InvalidInput, MlxkError
from mlxk.domain.model import JsonObject, JsonValue

if TYPE_CHECKING:
    import numpy as np
    from llguidance import LLMatcher, LLTokenizer
    from numpy.typing import NDArray

__all__ = ["Grammar", "GrammarMask", "Grammars"]

KEPT_GRAMMARS = 32
LONGEST_REASON = 300
LONGEST_POINTER = 200

_NAMED_CHILDREN = ("properties", "patternProperties", "$defs", "definitions")
_LISTED_CHILDREN = ("allOf", "anyOf", "oneOf", "prefixItems")
_SINGLE_CHILDREN = ("items", "additionalProperties", "additionalItems")


class Grammar:
    """A compiled grammar; every generation gets a mask of its own."""

    def __init__(self, matcher: "LLMatcher", lexer: "LLTokenizer") -> None:
        self._matcher = matcher
        self._lexer = lexer

    def mask(self) -> "GrammarMask":
        """A fresh mask, at the beginning of the answer."""
        return GrammarMask(self._matcher.deep_copy(), self._lexer)


class GrammarMask:
    """A logits processor that lets only tokens through that the grammar allows next.

    It is called once per token, with all tokens so far, and needs the last one's value, so a sequence with
    a grammar waits for each token before the next one is begun. It never raises: a matcher that gave up
    allows the end tokens alone, and says so in `gave_up`.
    """

    def __init__(self, matcher: "LLMatcher", lexer: "LLTokenizer") -> None:
        import numpy as np

        self._matcher = matcher
        self._lexer = lexer
        self._bits = np.zeros((1, -(-lexer.vocab_size // 32)), dtype=np.int32)
        self._began = False

    @property
    def gave_up(self) -> bool:
        """Whether the answer may be incomplete, because a limit of the matcher was reached."""
        return self._matcher.is_error()

    def __call__(self, tokens: mx.array, logits: mx.array) -> mx.array:
        """Logits [1, vocabulary] with minus infinity for what is not allowed."""
        import numpy as np
        from llguidance.numpy import fill_next_token_bitmask

        if self._began:  # before, the last token is the prompt's
            self._matcher.consume_token(int(tokens[-1].item()))  # type: ignore[arg-type]
        self._began = True
        fill_next_token_bitmask(self._matcher, self._bits)
        allowed = np.unpackbits(self._bits.view(np.uint8), bitorder="little").view(bool)
        if np.count_nonzero(self._bits) == 1:
            self._spell(allowed)
        allowed = allowed[: logits.shape[-1]]
        return mx.where(mx.array(allowed), logits, mx.array(float("-inf"), logits.dtype))

    def _spell(self, allowed: "NDArray[np.bool_]") -> None:
        """Correct a mask that lets only a token through which the matcher would not take.

        Text that can be only one thing is tokenized by llguidance as the tokenizer would, which makes a
        token of its own of a marker (`<think>` in a JSON string). It has to be spelt.
        """
        only = allowed.nonzero()[0].tolist()
        if len(only) == 1 and not self._matcher.validate_tokens(only) and not self._matcher.is_stopped():
            allowed[only] = False
            allowed[self._lexer.tokenize_bytes(self._matcher.compute_ff_bytes()[:1])[:1]] = True


class Grammars:
    """Compiles the grammars of one model, and keeps the last ones.

    Args:
        tokenizer: its `eos_token_ids` are all end tokens of the model.
        family: the config's `model_type`, for error messages.
        vocabulary: columns of the model's logits.
    """

    def __init__(self, tokenizer: Tokenizer, family: str, vocabulary: int) -> None:
        self._tokenizer = tokenizer
        self._family = family
        self._vocabulary = max(vocabulary, len(tokenizer))
        self._lexer: LLTokenizer | None = None
        self._kept: OrderedDict[str, Grammar] = OrderedDict()

    def compile(self, shape: AnswerShape) -> Grammar:
        """The grammar of an answer.

        Raises:
            InvalidInput: a schema cannot be used; the message says where and why, `param` in which field.
            MlxkError: (`DEPENDENCY_MISSING`) llguidance is not installed; (`NOT_IMPLEMENTED`) the model's
                tokenizer cannot be held to a grammar.
        """
        try:
            text = grammar_of(shape)
        except ValueError as error:
            raise InvalidInput(f"The JSON schema cannot be used: {error}.", param=_field(shape)) from error
        if text not in self._kept:
            _refuse_costly(shape)
            self._kept[text] = Grammar(self._matcher(text, shape), self._open_lexer())
            if len(self._kept) > KEPT_GRAMMARS:
                self._kept.popitem(last=False)
        self._kept.move_to_end(text)
        return self._kept[text]

    def marker(self, text: str) -> Marker:
        """A marker of the model as its tokenizer writes it.

        Raises:
            MlxkError: as `compile`.
        """
        lexer = self._open_lexer()
        tokens = self._tokenizer.encode(text, add_special_tokens=False)
        return Marker(
            text,
            [(token, self._tokenizer.decode([token]), lexer.is_special_token(token)) for token in tokens],
        )

    def _matcher(self, text: str, shape: AnswerShape) -> "LLMatcher":
        lexer = self._open_lexer()
        from llguidance import LLMatcher

        matcher = LLMatcher(lexer, LLMatcher.grammar_from_lark(text), log_level=0)
        if matcher.is_error():
            raise _unusable(shape, lexer, matcher.get_error())
        return matcher

    def _open_lexer(self) -> "LLTokenizer":
        if self._lexer is None:
            try:
                from llguidance.hf import from_tokenizer
            except ImportError as error:
                raise MlxkError(
                    ErrorKind.DEPENDENCY_MISSING,
                    "Answers held to a JSON schema need the package llguidance, which is not installed.",
                    hint="pip install 'mlxk[server]'",
                ) from error
            ends = sorted(self._tokenizer.eos_token_ids)
            plain: Any = self._tokenizer
            try:
                self._lexer = from_tokenizer(plain._tokenizer, n_vocab=self._vocabulary, eos_token=ends)
            except (RuntimeError, ValueError) as error:
                raise MlxkError(
                    ErrorKind.NOT_IMPLEMENTED,
                    f"The answers of this model ({self._family}) cannot be held to a grammar: "
                    "its tokenizer is of a kind that llguidance does not know.",
                ) from error
        return self._lexer


def _refuse_costly(shape: AnswerShape) -> None:
    functions = shape.calls.functions if shape.calls else ()
    schemas = [schema for _, schema in functions] + ([] if shape.schema is None else [shape.schema])
    for why in filter(None, map(too_costly, schemas)):
        raise InvalidInput(f"The JSON schema cannot be used: {why}.", param=_field(shape))


def _field(shape: AnswerShape) -> str:
    return "response_format" if shape.schema is not None else "tools"


def _unusable(shape: AnswerShape, lexer: "LLTokenizer", reason: str) -> InvalidInput:
    """The error for the schema that is to blame, with the place in it."""
    if shape.schema is not None and (found := _problem(shape.schema, lexer)):
        where, why = found
        return InvalidInput(
            f"The JSON schema cannot be used at {_place(where)}: {why}.", param="response_format"
        )
    for name, schema in shape.calls.functions if shape.calls else ():
        if found := _problem(schema, lexer):
            where, why = found
            return InvalidInput(
                f"The parameters of tool '{name}' cannot be used at {_place(where)}: {why}.", param="tools"
            )
    return InvalidInput(f"The JSON schema cannot be used: {_one_line(reason)}.", param=_field(shape))


def _problem(schema: JsonObject, lexer: "LLTokenizer") -> tuple[str, str] | None:
    """The JSON pointer of the innermost part of a schema that cannot be compiled, and why."""
    shared = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
    why = _why_not(schema, lexer)
    if why is None:
        return None
    where, part = "", schema
    while True:
        for step, child in _children(part):
            if (deeper := _why_not({**shared, **child}, lexer)) is not None:
                where, part, why = f"{where}/{step}", child, deeper
                break
        else:
            return where, why


def _why_not(schema: JsonObject, lexer: "LLTokenizer") -> str | None:
    import json

    from llguidance import LLMatcher

    try:
        grammar = LLMatcher.grammar_from_json_schema(json.dumps({**schema, **SEPARATORS}))
    except ValueError as error:
        return _one_line(str(error))
    return _one_line(LLMatcher.validate_grammar(grammar, lexer)) or None


def _children(schema: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    """The schemas in a schema, each with its step of a JSON pointer."""
    for key in _NAMED_CHILDREN:
        named = schema.get(key)
        for name, child in named.items() if isinstance(named, Mapping) else ():
            yield from _child(f"{key}/{name.replace('~', '~0').replace('/', '~1')}", child)
    for key in _LISTED_CHILDREN:
        listed = schema.get(key)
        for number, child in enumerate(listed) if isinstance(listed, list) else ():
            yield from _child(f"{key}/{number}", child)
    for key in _SINGLE_CHILDREN:
        yield from _child(key, schema.get(key))


def _child(step: str, child: JsonValue) -> Iterator[tuple[str, JsonObject]]:
    if isinstance(child, Mapping):
        yield step, dict(child)


def _one_line(reason: str) -> str:
    line = " ".join(reason.split()).rstrip(".")
    return line if len(line) <= LONGEST_REASON else f"{line[:LONGEST_REASON]}..."


def _place(pointer: str) -> str:
    """A JSON pointer as a URI fragment; of a long one, its end."""
    return f"#{pointer}" if len(pointer) <= LONGEST_POINTER else f"#...{pointer[-LONGEST_POINTER:]}"
