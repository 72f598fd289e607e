"""From requests to prompts: templates, their limits, and text that no template should see."""

import resource
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest

from mlxk.adapters.runtimes.prompts import PromptRenderer
from mlxk.adapters.runtimes.text_engine import TextEngine
from mlxk.domain.errors import InvalidInput
from mlxk.domain.generation import (
    GenerationRequest,
    LogprobDelta,
    Message,
    Role,
    ToolCall,
    ToolDefinition,
    collect,
)
from mlxk.domain.tokens import CHARACTERS_PER_TOKEN
from tests.contract.runtimes.asking import GREEDY, ask, chat, raw
from tests.contract.runtimes.conftest import FAMILIES, Load


def prompt(engine: TextEngine, *messages: Message, **settings: object) -> str:
    assert engine._loaded is not None
    request = GenerationRequest(messages, GREEDY, **settings)  # type: ignore[arg-type]
    return engine._loaded.tokenizer.decode(engine.prepare(request, default_limit=None).prompt.tokens)


def test_a_conversation_goes_through_the_template(overfitted: TextEngine) -> None:
    text = prompt(
        overfitted,
        Message(Role.SYSTEM, "s"),
        Message(Role.USER, "u"),
        Message(Role.ASSISTANT, "a"),
        Message(Role.USER, "v"),
    )
    assert text == (
        "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nu<|im_end|>\n<|im_start|>assistant\na<|im_end|>\n"
        "<|im_start|>user\nv<|im_end|>\n<|im_start|>assistant\n"
    )


def test_thinking_is_asked_of_the_template(overfitted: TextEngine) -> None:
    assert prompt(overfitted, Message(Role.USER, "u"), thinking=False).endswith("<think>\n\n</think>\n\n")
    for thinking in (True, None):
        assert prompt(overfitted, Message(Role.USER, "u"), thinking=thinking).endswith("assistant\n")


def test_tool_calls_and_their_answers_in_the_history(overfitted: TextEngine) -> None:
    call = ToolCall("call_1", "get_weather", '{"city": "Paris"}')
    text = prompt(
        overfitted,
        Message(Role.USER, "u"),
        Message(Role.ASSISTANT, "", tool_calls=(call,)),
        Message(Role.TOOL, "sunny", tool_call_id="call_1"),
        tools=(ToolDefinition("get_weather", "", {"type": "object", "required": ("city",)}),),
    )
    assert '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>' in text
    assert "<tool_response>\nsunny\n</tool_response>" in text
    assert '{"type": "object", "required": ["city"]}' in text


def test_a_system_message_where_the_template_has_no_such_role(load: Load) -> None:
    text = prompt(load("gemma"), Message(Role.SYSTEM, "Be kind."), Message(Role.USER, "hi"))
    assert text == "<bos><start_of_turn>user\nBe kind.\n\nhi<end_of_turn>\n<start_of_turn>model\n"


def test_a_system_message_alone_where_the_template_has_no_such_role(load: Load) -> None:
    assert "user\nBe kind.<end_of_turn>" in prompt(load("gemma"), Message(Role.SYSTEM, "Be kind."))


def test_a_conversation_the_template_refuses(load: Load) -> None:
    request = GenerationRequest((Message(Role.USER, "a"), Message(Role.USER, "b")), GREEDY)
    with pytest.raises(InvalidInput, match="must alternate"):
        load("gemma").generate(request)


def test_without_a_template_contents_are_joined(load: Load) -> None:
    engine = load("no-template")
    assert not engine.has_chat_template
    assert prompt(engine, Message(Role.SYSTEM, "one"), Message(Role.USER, "two")) == "one\n\ntwo"
    assert ask(engine, chat("one", max_tokens=3)).finish.usage.completion_tokens <= 3


def test_raw_text_begins_with_one_beginning_token(load: Load) -> None:
    engine = load("phi3")
    plain, marked = engine.count_prompt_tokens(raw("one")), engine.count_prompt_tokens(raw("<s>one"))
    assert marked - plain in (0, 1)


def test_a_stop_text_with_a_lone_surrogate_is_named(overfitted: TextEngine) -> None:
    with pytest.raises(InvalidInput, match="A stop text is not valid Unicode"):
        overfitted.prepare(chat("hi", stop=("\udcff",)), default_limit=None)


@pytest.mark.parametrize("text", ["\ud800", "a\udcff b"])
def test_lone_surrogates_are_refused(overfitted: TextEngine, text: str) -> None:
    for request in (raw(text), chat(text), chat("x", stop=(text,))):
        with pytest.raises(InvalidInput, match="surrogate"):
            overfitted.generate(request)


ODD = [
    "\0",
    "\0\x01\x1b[31m\x7f",
    "<|im_end|>",
    "<|im_start|>assistant\n<think>",
    "</think></tool_call>",
    "\u202e🏳️‍🌈\ufeff",
    " ",
    "{{ x }}",
]


@pytest.mark.parametrize("family", [*FAMILIES, "overfitted"])
def test_odd_text_breaks_nothing(load: Load, family: str) -> None:
    engine = load(family)
    for text in ODD:
        assert ask(engine, chat(text, max_tokens=2)).finish.usage.completion_tokens <= 2
        assert ask(engine, raw(text, max_tokens=2)).finish.usage.completion_tokens <= 2


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@pytest.mark.parametrize("ask_for", [chat, raw], ids=["chat", "raw"])
def test_what_is_far_too_long_is_not_encoded_to_say_so(
    overfitted: TextEngine, ask_for: Callable[[str], GenerationRequest]
) -> None:
    text = "The quick brown fox, line of a log 12345.\n" * 500_000
    before = _peak_bytes()
    with pytest.raises(InvalidInput, match=r"more than [0-9]+ tokens .* 512 tokens"):
        overfitted.prepare(ask_for(text), default_limit=None)
    assert _peak_bytes() - before < 30 * len(text)  # encoded whole it takes 200 times its size


def test_a_long_text_of_few_tokens_is_a_prompt(overfitted: TextEngine) -> None:
    assert overfitted._loaded is not None
    renderer = PromptRenderer(overfitted._loaded.tokenizer, "qwen3", context_length=20_000)
    text = "<|im_start|>" * 10_000
    assert len(text) > 20_000 * CHARACTERS_PER_TOKEN
    assert len(renderer.render(raw(text)).tokens) == 10_000


@pytest.mark.parametrize("family", FAMILIES)
def test_what_follows_raw_text_begins_as_its_first_token_does(load: Load, family: str) -> None:
    engine = load(family)
    for text in ("one", "one two three", "one two ", "Greet: 你"):
        for biased in range(60, 100, 5):
            request = raw(
                text, max_tokens=3, top_logprobs=0, sampling=replace(GREEDY, logit_bias={biased: 100})
            )
            deltas = list(engine.generate(request))
            named = "".join(delta.token.text for delta in deltas if isinstance(delta, LogprobDelta))
            assert "\ufffd" in named or collect(deltas).text == named
