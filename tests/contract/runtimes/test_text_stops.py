"""Stop texts end the answer at once and never show, however they fall on tokens."""

import pytest

from mlxk.adapters.runtimes.text_engine import TextEngine
from mlxk.domain.generation import FinishReason, collect
from tests.contract.runtimes.asking import TOOLS, ask, chat

COUNT = "one two three four five six seven eight nine ten"


@pytest.mark.parametrize(
    ("stops", "text"),
    [
        (("four",), "one two three "),
        ((" four five",), "one two three"),
        (("ee fo",), "one two thr"),
        (("one",), ""),
        (("o",), ""),
        (("n",), "o"),
        (("ten",), COUNT.removesuffix("ten")),
        (("six", "three"), "one two "),
        (("three four", "two three"), "one "),
        (("hree f", "three four five"), "one two t"),
        (("two three five", "three four"), "one two "),
        (("never",), COUNT),
        (("tenth",), COUNT),
        ((COUNT + "!",), COUNT),
    ],
)
def test_stops(overfitted: TextEngine, stops: tuple[str, ...], text: str) -> None:
    deltas = list(overfitted.generate(chat("Count.", stop=stops)))
    answer = collect(deltas)
    assert answer.text == text
    assert answer.finish.reason is FinishReason.STOP
    assert not overfitted.active


def test_the_sequence_ends_with_the_stop_text(overfitted: TextEngine) -> None:
    whole = ask(overfitted, chat("Count.")).finish.usage.completion_tokens
    assert ask(overfitted, chat("Count.", stop=("three",))).finish.usage.completion_tokens < whole


@pytest.mark.parametrize(("stop", "text"), [("世界", "你好,"), ("🎉", "你好,世界!"), ("界!🎉 再", "你好,世")])
def test_stops_beyond_ascii(overfitted: TextEngine, stop: str, text: str) -> None:
    assert ask(overfitted, chat("Greet me in Chinese.", stop=(stop,))).text == text


def test_a_stop_in_the_reasoning_ends_all(overfitted: TextEngine) -> None:
    answer = ask(overfitted, chat("Say hello.", thinking=True, stop=("wants",)))
    assert (answer.reasoning, answer.text) == ("The user ", "")


def test_a_held_back_beginning_comes_out_at_the_limit(overfitted: TextEngine) -> None:
    limited = ask(overfitted, chat("Count.", max_tokens=3)).text
    assert ask(overfitted, chat("Count.", max_tokens=3, stop=(limited + " never",))).text == limited


def test_a_stop_inside_a_tool_call(overfitted: TextEngine) -> None:
    answer = ask(overfitted, chat("Weather in Paris?", tools=TOOLS, stop=("Paris",)))
    assert answer.tool_calls == ()
    assert "Paris" not in answer.text
    assert answer.finish.reason is FinishReason.STOP
