"""Which answers are held to a grammar, and how their text is divided then."""

import json
import re
from collections.abc import Sequence

from mlx_lm.generate import TextStateMachine
from mlx_lm.tool_parsers import json_tools

from mlxk.adapters.runtimes.decoding import REASONING, TEXT, TOOL, Channels
from mlxk.adapters.runtimes.grammar_text import AnswerShape, CallShape, Marker, Thought
from mlxk.adapters.runtimes.grammars import Grammar, Grammars
from mlxk.adapters.runtimes.prompts import RenderedPrompt, plain_json
from mlxk.adapters.runtimes.tokenizer import ChatEntry, Tokenizer
from mlxk.domain.errors import ErrorKind, InvalidInput, MlxkError
from mlxk.domain.generation import GenerationRequest, NamedTool, ToolCall, ToolChoice, ToolDefinition
from mlxk.domain.model import JsonObject

__all__ = ["Constraints", "held_call", "is_forced_call"]

JSON_OPENS = '{["-0123456789tfn'
"""What a JSON text begins with; no marker of a model that can be constrained does."""

ANY_OBJECT: JsonObject = {"type": "object"}

_HELD_CALL = re.compile(
    r'\s*\{"name": (?P<name>"(?:[^"\\]|\\.)*"), "arguments": (?P<arguments>\{.*\})\}\s*', re.DOTALL
)
"""A call as its grammar lays it out."""


def is_forced_call(request: GenerationRequest) -> bool:
    """Whether the answer must be a tool call."""
    return isinstance(request.tool_choice, NamedTool) or request.tool_choice is ToolChoice.REQUIRED


def held_call(text: str, _tools: Sequence[ChatEntry]) -> ToolCall:
    """A call that a grammar held to its schema, with its arguments as they were written.

    Written anew they might not be what was checked: 1e999 becomes no JSON, and integers of thousands of
    digits cannot be read by Python at all.

    Raises:
        ValueError: it was cut off.
    """
    found = _HELD_CALL.fullmatch(text)
    if found is None:
        raise ValueError("a tool call that is not whole")
    json.loads(found["arguments"], parse_int=str)
    return ToolCall("", json.loads(found["name"]), found["arguments"])


class Constraints:
    """The grammars of one model's answers.

    Args:
        tokenizer: its `eos_token_ids` are all end tokens of the model.
        family: the config's `model_type`, for error messages.
        vocabulary: columns of the model's logits.
    """

    def __init__(self, tokenizer: Tokenizer, family: str, vocabulary: int) -> None:
        self._tokenizer = tokenizer
        self._family = family
        self._grammars = Grammars(tokenizer, family, vocabulary)

    def of(self, request: GenerationRequest, prompt: RenderedPrompt) -> tuple[Grammar, Channels] | None:
        """The grammar of a request's answer and how to divide it; None when the answer is free.

        With a response format and tools, the answer is JSON of the format or tool calls.

        Raises:
            InvalidInput: a schema cannot be used, or stop texts would cut the JSON or the call.
            MlxkError: (`NOT_IMPLEMENTED`) this model's answers or calls are not written in a form that
                can be held to a schema; (`DEPENDENCY_MISSING`) llguidance is not installed.
        """
        forced = is_forced_call(request)
        if request.response_format is None and not forced:
            return None
        self._check_form(request, has_calls=bool(prompt.tools))
        if request.stop:
            held = "a forced tool call" if forced else "a JSON answer"
            way = "let the model choose its tools" if forced else "leave out the response format"
            raise InvalidInput(
                f"Stop texts could cut {held}, so the two cannot be combined.",
                hint=f"leave out stop, or {way}",
                param="stop",
            )
        calls = self._calls(request) if prompt.tools else None
        schema = None if forced else _schema(request)
        shape = AnswerShape(schema, calls, _thought(request, prompt, self._tokenizer), self._think())
        channels = Channels(
            self._machine(has_calls=calls is not None),
            prompt.initial,
            held_call if calls else None,
            prompt.tools,
            max_calls=None if calls is None or calls.many else 1,
            answer_opens=JSON_OPENS,
        )
        return self._grammars.compile(shape), channels

    def _check_form(self, request: GenerationRequest, *, has_calls: bool) -> None:
        tokenizer = self._tokenizer
        if tokenizer.response_transitions or tokenizer.response_initial_state or tokenizer.structural_markers:
            raise MlxkError(
                ErrorKind.NOT_IMPLEMENTED,
                f"The answers of this model ({self._family}) are more than plain text, "
                "and cannot be held to a schema.",
                hint="leave out the response format, and let the model choose its tools",
            )
        if has_calls and tokenizer.tool_parser is not json_tools.parse_tool_call:
            raise MlxkError(
                ErrorKind.NOT_IMPLEMENTED,
                f"This model ({self._family}) does not write tool calls as JSON, so none can be forced, "
                "and tools cannot be combined with a response format.",
                hint='use the tool choice "auto" or "none"',
                param="response_format" if request.response_format else "tool_choice",
            )

    def _calls(self, request: GenerationRequest) -> CallShape:
        start, end = self._tokenizer.tool_call_start, self._tokenizer.tool_call_end
        assert start is not None
        assert end is not None
        return CallShape(
            self._grammars.marker(start),
            self._grammars.marker(end),
            [(tool.name, _arguments_schema(tool)) for tool in _callable(request)],
            many=request.parallel_tool_calls and not isinstance(request.tool_choice, NamedTool),
        )

    def _think(self) -> tuple[Marker, Marker] | None:
        start, end = self._tokenizer.think_start, self._tokenizer.think_end
        return (self._grammars.marker(start), self._grammars.marker(end)) if start and end else None

    def _machine(self, *, has_calls: bool) -> TextStateMachine:
        tokenizer = self._tokenizer
        transitions: dict[str, list[tuple[str | None, str]]] = {TEXT: []}
        if tokenizer.has_thinking:
            transitions[TEXT].append((tokenizer.think_start, REASONING))
            transitions[REASONING] = [(tokenizer.think_end, TEXT)]
        if has_calls:
            transitions[TEXT].append((tokenizer.tool_call_start, TOOL))
            # The grammar puts it on a line of its own; a JSON string can hold the marker, but no line feed.
            transitions[TOOL] = [(f"\n{tokenizer.tool_call_end}", TEXT)]
        return TextStateMachine(transitions)


def _schema(request: GenerationRequest) -> JsonObject:
    wanted = request.response_format.schema if request.response_format else None
    if wanted is None:
        return ANY_OBJECT
    plain = plain_json(wanted)
    assert isinstance(plain, dict)
    return plain


def _callable(request: GenerationRequest) -> Sequence[ToolDefinition]:
    choice = request.tool_choice
    named = choice.name if isinstance(choice, NamedTool) else None
    return [tool for tool in request.tools if named is None or tool.name == named]


def _arguments_schema(tool: ToolDefinition) -> JsonObject:
    """The schema of a tool's arguments, which are an object whatever it says."""
    plain = plain_json(tool.parameters)
    assert isinstance(plain, dict)
    if "type" in plain and plain["type"] != "object":
        raise InvalidInput(
            f"The parameters of tool '{tool.name}' must be of type object, not {plain['type']!r}.",
            param="tools",
        )
    return {"type": "object", **plain}


def _thought(request: GenerationRequest, prompt: RenderedPrompt, tokenizer: Tokenizer) -> Thought:
    if not tokenizer.has_thinking:
        return Thought.NONE
    if prompt.initial == REASONING:
        return Thought.OPENED
    return Thought.NONE if request.thinking is False else Thought.OPTIONAL
