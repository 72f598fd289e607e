"""How clients say whether, and how hard, a model shall think."""

from collections.abc import Mapping

from pydantic import JsonValue

from mlxk.domain.errors import InvalidInput

__all__ = ["RESERVED_SETTINGS", "thinking_settings"]

RESERVED_SETTINGS = frozenset(
    {
        *("messages", "conversation", "tools", "documents", "chat_template", "add_generation_prompt"),
        *("continue_final_message", "tokenize", "padding", "truncation", "max_length", "return_tensors"),
        *("return_dict", "return_assistant_tokens_mask", "tokenizer_kwargs", "bos_token", "eos_token"),
    }
)
"""What the server itself tells a chat template."""

_SWITCH = "enable_thinking"
_ANSWER_AT_ONCE = ("none", "minimal")


def thinking_settings(
    effort: str | None, template_kwargs: Mapping[str, JsonValue] | None
) -> tuple[bool | None, Mapping[str, JsonValue]]:
    """Whether to think, and what else the chat template is told.

    An effort of `none` or `minimal` means no thinking; more means thinking, and is told to templates that
    know degrees (`reasoning_effort`, as gpt-oss has it). `enable_thinking` says it outright.

    Raises:
        InvalidInput: a setting is not a template's, or two settings contradict each other.
    """
    settings = dict(template_kwargs or {})
    for name in settings:
        if name in RESERVED_SETTINGS or not name.isidentifier() or name.startswith("_"):
            raise InvalidInput(
                f"'{name[:100]}' cannot be set for a chat template.", param="chat_template_kwargs"
            )
    switch = settings.pop(_SWITCH, None)
    if switch is not None and not isinstance(switch, bool):
        raise InvalidInput(f"{_SWITCH} is true or false.", param=f"chat_template_kwargs.{_SWITCH}")
    if effort is None:
        return switch, settings
    thinks = effort not in _ANSWER_AT_ONCE
    if switch is not None and switch != thinks:
        raise InvalidInput(
            f"A reasoning effort of '{effort}' contradicts {_SWITCH}.", param="reasoning_effort"
        )
    if thinks:
        settings.setdefault("reasoning_effort", effort)
    return thinks, settings
