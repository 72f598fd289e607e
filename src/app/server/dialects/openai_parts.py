"""Pieces that OpenAI's chat and text completions share in their answers."""

from collections.abc import Sequence

import msgspec

from mlxk.app.server.errors import ErrorBody
from mlxk.domain.generation import Finish, FinishReason, Usage
from mlxk.domain.model import JsonValue

__all__ = ["DONE", "LEAST_LOGPROB", "encode", "error_event", "finish_reason", "usage_of"]

encode = msgspec.json.Encoder().encode
"""JSON as bytes."""

DONE = b"data: [DONE]\n\n"
"""The last event of a stream."""

LEAST_LOGPROB = -9999.0
"""OpenAI's number for "never"; JSON has no infinity."""

_FINISH_REASONS = {
    FinishReason.STOP: "stop",
    FinishReason.LENGTH: "length",
    FinishReason.TOOL_CALLS: "tool_calls",
    FinishReason.CANCELLED: "stop",
}


def finish_reason(finish: Finish) -> str:
    """OpenAI's name for why a choice ended."""
    return _FINISH_REASONS[finish.reason]


def usage_of(prompt_tokens: int, usages: Sequence[Usage], choices: int) -> dict[str, JsonValue]:
    """Token counts of all choices; a prompt counts once, however many choices it has.

    Args:
        prompt_tokens: of all prompts.
        usages: of every choice, those of a prompt next to each other.
        choices: how many each prompt has.
    """
    completion = sum(usage.completion_tokens for usage in usages)
    prompts = [usages[start : start + choices] for start in range(0, len(usages), choices)]
    cached = sum(max(usage.cached_tokens for usage in prompt) for prompt in prompts)
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion,
        "total_tokens": prompt_tokens + completion,
        "prompt_tokens_details": {"cached_tokens": min(prompt_tokens, cached)},
        "completion_tokens_details": {"reasoning_tokens": sum(usage.reasoning_tokens for usage in usages)},
    }


def error_event(error: ErrorBody) -> bytes:
    """The event that OpenAI's clients raise as an error."""
    return b"event: error\ndata: " + encode(error) + b"\n\n"
