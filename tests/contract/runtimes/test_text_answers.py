"""What comes out: text, reasoning and tool calls, word for word, on models that know their answers."""

import json

import pytest

from mlxk.adapters.runtimes.text_engine import TextEngine
from mlxk.domain.errors import ErrorKind, MlxkError
from mlxk.domain.generation import (
    Finish,
    FinishReason,
    ReasoningDelta,
    Sampling,
    TextDelta,
    ToolCallDelta,
    collect,
)
from tests.contract.runtimes.asking import TOOLS, ask, chat, raw, run_all, submit
from tests.contract.runtimes.conftest import FAMILIES, Load

PLAIN = {
    "Say hello.": "Hello, world!",
    "Greet me in Chinese.": "你好,世界!🎉 再见。",
    "Show me a family.": "A family: 👨‍👩‍👧‍👦 and a flag 🇫🇷.",
    "Count.": "one two three four five six seven eight nine ten",
}


@pytest.mark.parametrize(("question", "answer"), PLAIN.items())
def test_text(overfitted: TextEngine, question: str, answer: str) -> None:
    deltas = list(overfitted.generate(chat(question)))
    assert collect(deltas).text == answer
    assert all(isinstance(delta, TextDelta) and delta.text for delta in deltas[:-1])
    assert not any("\ufffd" in delta.text for delta in deltas[:-1] if isinstance(delta, TextDelta))
    assert len(deltas) > 3


def test_reasoning_then_text(overfitted: TextEngine) -> None:
    deltas = list(overfitted.generate(chat("Say hello.", thinking=True)))
    answer = collect(deltas)
    assert answer.reasoning == "The user wants a greeting."
    assert answer.text == "Hello, world!"
    kinds = [type(delta) for delta in deltas]
    assert kinds == sorted(kinds, key=[ReasoningDelta, TextDelta, Finish].index)
    assert answer.finish.reason is FinishReason.STOP
    usage = answer.finish.usage
    assert len(answer.reasoning.split()) <= usage.reasoning_tokens < usage.completion_tokens
    at_once = collect(list(overfitted.generate(chat("Say hello.", thinking=False))))
    assert at_once.finish.usage.reasoning_tokens == 0


def test_a_template_that_opens_reasoning_itself(load: Load) -> None:
    answer = ask(load("opens-thinking"), chat("Say hello.", thinking=True))
    assert (answer.reasoning, answer.text) == ("The user wants a greeting.", "Hello, world!")


def test_no_thinking_closes_what_such_a_template_opened(load: Load) -> None:
    engine = load("opens-thinking")
    deltas = list(engine.generate(chat("Say hello.", thinking=False, max_tokens=8)))
    assert not any(isinstance(delta, ReasoningDelta) for delta in deltas)


def test_a_user_who_writes_the_marker_opens_nothing(overfitted: TextEngine) -> None:
    deltas = list(overfitted.generate(chat("What does <think> do?", max_tokens=4)))
    assert not any(isinstance(delta, ReasoningDelta) for delta in deltas)


def test_a_tool_call(overfitted: TextEngine) -> None:
    answer = ask(overfitted, chat("Weather in Paris?", tools=TOOLS))
    assert answer.text == ""
    assert [call.name for call in answer.tool_calls] == ["get_weather"]
    assert json.loads(answer.tool_calls[0].arguments) == {"city": "Paris"}
    assert answer.finish.reason is FinishReason.TOOL_CALLS


def test_reasoning_then_a_tool_call(overfitted: TextEngine) -> None:
    answer = ask(overfitted, chat("Weather in Paris?", tools=TOOLS, thinking=True))
    assert (answer.reasoning, answer.text, len(answer.tool_calls)) == ("I need the tool.", "", 1)


def test_two_tool_calls_have_their_own_ids_and_indexes(overfitted: TextEngine) -> None:
    deltas = list(overfitted.generate(chat("Weather in Paris and Rome?", tools=TOOLS)))
    calls = [delta for delta in deltas if isinstance(delta, ToolCallDelta)]
    assert [delta.index for delta in calls] == [0, 1]
    assert [json.loads(delta.call.arguments)["city"] for delta in calls] == ["Paris", "Rome"]
    assert len({delta.call.id for delta in calls}) == 2
    assert all(delta.call.id.startswith("call_") for delta in calls)
    assert collect(deltas).text == ""


def test_a_tool_call_that_cannot_be_read_is_text(overfitted: TextEngine) -> None:
    answer = ask(overfitted, chat("Break the tool.", tools=TOOLS))
    assert (answer.text, answer.tool_calls) == ("not json", ())
    assert answer.finish.reason is FinishReason.STOP


