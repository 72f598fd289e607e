"""The arguments of tool calls: JSON that any client can read, whatever a model writes."""

import json

import pytest

from mlxk.adapters.runtimes.constraints import held_call
from mlxk.adapters.runtimes.decoding import Channels, TextDecoder
from mlxk.domain.generation import Delta, TextDelta, ToolCall, ToolCallDelta
from tests.contract.runtimes.test_decoding import MACHINE

DIGITS = "9" * 5000


def _decoded(text: str, *, held: bool) -> list[Delta]:
    parser = held_call if held else lambda found, _tools: json.loads(found)
    decoder = TextDecoder(Channels(MACHINE, "normal", parser))
    return [*decoder.push(f"<c>{text}</c>"), *decoder.end()]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_numbers_that_json_cannot_write_make_no_call_of_a_free_answer(number: str) -> None:
    text = f'{{"name": "f", "arguments": {{"a": {number}}}}}'
    assert _decoded(text, held=False) == [TextDelta(text)]


def test_half_a_surrogate_pair_stays_an_escape() -> None:
    (delta,) = _decoded('{"name": "f", "arguments": {"é": "\\ud800"}}', held=False)
    assert isinstance(delta, ToolCallDelta)
    assert json.loads(delta.call.arguments.encode()) == {"é": "\ud800"}


@pytest.mark.parametrize(
    "arguments",
    ['{"a": 1e999}', f'{{"a": {DIGITS}}}', '{"a": "\\ud800"}', '{"a": 1.10, "b": {"c": []}}', "{}"],
)
def test_a_call_held_to_its_schema_keeps_its_arguments_as_they_were_written(arguments: str) -> None:
    text = f'\n{{"name": "say \\"f\\"", "arguments": {arguments}}}'
    (delta,) = _decoded(text, held=True)
    assert isinstance(delta, ToolCallDelta)
    assert (delta.call.name, delta.call.arguments) == ('say "f"', arguments)


@pytest.mark.parametrize("length", range(1, 57))
def test_a_call_that_was_cut_off_is_none(length: int) -> None:
    whole = '{"name": "f", "arguments": {"a": {"b": {}}, "c": "}}"}}'
    cut = whole[:length]
    if cut == whole:
        assert held_call(whole, ()) == ToolCall("", "f", whole[27:-1])
    else:
        with pytest.raises(ValueError):
            held_call(cut, ())
