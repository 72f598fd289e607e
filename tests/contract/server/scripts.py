"""Answers that the in-memory service gives, and how to compare what clients make of them."""

from collections.abc import Collection, Sequence

from mlxk.app.server.work import Work
from mlxk.domain.generation import (
    Delta,
    Finish,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from tests.memory_service import PROMPT_TOKENS, Script, finish

CALLS = (ToolCall("call_1", "weather", '{"city":"Rome"}'), ToolCall("call_2", "weather", '{"city":"Bonn"}'))


def scripted(*deltas: Delta) -> Script:
    """One choice that comes in these deltas."""

    def script(_work: Work) -> Sequence[tuple[int, Delta]]:
        return [(0, delta) for delta in deltas]

    return script


SAYING = scripted(
    TextDelta("Hello"), TextDelta(" wörld\n\n"), TextDelta("🙂"), finish(completion=4, cached=5)
)
THINKING = scripted(
    ReasoningDelta("hm"),
    ReasoningDelta("m"),
    TextDelta("Yes."),
    Finish(FinishReason.STOP, Usage(PROMPT_TOKENS, 5, reasoning_tokens=2)),
)
CALLING = scripted(
    ReasoningDelta("hm"),
    TextDelta("Let me see."),
    ToolCallDelta(0, CALLS[0]),
    ToolCallDelta(1, CALLS[1]),
    finish(FinishReason.TOOL_CALLS),
)
NOTHING = scripted(finish())


def without(value: object, names: Collection[str]) -> object:
    """The same JSON without these names, wherever they are."""
    if isinstance(value, dict):
        return {name: without(item, names) for name, item in value.items() if name not in names}
    if isinstance(value, list):
        return [without(item, names) for item in value]
    return value
