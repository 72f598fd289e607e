"""From a request to prompt tokens: the model's chat template, or plain text where there is none.

Text that looks like a special token (`<|im_end|>`) is read as that token, in messages as in raw prompts:
mlx-lm and transformers do the same, and models are prompted by hand that way. It can end a turn early; it
cannot break anything.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mlxk.adapters.runtimes.decoding import REASONING, TEXT
from mlxk.adapters.runtimes.end_tokens import TEMPLATE_ERRORS
from mlxk.adapters.runtimes.tokenizer import ChatEntry, Tokenizer
from mlxk.domain.errors import ErrorKind, InvalidInput, MlxkError
from mlxk.domain.generation import (
    GenerationRequest,
    Message,
    Prompt,
    Role,
    ToolCall,
    ToolChoice,
    ToolDefinition,
)
from mlxk.domain.model import JsonValue
from mlxk.domain.tokens import CHARACTERS_PER_TOKEN, effective_context, refuse_longer_prompt

__all__ = ["PromptRenderer", "RenderedPrompt", "plain_json"]

PROBE = "probe"

OWN_SETTINGS = frozenset(
    {
        "add_generation_prompt",
        "chat_template",
        "continue_final_message",
        "conversation",
        "documents",
        "max_length",
        "messages",
        "padding",
        "processor_kwargs",
        "return_assistant_tokens_mask",
        "return_dict",
        "return_tensors",
        "sanitize_control_tokens",
        "tokenize",
        "tokenizer_kwargs",
        "tools",
        "truncation",
    }
)
"""Parameters of `apply_chat_template`, which are no variables of a template."""

LONGEST_MARKER = 32
"""Tokens at the end of a prompt among which an opened reasoning marker is looked for."""

PIECE = 65_536
"""Characters encoded at once of a prompt that is probably over the context."""

SEAM = 64
"""Tokens by which a piece may have more than its part of the whole, as it was cut out of it."""


@dataclass(frozen=True, slots=True)
class RenderedPrompt:
    """A prompt as the model reads it.

    Attributes:
        tokens: never empty.
        initial: the channel the answer begins in; `reasoning` when the prompt ends with its marker.
        tools: the tools, as the template got them.
    """

    tokens: list[int]
    initial: str
    tools: tuple[ChatEntry, ...] = ()


class PromptRenderer:
    """Renders the requests of one model.

    Args:
        tokenizer: its tokenizer.
        family: its `model_type`, for error messages.
        context_length: tokens, or None when the config does not say.
    """

    def __init__(self, tokenizer: Tokenizer, family: str, context_length: int | None) -> None:
        self._tokenizer = tokenizer
        self._family = family
        self._context_length = context_length
        self._takes_system: bool | None = None

    def render(self, request: GenerationRequest) -> RenderedPrompt:
        """The prompt of a request.

        Messages go through the chat template. A model without one gets their contents joined by blank
        lines. Where the template knows no system role, the system text opens the first user message.

        Raises:
            InvalidInput: the template refuses the conversation, the text cannot be encoded, or is so long
                that it is not even counted.
            MlxkError: (`NOT_IMPLEMENTED`) tools for a model that cannot call any.
        """
        offered = () if request.tool_choice is ToolChoice.NONE else request.tools
        if offered and not self._tokenizer.has_tool_calling:
            raise MlxkError(
                ErrorKind.NOT_IMPLEMENTED,
                f"This model ({self._family}) has no tool calling that mlx-lm supports.",
                hint="use a model whose chat template has tools",
                param="tools",
            )
        _check_encodable(request)
        tools = tuple(_tool_entry(tool) for tool in offered)
        tokens = self._tokens(request, tools)
        if not tokens:
            raise InvalidInput("The prompt has no tokens.")
        if not self._opens_reasoning(tokens):
            initial = self._tokenizer.response_initial_state or TEXT
        elif request.thinking is False:
            # A template that thinks whatever it is asked: what it opened is closed at once.
            end = f"\n\n{self._tokenizer.think_end}\n\n"
            tokens, initial = [*tokens, *self._tokenizer.encode(end, add_special_tokens=False)], TEXT
        else:
            initial = REASONING
        return RenderedPrompt(tokens, initial, tools)

    def _tokens(self, request: GenerationRequest, tools: tuple[ChatEntry, ...]) -> list[int]:
        if isinstance(request.prompt, Prompt):
            return self._encoded(request.prompt.text)
        if not self._tokenizer.has_chat_template:
            return self._encoded("\n\n".join(message.content for message in request.prompt))
        messages: Sequence[Message] = request.prompt
        has_system = any(message.role is Role.SYSTEM for message in messages)
        if has_system and not self._system_role_works():
            messages = _with_system_in_user(messages)
        return self._templated(messages, _template_settings(request, tools))

    def _encoded(self, text: str) -> list[int]:
        """Raw text to tokens, with the beginning-of-text token unless the text has it (as mlx-lm does)."""
        self._refuse_longer(text)
        bos = self._tokenizer.bos_token
        return list(self._tokenizer.encode(text, add_special_tokens=bos is None or not text.startswith(bos)))

    def _templated(self, messages: Sequence[Message], settings: dict[str, Any]) -> list[int]:
        from jinja2 import TemplateError

        entries = _entries(messages)
        try:
            if self._may_be_longer(len(json.dumps([entries, settings], ensure_ascii=False))):
                rendered = self._tokenizer.apply_chat_template(entries, tokenize=False, **settings)
                assert isinstance(rendered, str)
                self._refuse_longer(rendered)
            tokens = self._tokenizer.apply_chat_template(entries, add_generation_prompt=True, **settings)
        except (TemplateError, *TEMPLATE_ERRORS) as error:
            reason = str(error).strip().rstrip(".") or type(error).__name__
            raise InvalidInput(f"The model's chat template refuses this conversation: {reason}.") from error
        assert isinstance(tokens, list)
        return tokens

    def _may_be_longer(self, characters: int) -> bool:
        return characters > max(PIECE, effective_context(self._context_length) * CHARACTERS_PER_TOKEN)

    def _refuse_longer(self, text: str) -> None:
        """Count a long text in pieces until it is over the context.

        Encoding it whole takes two hundred times its size in memory, only to find that it is too long.
        """
        if not self._may_be_longer(len(text)):
            return
        least = 0
        for start in range(0, len(text), PIECE):
            piece = self._tokenizer.encode(text[start : start + PIECE], add_special_tokens=False)
            least += max(0, len(piece) - SEAM)
            refuse_longer_prompt(least, self._context_length)

    def _system_role_works(self) -> bool:
        """Whether the template renders a system message; some raise, some leave it out."""
        from jinja2 import TemplateError

        if self._takes_system is None:
            messages = [Message(Role.SYSTEM, PROBE), Message(Role.USER, "x")]
            try:
                rendered = self._tokenizer.apply_chat_template(_entries(messages), tokenize=False)
                self._takes_system = not isinstance(rendered, str) or PROBE in rendered
            except (TemplateError, *TEMPLATE_ERRORS):
                self._takes_system = False
        return self._takes_system

    def _opens_reasoning(self, tokens: Sequence[int]) -> bool:
        """Whether the prompt ends with the marker that opens reasoning.

        Only its end counts: a user may well write about `<think>`.
        """
        if not self._tokenizer.has_thinking or not self._tokenizer.think_start:
            return False
        return self._tokenizer.decode(tokens[-LONGEST_MARKER:]).rstrip().endswith(self._tokenizer.think_start)


def _template_settings(request: GenerationRequest, tools: Sequence[ChatEntry]) -> dict[str, Any]:
    """What the template is told besides the messages.

    Raises:
        InvalidInput: the request sets what is not for it to set.
    """
    settings: dict[str, Any] = {}
    for name, value in request.template_settings.items():
        if name in OWN_SETTINGS:
            raise InvalidInput(
                f"The chat template's setting '{name}' is not for a request to set.",
                param="chat_template_kwargs",
            )
        settings[name] = plain_json(value)
    if tools:
        settings["tools"] = list(tools)
    if request.thinking is not None:
        settings["enable_thinking"] = request.thinking
    return settings


def _with_system_in_user(messages: Sequence[Message]) -> list[Message]:
    """The same conversation without system messages, their text at the head of the first user message."""
    system = "\n\n".join(message.content for message in messages if message.role is Role.SYSTEM)
    others = [message for message in messages if message.role is not Role.SYSTEM]
    for index, message in enumerate(others):
        if message.role is Role.USER:
            others[index] = replace(message, content=f"{system}\n\n{message.content}")
            return others
    return [Message(Role.USER, system), *others]


def _entries(messages: Sequence[Message]) -> list[dict[str, JsonValue]]:
    names = {call.id: call.name for message in messages for call in message.tool_calls}
    return [_message_entry(message, names) for message in messages]


def _message_entry(message: Message, call_names: Mapping[str, str]) -> dict[str, JsonValue]:
    entry: dict[str, JsonValue] = {"role": message.role.value, "content": message.content}
    if message.tool_calls:
        entry["tool_calls"] = [_call_entry(call) for call in message.tool_calls]
    if message.tool_call_id is not None:
        entry["tool_call_id"] = message.tool_call_id
        if message.tool_call_id in call_names:
            entry["name"] = call_names[message.tool_call_id]
    return entry


def _call_entry(call: ToolCall) -> dict[str, JsonValue]:
    try:
        arguments: JsonValue = json.loads(call.arguments) if call.arguments else {}
    except ValueError:
        arguments = call.arguments
    return {"type": "function", "id": call.id, "function": {"name": call.name, "arguments": arguments}}


def _tool_entry(tool: ToolDefinition) -> dict[str, JsonValue]:
    function = {"name": tool.name, "description": tool.description, "parameters": plain_json(tool.parameters)}
    return {"type": "function", "function": function}


def plain_json(value: JsonValue) -> JsonValue:
    """The same JSON in plain dicts and lists, which templates' `tojson` can write."""
    if isinstance(value, Mapping):
        return {key: plain_json(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain_json(item) for item in value]
    return value


def _check_encodable(request: GenerationRequest) -> None:
    """Refuse text that is not Unicode text: lone surrogates, as bad input bytes become in Python."""
    texts = [request.prompt.text] if isinstance(request.prompt, Prompt) else _texts(request.prompt)
    values = [*(_tool_entry(tool) for tool in request.tools), plain_json(request.template_settings)]
    written = [json.dumps(value, ensure_ascii=False) for value in values]
    for what, found in (("The prompt", (*texts, *written)), ("A stop text", request.stop)):
        if not all(map(_is_unicode, found)):
            raise InvalidInput(
                f"{what} is not valid Unicode text: it has a lone surrogate.", hint="give the text as UTF-8"
            )


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _texts(messages: Sequence[Message]) -> list[str]:
    calls = [call for message in messages for call in message.tool_calls]
    called = [text for call in calls for text in (call.id, call.name, call.arguments)]
    return [*(message.content for message in messages), *called]
