"""JSON answers: whatever a model would like to say, what it says validates."""

import json
import sys
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from mlxk.adapters.runtimes.text_engine import TextEngine
from mlxk.domain.errors import ErrorKind, InvalidInput, MlxkError
from mlxk.domain.generation import (
    Answer,
    FinishReason,
    GenerationRequest,
    JsonFormat,
    Sampling,
    ToolChoice,
    collect,
)
from tests.contract.runtimes.asking import TOOLS, ask, chat, raw, run_all, submit
from tests.contract.runtimes.conftest import Load

SCHEMAS: dict[str, dict[str, Any]] = {
    "object": {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 8},
            "age": {"type": "integer", "maximum": 150},
        },
        "required": ["name", "age"],
        "additionalProperties": False,
    },
    "nested": {
        "type": "object",
        "properties": {
            "inner": {
                "type": "object",
                "properties": {"on": {"type": "boolean"}, "none": {"type": "null"}},
                "required": ["on", "none"],
                "additionalProperties": False,
            }
        },
        "required": ["inner"],
        "additionalProperties": False,
    },
    "enum": {"enum": ["red", "green", 3, None, {"a": [1]}]},
    "array": {"type": "array", "items": {"type": "integer", "minimum": -9, "maximum": 9}, "maxItems": 4},
    "union": {"anyOf": [{"type": "boolean"}, {"type": "string", "maxLength": 3}]},
    "pattern": {"type": "string", "pattern": "^[a-c]{2,4}-[0-9]{3}$"},
    "ref": {
        "$ref": "#/$defs/tree",
        "$defs": {
            "tree": {
                "type": "object",
                "properties": {
                    "leaf": {"const": 1},
                    "more": {"type": "array", "items": {"$ref": "#/$defs/tree"}, "maxItems": 1},
                },
                "required": ["leaf"],
                "additionalProperties": False,
            }
        },
    },
    "pydantic": {
        "title": "Event",
        "type": "object",
        "properties": {
            "day": {"type": "string", "format": "date", "title": "Day"},
            "who": {"anyOf": [{"enum": ["Ann", "Bo"], "type": "string"}, {"type": "null"}], "default": None},
        },
        "required": ["day", "who"],
        "additionalProperties": False,
    },
}
WARM = {"temperature": 1.0, "top_p": 1.0, "repetition_penalty": 1.0}


def warm(seed: int, **changes: object) -> Sampling:
    return Sampling(**(WARM | {"seed": seed} | changes))  # type: ignore[arg-type]


def json_request(schema: dict[str, Any] | None, seed: int = 1, **settings: Any) -> GenerationRequest:
    settings.setdefault("sampling", warm(seed))
    return raw("one two", thinking=False, response_format=JsonFormat(schema), max_tokens=300, **settings)


def check(answer: Answer, schema: dict[str, Any]) -> None:
    """It validates, unless it was cut off."""
    if answer.finish.reason is FinishReason.LENGTH:
        return
    assert answer.finish.reason is FinishReason.STOP
    jsonschema.validate(json.loads(answer.text), schema, format_checker=jsonschema.FormatChecker())


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma", "phi3", "mamba"])
def test_random_models_give_valid_json(load: Load, family: str) -> None:
    engine = load(family, prompt_cache_bytes=0)
    names = [name for name in SCHEMAS for _ in range(3)]
    handles = [submit(engine, json_request(SCHEMAS[name], seed)) for seed, name in enumerate(names)]
    seen = run_all(engine)
    answers = [collect(seen[handle]) for handle in handles]
    for name, answer in zip(names, answers, strict=True):
        check(answer, SCHEMAS[name])
    complete = [answer for answer in answers if answer.finish.reason is FinishReason.STOP]
    assert len(complete) > len(names) / 2


def test_a_greedy_model_that_says_something_else_gives_json_too(load: Load) -> None:
    engine = load("overfitted")
    for schema in (SCHEMAS["object"], SCHEMAS["pattern"], SCHEMAS["enum"]):
        answer = ask(engine, chat("Say hello.", response_format=JsonFormat(schema), max_tokens=200))
        check(answer, schema)


