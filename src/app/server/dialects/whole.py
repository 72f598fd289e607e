"""A finished answer as the few deltas it might have come in."""

from collections.abc import Sequence

from mlxk.domain.generation import Answer, Delta, ReasoningDelta, TextDelta, ToolCallDelta

__all__ = ["as_deltas"]


def as_deltas(answer: Answer) -> Sequence[Delta]:
    """Reasoning, text and calls, each in one piece, and the `Finish`."""
    deltas: list[Delta] = []
    if answer.reasoning:
        deltas.append(ReasoningDelta(answer.reasoning))
    deltas += answer.logprobs
    if answer.text:
        deltas.append(TextDelta(answer.text))
    deltas += [ToolCallDelta(index, call) for index, call in enumerate(answer.tool_calls)]
    return [*deltas, answer.finish]
