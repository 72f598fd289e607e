"""Tool choice: when the model may, must not and must call, and how many times."""

import json
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from mlxk.domain.errors import ErrorKind, InvalidInput, MlxkError
from mlxk.domain.generation import (
    FinishReason,
    JsonFormat,
    LogprobDelta,
    NamedTool,
    Sampling,
    ToolCallDelta,
    ToolChoice,
    ToolDefinition,
    collect,
)
from tests.contract.runtimes.asking import TOOLS, ask, chat, run_all, submit
from tests.contract.runtimes.conftest import Load

CITY: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"enum": ["Paris", "Rome"]}},
    "required": ["city"],
}
TIME: dict[str, Any] = {
    "type": "object",
    "properties": {"zone": {"type": "string", "maxLength": 6}, "utc": {"type": "boolean"}},
    "required": ["zone", "utc"],
    "additionalProperties": False,
}
STRICT_CITY = CITY | {"additionalProperties": False}
TWO = (ToolDefinition("get_weather", "Weather", STRICT_CITY), ToolDefinition("get_time", "Time", TIME))
ANY_SCHEMA: dict[str, Any] = {"get_weather": STRICT_CITY, "get_time": TIME}


def warm(seed: int) -> Sampling:
    return Sampling(temperature=1.0, top_p=1.0, repetition_penalty=1.0, seed=seed)


def test_none_leaves_the_tools_out(load: Load) -> None:
    engine = load("overfitted")
    request = chat("Count.", tools=TOOLS, tool_choice=ToolChoice.NONE)
    assert engine.count_prompt_tokens(request) == engine.count_prompt_tokens(chat("Count."))
    assert ask(engine, request).text.endswith("nine ten")


def test_none_makes_markers_text(load: Load) -> None:
    engine = load("overfitted")
    assert engine._loaded is not None
    (marker,) = engine._loaded.tokenizer.encode("<tool_call>", add_special_tokens=False)
    biased = Sampling(temperature=0, repetition_penalty=1, logit_bias={marker: 100.0})
    request = chat("Count.", tools=TOOLS, tool_choice=ToolChoice.NONE, sampling=biased, max_tokens=2)
    assert ask(engine, request).text == "<tool_call><tool_call>"


def test_none_is_fine_for_a_model_without_tools(load: Load) -> None:
    request = chat("one", tools=TOOLS, tool_choice=ToolChoice.NONE, max_tokens=2)
    assert ask(load("llama"), request).finish.usage.completion_tokens > 0


@pytest.mark.parametrize("choice", [ToolChoice.AUTO, ToolChoice.REQUIRED, NamedTool("get_weather")])
def test_tools_for_a_model_without_them(load: Load, choice: ToolChoice | NamedTool) -> None:
    with pytest.raises(MlxkError, match="llama") as caught:
        ask(load("llama"), chat("one", tools=TOOLS, tool_choice=choice))
    assert caught.value.kind is ErrorKind.NOT_IMPLEMENTED
    assert caught.value.param == "tools"


@pytest.mark.parametrize("question", ["Count.", "Say hello.", "Weather in Paris?", "Break the tool."])
@pytest.mark.parametrize("thinking", [False, True])
def test_a_required_call_comes_whatever_is_asked(load: Load, question: str, thinking: bool) -> None:
    request = chat(
        question, thinking=thinking, tools=TWO, tool_choice=ToolChoice.REQUIRED, max_tokens=300,
        parallel_tool_calls=False,
    )  # fmt: skip
    answer = ask(load("overfitted"), request)
    if answer.finish.reason is not FinishReason.LENGTH:
        (call,) = answer.tool_calls
        jsonschema.validate(json.loads(call.arguments), ANY_SCHEMA[call.name])
        assert answer.text == ""


def test_forced_calls_of_a_random_model_are_valid(load: Load) -> None:
    engine = load("qwen3", prompt_cache_bytes=0)
    choices = (ToolChoice.REQUIRED, NamedTool("get_time"), NamedTool("get_weather"))
    requests = [
        chat("one", tools=TWO, tool_choice=choices[seed % 3], sampling=warm(seed), max_tokens=120)
        for seed in range(12)
    ]
    handles = [submit(engine, request) for request in requests]
    seen = run_all(engine)
    calls = 0
    for request, handle in zip(requests, handles, strict=True):
        answer = collect(seen[handle])
        assert answer.text == "" or answer.finish.reason is FinishReason.LENGTH
        calls += len(answer.tool_calls)
        for call in answer.tool_calls:
            jsonschema.validate(json.loads(call.arguments), ANY_SCHEMA[call.name])
        if isinstance(request.tool_choice, NamedTool) and answer.finish.reason is not FinishReason.LENGTH:
            assert [call.name for call in answer.tool_calls] == [request.tool_choice.name]
            assert answer.finish.reason is FinishReason.TOOL_CALLS
    assert calls > 6


def test_a_named_tool_is_called_where_the_model_would_call_another(load: Load) -> None:
    answer = ask(
        load("overfitted"),
        chat("Weather in Paris?", tools=TWO, tool_choice=NamedTool("get_time"), max_tokens=300),
    )
    assert {call.name for call in answer.tool_calls} <= {"get_time"}


@pytest.mark.parametrize("choice", [ToolChoice.REQUIRED, NamedTool("get_weather")], ids=str)
def test_stop_texts_and_a_forced_call_do_not_go_together(load: Load, choice: ToolChoice | NamedTool) -> None:
    request = chat("Weather in Paris?", tools=TOOLS, tool_choice=choice, stop=("Paris",))
    with pytest.raises(InvalidInput, match="forced tool call") as caught:
        ask(load("overfitted"), request)
    assert caught.value.param == "stop"


