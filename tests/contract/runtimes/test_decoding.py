"""The decoder on text cut at random: the same deltas, and no stop text, for every way of cutting."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st
from mlx_lm.generate import TextStateMachine

from mlxk.adapters.runtimes.decoding import Channels, TextDecoder, stop_machine
from mlxk.domain.generation import Delta, ReasoningDelta, TextDelta, ToolCallDelta

MACHINE = TextStateMachine(
    {
        "normal": [("<t>", "reasoning"), ("<c>", "tool")],
        "reasoning": [("</t>", "normal"), ("<c>", "tool")],
        "tool": [("</c>", "normal")],
    }
)
PIECES = st.lists(
    st.sampled_from(["a", "b", "ab", "é", "🎉", "\n", "<", "<t>", "</t>", "<c>", "</c>"]), max_size=20
)
STOPS = st.lists(st.text("ab🎉<\n", min_size=1, max_size=4), max_size=3)


def decode(pieces: list[str], stops: list[str]) -> list[Delta]:
    decoder = TextDecoder(Channels(MACHINE), stop_machine(stops))
    return [*itertools.chain.from_iterable(decoder.push(piece) for piece in pieces), *decoder.end()]


def joined(deltas: list[Delta]) -> list[tuple[str, str]]:
    """Runs of one kind, joined."""
    runs: list[tuple[str, str]] = []
    for delta in deltas:
        assert isinstance(delta, TextDelta | ReasoningDelta)
        assert delta.text
        kind = type(delta).__name__
        if runs and runs[-1][0] == kind:
            runs[-1] = (kind, runs[-1][1] + delta.text)
        else:
            runs.append((kind, delta.text))
    return runs


@settings(max_examples=300, deadline=None)
@given(pieces=PIECES, stops=STOPS, cuts=st.lists(st.integers(0, 60), max_size=10))
def test_cutting_does_not_matter(pieces: list[str], stops: list[str], cuts: list[int]) -> None:
    text = "".join(pieces)
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    chunks = [text[start:end] for start, end in itertools.pairwise(edges)]
    assert joined(decode(chunks, stops)) == joined(decode([text], stops))
    assert joined(decode(list(text), stops)) == joined(decode([text], stops))


@settings(max_examples=300, deadline=None)
@given(text=st.text("ab🎉 ", max_size=30), stops=STOPS)
def test_text_ends_before_the_first_stop_to_be_complete(text: str, stops: list[str]) -> None:
    shown = "".join(run for _, run in joined(decode(list(text), stops)))
    complete = [(text.index(stop) + len(stop), -len(stop)) for stop in stops if stop in text]
    end, length = min(complete, default=(len(text), 0))
    assert shown == text[: end + length]
    assert not any(stop in shown for stop in stops)


@settings(max_examples=100, deadline=None)
@given(text=st.text("ab🎉\n<", max_size=30))
def test_without_stops_nothing_is_lost(text: str) -> None:
    assert "".join(run for _, run in joined(decode(list(text), []))) == text


def test_layout_newlines_around_reasoning_are_dropped() -> None:
    assert joined(decode(list("<t>\n\nwhy\n\nnot\n</t>\n\nso\n"), [])) == [
        ("ReasoningDelta", "why\n\nnot"),
        ("TextDelta", "so\n"),
    ]


def read_call(text: str, tools: object) -> object:
    return {"name": text, "arguments": {}}


def test_a_call_that_is_never_closed_is_read_at_the_end() -> None:
    decoder = TextDecoder(Channels(MACHINE, parser=read_call))
    assert decoder.push("<c>f") == []
    (delta,) = decoder.end()
    assert isinstance(delta, ToolCallDelta)
    assert (delta.call.name, delta.call.arguments) == ("f", "{}")


def test_a_parser_may_give_a_list_and_ids_of_its_own() -> None:
    def read_calls(text: str, tools: object) -> object:
        return [{"name": text, "arguments": '{"a": "é"}', "id": "x"}] * 2

    decoder = TextDecoder(Channels(MACHINE, parser=read_calls))
    calls = [delta.call for delta in decoder.push("<c>f</c>") if isinstance(delta, ToolCallDelta)]
    assert calls[0].id == "x"
    assert calls[1].id != "x"
    assert {call.arguments for call in calls} == {'{"a": "é"}'}


def test_a_parser_that_fails_gives_text() -> None:
    def fail(text: str, tools: object) -> object:
        raise SyntaxError(text)

    decoder = TextDecoder(Channels(MACHINE, parser=fail))
    assert decoder.push("<c>oops</c>") == [TextDelta("oops")]
    assert not decoder.called_tools
