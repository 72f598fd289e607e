"""How many tokens a generation may have."""

from enum import Enum

from mlxk.domain.errors import InvalidInput

__all__ = [
    "CHARACTERS_PER_TOKEN",
    "MULTIMODAL_LIMIT",
    "NO_MODEL_LIMIT",
    "UNKNOWN_CONTEXT",
    "Modality",
    "completion_limit",
    "default_limit_on_server",
    "default_limit_on_terminal",
    "effective_context",
    "refuse_longer_prompt",
]

UNKNOWN_CONTEXT = 4096
"""Tokens of context assumed when a model's config does not say."""

NO_MODEL_LIMIT = 2048
"""Default completion tokens when nothing is known of the model."""

MULTIMODAL_LIMIT = 2048
"""Default completion tokens for vision and audio."""


CHARACTERS_PER_TOKEN = 4
"""More than most texts have: one that is longer than this allows is probably over the context."""


class Modality(Enum):
    """What a request feeds the model."""

    TEXT = "text"
    VISION = "vision"
    AUDIO = "audio"


def effective_context(context_length: int | None) -> int:
    """The context in tokens to reckon with; 4,096 when the model's config does not say."""
    return context_length if context_length else UNKNOWN_CONTEXT


def default_limit_on_terminal(modality: Modality, context_length: int | None) -> int:
    """Default completion tokens of `mlxk run`: the whole context for text."""
    return effective_context(context_length) if modality is Modality.TEXT else MULTIMODAL_LIMIT


def default_limit_on_server(modality: Modality, context_length: int | None) -> int:
    """Default completion tokens of the server: half the context for text, half is left for history."""
    return max(1, effective_context(context_length) // 2) if modality is Modality.TEXT else MULTIMODAL_LIMIT


def completion_limit(
    prompt_tokens: int, context_length: int | None, *, requested: int | None, default: int | None = None
) -> int:
    """Tokens that may be generated: the explicit request, else the default, within what the context leaves.

    Args:
        prompt_tokens: tokens of the rendered prompt.
        context_length: tokens, or None when unknown (4,096 is assumed).
        requested: what the caller asked for; wins over `default`.
        default: a ceiling for requests that do not say; None means all the context leaves.

    Raises:
        InvalidInput: the prompt leaves no room for a single token; the message has both numbers.
    """
    context = effective_context(context_length)
    room = context - prompt_tokens
    if room < 1:
        raise _too_long(str(prompt_tokens), context_length)
    wanted = requested if requested is not None else default
    return room if wanted is None else min(wanted, room)


def refuse_longer_prompt(least_tokens: int, context_length: int | None) -> None:
    """Judge a prompt of which only a part is counted.

    Args:
        least_tokens: it has these and perhaps more.
        context_length: as in `completion_limit`.

    Raises:
        InvalidInput: that is more than the context already.
    """
    if least_tokens > effective_context(context_length):
        raise _too_long(f"more than {least_tokens}", context_length)


def _too_long(tokens: str, context_length: int | None) -> InvalidInput:
    context = effective_context(context_length)
    assumed = "" if context_length else " (assumed; the model's config does not say)"
    return InvalidInput(
        f"The prompt has {tokens} tokens and the model's context is {context} tokens{assumed}.",
        hint="shorten the prompt, or use a model with a longer context",
    )