def test_one_call_when_they_may_not_be_parallel(load: Load) -> None:
    engine = load("overfitted")
    both = ask(engine, chat("Weather in Paris and Rome?", tools=TOOLS))
    for choice in (ToolChoice.AUTO, ToolChoice.REQUIRED):
        request = chat(
            "Weather in Paris and Rome?", tools=TOOLS, tool_choice=choice, parallel_tool_calls=False
        )
        one = ask(engine, request)
        assert [json.loads(call.arguments) for call in one.tool_calls] == [{"city": "Paris"}]
        assert (one.text, one.finish.reason) == ("", FinishReason.TOOL_CALLS)
        assert one.finish.usage.completion_tokens < both.finish.usage.completion_tokens
    assert engine.active == 0


def test_a_call_comes_as_soon_as_it_is_complete(load: Load) -> None:
    engine = load("overfitted")
    submit(engine, chat("Weather in Paris and Rome?", tools=TOOLS))
    steps = []
    step = 0
    while engine.active:
        step += 1
        steps += [step for _, delta in engine.step() if isinstance(delta, ToolCallDelta)]
    assert len(steps) == 2
    assert steps[0] < steps[1] - 5


def test_parameters_that_are_no_object(load: Load) -> None:
    tool = ToolDefinition("f", "", {"type": "string"})
    with pytest.raises(InvalidInput, match="'f'") as caught:
        ask(load("overfitted"), chat("x", tools=(tool,), tool_choice=ToolChoice.REQUIRED))
    assert caught.value.param == "tools"


def test_parameters_that_cannot_be_compiled_say_where(load: Load) -> None:
    tool = ToolDefinition("f", "", {"type": "object", "properties": {"a": {"type": "nothing"}}})
    with pytest.raises(InvalidInput, match=r"'f'.*#/properties/a") as caught:
        ask(load("overfitted"), chat("x", tools=(tool,), tool_choice=NamedTool("f")))
    assert caught.value.param == "tools"


@pytest.mark.parametrize("name", ['say "hi"', "a\\b", "größe", "<tool_call>", "{x}\n"])
def test_strange_tool_names(load: Load, name: str) -> None:
    tool = ToolDefinition(name, "", {})
    sampling = Sampling(temperature=0, repetition_penalty=1, logit_bias={95: 5.0})
    request = chat("x", tools=(tool,), tool_choice=NamedTool(name), max_tokens=250, sampling=sampling)
    answer = ask(load("overfitted"), request)
    assert [call.name for call in answer.tool_calls] in ([name], [])


def test_an_argument_that_spells_the_end_marker(load: Load) -> None:
    said = "a</tool_call>b<tool_call></think>"
    tool = ToolDefinition("f", "", {"type": "object", "properties": {"x": {"const": said}}, "required": ["x"],
                                    "additionalProperties": False})  # fmt: skip
    answer = ask(load("overfitted"), chat("x", tools=(tool,), tool_choice=NamedTool("f"), max_tokens=250))
    assert [json.loads(call.arguments) for call in answer.tool_calls] == [{"x": said}]


def test_log_probabilities_with_a_forced_call(load: Load) -> None:
    request = chat("Weather in Paris?", tools=TOOLS, tool_choice=ToolChoice.REQUIRED, top_logprobs=3)
    deltas = list(load("overfitted").generate(request))
    assert not any(isinstance(delta, LogprobDelta) for delta in deltas)


def test_a_forced_call_wins_over_the_format(load: Load) -> None:
    request = chat(
        "Weather in Paris?", tools=TOOLS, tool_choice=ToolChoice.REQUIRED, response_format=JsonFormat()
    )
    assert ask(load("overfitted"), request).finish.reason is FinishReason.TOOL_CALLS


def test_template_settings_reach_the_template(load: Load) -> None:
    engine = load("overfitted")
    told = chat("Say hello.", thinking=None, template_settings={"enable_thinking": False})
    assert (
        engine.prepare(told, default_limit=None).prompt
        == engine.prepare(chat("Say hello."), default_limit=None).prompt
    )


@pytest.mark.parametrize("name", ["tools", "messages", "tokenize", "chat_template", "return_dict"])
def test_template_settings_of_our_own_are_refused(load: Load, name: str) -> None:
    with pytest.raises(InvalidInput, match=name) as caught:
        load("overfitted").prepare(chat("x", template_settings={name: 1}), default_limit=None)
    assert caught.value.param == "chat_template_kwargs"


@pytest.mark.parametrize(
    "settings",
    [
        {"template_settings": {"x": ["\ud800"]}},
        {"template_settings": {"\udc00": 1}},
        {"tools": (ToolDefinition("f", "\ud800", {}),)},
        {"tools": (ToolDefinition("f", "", {"const": "\ud800"}),)},
        {"stop": ("\ud800",)},
    ],
)
def test_lone_surrogates(load: Load, settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="surrogate"):
        load("overfitted").prepare(chat("x", **settings), default_limit=None)


def test_deep_values(load: Load) -> None:
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    engine = load("overfitted")
    for settings in ({"template_settings": {"x": deep}}, {"tools": (ToolDefinition("f", "", {"x": deep}),)}):
        with pytest.raises(InvalidInput, match="deep"):
            engine.prepare(chat("x", **settings), default_limit=None)


def test_the_stop_text_that_ended_it(load: Load) -> None:
    engine = load("overfitted")
    stops = ("eight", "three fo", "four")
    assert ask(engine, chat("Count.", stop=stops)).finish.stopped_by == "three fo"
    assert ask(engine, chat("Count.", stop=("eleven",))).finish.stopped_by is None