def test_a_tool_call_cut_by_the_limit_is_text(overfitted: TextEngine) -> None:
    answer = ask(overfitted, chat("Weather in Paris?", tools=TOOLS, max_tokens=8))
    assert answer.text.startswith('{"name": "get_')
    assert (answer.tool_calls, answer.finish.reason) == ((), FinishReason.LENGTH)


def test_tools_for_a_model_without_them_are_refused(load: Load) -> None:
    with pytest.raises(MlxkError, match="llama") as caught:
        load("llama").generate(chat("Weather?", tools=TOOLS))
    assert caught.value.kind is ErrorKind.NOT_IMPLEMENTED


def test_usage_counts_the_end_token(overfitted: TextEngine) -> None:
    request = chat("Say hello.")
    usage = ask(overfitted, request).finish.usage
    tokenizer = overfitted._loaded.tokenizer  # type: ignore[union-attr]
    assert usage.prompt_tokens == overfitted.count_prompt_tokens(request)
    assert usage.completion_tokens == len(tokenizer.encode("Hello, world!")) + 1


@pytest.mark.parametrize("family", FAMILIES)
def test_streamed_equals_collected_in_every_family(load: Load, family: str) -> None:
    request = chat("Say hello.", thinking=None, sampling=Sampling(seed=7), max_tokens=40)
    streamed = load(family).generate(request)
    engine = load(family)
    submit(engine, request)
    (whole,) = run_all(engine).values()
    answer = collect(list(streamed))
    assert answer.text == collect(whole).text
    assert answer.reasoning == collect(whole).reasoning
    assert answer.finish == collect(whole).finish
    assert answer.finish.usage.completion_tokens > 0


@pytest.mark.parametrize("family", FAMILIES)
def test_text_is_mlx_lms_own(load: Load, family: str) -> None:
    """Greedy tokens are those of `mlx_lm.stream_generate`, and so is the text."""
    from mlx_lm import stream_generate

    engine = load(family)
    loaded = engine._loaded
    assert loaded is not None
    plain = "".join(
        part.text for part in stream_generate(loaded.model, loaded.tokenizer, "one two", max_tokens=12)
    )
    # But for a space at its beginning, which mlx-lm drops: the answer goes on from the prompt.
    assert ask(engine, raw("one two", max_tokens=12)).text.removeprefix(" ") == plain.rstrip("\ufffd")


def test_the_limit_never_cuts_a_character(overfitted: TextEngine) -> None:
    whole = PLAIN["Greet me in Chinese."]
    seen = set()
    for limit in range(1, 28):
        answer = ask(overfitted, chat("Greet me in Chinese.", max_tokens=limit))
        assert whole.startswith(answer.text)
        assert answer.finish.reason is FinishReason.LENGTH
        assert answer.finish.usage.completion_tokens == limit
        seen.add(answer.text)
    assert len(seen) < 27, "no limit fell inside a character"


@pytest.mark.parametrize("family", ["gemma", "phi3"])
def test_the_limit_never_cuts_a_character_spelt_in_bytes(load: Load, family: str) -> None:
    from mlxk.adapters.runtimes.decoding import TokenText

    loaded = load(family)._loaded
    assert loaded is not None
    tokens = loaded.tokenizer.encode("x 🎉", add_special_tokens=False)
    for end in range(len(tokens) + 1):
        text = TokenText(loaded.tokenizer.detokenizer, len(loaded.tokenizer))
        shown = "".join(text.add(token) for token in tokens[:end]) + text.end()
        assert "x 🎉".startswith(shown.removeprefix(" "))
        assert "\ufffd" not in shown


def test_generation_config_lists_more_end_tokens(load: Load) -> None:
    loaded = load("llama")._loaded
    assert loaded is not None
    ids = loaded.tokenizer.encode("<|end_of_text|><|eot_id|>", add_special_tokens=False)
    assert set(ids) <= set(loaded.tokenizer.eos_token_ids)


@pytest.mark.parametrize(("family", "end"), [("gemma", "<end_of_turn>"), ("phi3", "<|end|>")])
def test_the_end_of_turn_comes_from_the_template(load: Load, family: str, end: str) -> None:
    loaded = load(family)._loaded
    assert loaded is not None
    (token,) = loaded.tokenizer.encode(end, add_special_tokens=False)
    assert token in loaded.tokenizer.eos_token_ids
    assert len(loaded.tokenizer.eos_token_ids) == 2


def test_a_model_whose_files_forget_its_end_token_still_stops(load: Load) -> None:
    answer = ask(load("forgets-end"), chat("Say hello."))
    assert (answer.text, answer.finish.reason) == ("Hello, world!", FinishReason.STOP)
