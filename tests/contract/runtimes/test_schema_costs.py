"""Schemas that would keep a model's other requests waiting for minutes are refused at once."""

from typing import Any

import pytest

from mlxk.adapters.runtimes.schema_costs import MOST_PROPERTIES, too_costly
from mlxk.domain.errors import InvalidInput
from mlxk.domain.generation import JsonFormat, ToolChoice, ToolDefinition
from tests.contract.runtimes.asking import chat
from tests.contract.runtimes.conftest import Load


def _wide(count: int) -> dict[str, Any]:
    return {"type": "object", "properties": {f"p{number}": {} for number in range(count)}}


def _multiples(key: str, *divisors: float) -> dict[str, Any]:
    return {key: [{"type": "number", "multipleOf": divisor} for divisor in divisors]}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "multipleOf": 999_999},
        {"type": "integer", "multipleOf": 10**300},
        {"type": "number", "multipleOf": 1e300},
        {"type": "number", "multipleOf": 99999.9},
        _multiples("allOf", 9973, 9967),
        _multiples("anyOf", 0.001, 999),
        _wide(MOST_PROPERTIES + 1),
    ],
)
def test_what_would_take_minutes_is_refused(load: Load, schema: dict[str, Any]) -> None:
    engine = load("qwen3", prompt_cache_bytes=0)
    nested: dict[str, Any] = {"type": "object", "properties": {"a": schema}}
    with pytest.raises(InvalidInput, match=r"multipleOf|properties") as caught:
        engine.prepare(chat("x", response_format=JsonFormat(nested)), default_limit=None)
    assert caught.value.param == "response_format"


def test_the_parameters_of_a_tool_are_looked_at_too(load: Load) -> None:
    engine = load("qwen3", prompt_cache_bytes=0)
    tool = ToolDefinition("f", "", {"type": "object", "properties": {"a": {"multipleOf": 999_999}}})
    with pytest.raises(InvalidInput, match="multipleOf") as caught:
        engine.prepare(chat("x", tools=(tool,), tool_choice=ToolChoice.REQUIRED), default_limit=None)
    assert caught.value.param == "tools"


@pytest.mark.parametrize(
    "schema",
    [
        {"multipleOf": 0.01},
        {"multipleOf": 1e-9},
        {"multipleOf": 99_999},
        {"multipleOf": True},
        {"properties": {"multipleOf": {"type": "integer", "multipleOf": 7}}},
        _multiples("anyOf", 0.01, 5, 100),
        _multiples("prefixItems", 9973, 9967),
        _wide(MOST_PROPERTIES),
    ],
)
def test_what_is_ordinary_is_not(schema: dict[str, Any]) -> None:
    assert too_costly(schema) is None