def test_any_object(load: Load) -> None:
    engine = load("qwen3", prompt_cache_bytes=0)
    sampling = warm(1, logit_bias={93: 20.0, 4: -5.0})  # closing braces
    answer = ask(engine, json_request(None, sampling=sampling))
    if answer.finish.reason is FinishReason.STOP:
        assert isinstance(json.loads(answer.text), dict)
    assert answer.text.startswith("{")


def test_json_rows_and_free_rows_share_a_batch(load: Load) -> None:
    engine = load("overfitted", prompt_cache_bytes=0)
    requests = [
        chat("Count."),
        json_request(SCHEMAS["object"], 5),
        chat("Say hello.", thinking=True),
        json_request(SCHEMAS["array"], 6),
        chat("Weather in Paris?", tools=TOOLS),
    ]
    alone = [ask(engine, request) for request in requests]
    handles = [submit(engine, request) for request in requests]
    seen = run_all(engine)
    together = [collect(seen[handle]) for handle in handles]
    assert [answer.text for answer in together] == [answer.text for answer in alone]
    assert [len(answer.tool_calls) for answer in together] == [0, 0, 0, 0, 1]


def test_the_same_seed_gives_the_same_json(load: Load) -> None:
    engine = load("llama")
    texts = {ask(engine, json_request(SCHEMAS["object"], 7)).text for _ in range(3)}
    assert len(texts) == 1


def test_reasoning_stays_free_and_the_answer_is_json(load: Load) -> None:
    request = chat("Say hello.", thinking=True, response_format=JsonFormat(SCHEMAS["array"]), max_tokens=200)
    for model in ("overfitted", "opens-thinking"):
        answer = ask(load(model), request)
        assert answer.reasoning == "The user wants a greeting."
        check(answer, SCHEMAS["array"])
        assert answer.text.startswith("[")


def test_reasoning_cannot_end_the_answer(load: Load) -> None:
    """An end token in the middle of the reasoning would leave no answer at all."""
    engine = load("opens-thinking")
    assert engine._loaded is not None
    ends = engine._loaded.tokenizer.eos_token_ids
    biased = Sampling(temperature=0, repetition_penalty=1, logit_bias=dict.fromkeys(ends, 100.0))
    request = chat(
        "Say hello.",
        thinking=True,
        sampling=biased,
        max_tokens=20,
        response_format=JsonFormat(SCHEMAS["array"]),
    )
    answer = ask(engine, request)
    assert answer.reasoning == "The user wants a greeting."
    check(answer, SCHEMAS["array"])


def test_markers_in_strings_are_part_of_the_json(load: Load) -> None:
    engine = load("overfitted", prompt_cache_bytes=0)
    said = "<think>a</think><tool_call>b</tool_call>"
    schema = {"const": {"say": said}}
    for tools in ((), TOOLS):
        answer = ask(engine, chat("Count.", response_format=JsonFormat(schema), tools=tools, max_tokens=200))
        if not answer.tool_calls:
            assert json.loads(answer.text) == {"say": said}
        assert answer.reasoning == ""


def test_a_cut_answer_says_so(load: Load) -> None:
    request = raw("one", response_format=JsonFormat(SCHEMAS["object"]), max_tokens=3, sampling=warm(1))
    answer = ask(load("llama"), request)
    assert answer.finish.reason is FinishReason.LENGTH


def test_a_format_with_tools_gives_json_or_calls(load: Load) -> None:
    engine = load("overfitted")
    settings: dict[str, Any] = {"response_format": JsonFormat(SCHEMAS["array"]), "tools": TOOLS}
    called = ask(engine, chat("Weather in Paris?", **settings))
    assert [json.loads(call.arguments) for call in called.tool_calls] == [{"city": "Paris"}]
    assert (called.text, called.finish.reason) == ("", FinishReason.TOOL_CALLS)
    answered = ask(engine, chat("Count.", tool_choice=ToolChoice.NONE, max_tokens=200, **settings))
    assert not answered.tool_calls
    check(answered, SCHEMAS["array"])


@pytest.mark.parametrize(
    ("schema", "where"),
    [
        ({"type": "objekt"}, r"at #: .*objekt"),
        ({"type": "object", "properties": {"a": {"items": {"type": 5}}}}, r"at #/properties/a/items: "),
        ({"anyOf": [{"type": "string"}, {"type": "string", "pattern": "("}]}, r"at #/anyOf/1: .*unclosed"),
        ({"type": "object", "properties": {"a/b": {"not": {}}}}, r"at #/properties/a~1b: .*not"),
        ({"$ref": "#/nowhere"}, "nowhere"),
        ({"$ref": "http://localhost/x"}, "localhost"),
        ({"type": "array", "minItems": 3, "maxItems": 1}, "minItems"),
        ({"type": "integer", "minimum": float("nan")}, "not JSON compliant"),
        ({"const": "\ud800"}, "hex escape"),
    ],
)
def test_schemas_that_cannot_be_used(load: Load, schema: dict[str, Any], where: str) -> None:
    engine = load("llama")
    with pytest.raises(InvalidInput, match=where) as caught:
        engine.prepare(json_request(schema), default_limit=None)
    assert caught.value.param == "response_format"
    assert "\n" not in caught.value.message
    check(ask(engine, json_request(SCHEMAS["array"])), SCHEMAS["array"])


def test_a_long_place_is_cut(load: Load) -> None:
    schema: dict[str, Any] = {"type": "nothing"}
    for _ in range(50):
        schema = {"type": "object", "properties": {"a": schema}}
    with pytest.raises(InvalidInput, match=r"#\.\.\..*/properties/a: .*nothing") as caught:
        load("llama").prepare(json_request(schema), default_limit=None)
    assert len(caught.value.message) < 600


def test_a_schema_nested_too_deeply(load: Load) -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(3000):
        schema = {"type": "array", "items": schema}
    with pytest.raises(InvalidInput, match="deep"):
        load("llama").prepare(json_request(schema), default_limit=None)


def test_stop_texts_and_json_do_not_go_together(load: Load) -> None:
    with pytest.raises(InvalidInput) as caught:
        ask(load("llama"), json_request(SCHEMAS["array"], stop=("]",)))
    assert caught.value.param == "stop"


def test_without_llguidance_the_error_says_what_to_install(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = load("llama")
    monkeypatch.setitem(sys.modules, "llguidance.hf", None)
    with pytest.raises(MlxkError, match="llguidance") as caught:
        engine.prepare(json_request(SCHEMAS["array"]), default_limit=None)
    assert caught.value.kind is ErrorKind.DEPENDENCY_MISSING
    assert caught.value.hint == "pip install 'mlxk[server]'"


def test_a_grammar_that_gives_up_cuts_its_own_answer_only(load: Load) -> None:
    """As when a limit of the matcher is reached: no crash, and no claim that the answer is complete."""
    engine = load("overfitted")
    broken = engine.prepare(json_request(SCHEMAS["object"]), default_limit=None)
    assert broken.grammar is not None
    broken.grammar._matcher.consume_token(50)
    assert broken.grammar.mask().gave_up
    handles = [engine.submit(broken), submit(engine, chat("Count."))]
    seen = run_all(engine)
    cut, whole = (collect(seen[handle]) for handle in handles)
    assert (cut.text, cut.finish.reason) == ("", FinishReason.LENGTH)
    assert whole.text.endswith("nine ten")


def test_a_schema_is_compiled_once(load: Load) -> None:
    engine: TextEngine = load("llama")
    one, two = (engine.prepare(json_request(SCHEMAS["ref"], seed), default_limit=None) for seed in (1, 2))
    assert one.grammar is two.grammar


def test_log_probabilities_of_json_are_numbers(load: Load) -> None:
    answer = ask(load("llama"), json_request(SCHEMAS["enum"], top_logprobs=20))
    assert b"".join(delta.token.raw for delta in answer.logprobs).decode() == answer.text
    assert all(abs(top.logprob) < 1e6 for delta in answer.logprobs for top in delta.top)
