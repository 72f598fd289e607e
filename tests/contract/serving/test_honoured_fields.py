"""Every sampling field the server says it honours changes what a real model answers, as it should."""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import httpx
import pytest

from tests.contract.serving.conftest import PARROT, PLAIN
from tests.contract.serving.running import Served
from tests.contract.tiny_chats import WEATHER_TOOL
from tests.waiting import until

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
GREEDY = {"temperature": 0}
WILD = {"temperature": 1.5, "top_p": 1, "seed": 3}
AT_ONCE = {"reasoning_effort": "none", **GREEDY}
COUNT = "one two three four five six seven eight nine ten"


class Answered(NamedTuple):
    """What came back."""

    text: str
    document: dict[str, Any]

    @property
    def choice(self) -> dict[str, Any]:
        choice: dict[str, Any] = self.document["choices"][0]
        return choice

    @property
    def completion_tokens(self) -> int:
        return int(self.document["usage"]["completion_tokens"])

    @property
    def tokens(self) -> list[str]:
        """Their texts, if log-probabilities were asked for."""
        return list(self.choice["logprobs"]["tokens"])


Check = Callable[[Answered, Answered], bool]


def same(without: Answered, with_field: Answered) -> bool:
    return without.text == with_field.text


def other(without: Answered, with_field: Answered) -> bool:
    return without.text != with_field.text


def repeats_less(without: Answered, with_field: Answered) -> bool:
    """The tokens come back less often than they did."""
    return len(set(with_field.tokens)) > len(set(without.tokens))


def cut_at_three(_without: Answered, with_field: Answered) -> bool:
    return with_field.choice["finish_reason"] == "length" and with_field.completion_tokens == 3


PROMPT = {"model": PLAIN, "prompt": "one two", "max_tokens": 40, "logprobs": 0}
WORDS = {"model": PARROT, "messages": [{"role": "user", "content": "Count."}], **AT_ONCE}
HELLO = {"model": PARROT, "messages": [{"role": "user", "content": "Say hello."}], **GREEDY}
WEATHER = {
    "model": PARROT, "messages": [{"role": "user", "content": "Weather in Paris and Rome?"}],
    "tools": [WEATHER_TOOL], **AT_ONCE,
}  # fmt: skip
TEN = {"name": "ten", "schema": {"enum": ["ten", 10]}}


def called(answered: Answered) -> int:
    return len(answered.choice["message"].get("tool_calls") or [])


CASES: dict[str, tuple[str, Mapping[str, Any], Mapping[str, Any], Check]] = {
    "temperature": (TEXT, {**PROMPT, **GREEDY, "seed": 3}, {"temperature": 2, "top_p": 1}, other),
    "seed, another": (TEXT, {**PROMPT, **WILD}, {"seed": 4}, other),
    "seed, the same": (TEXT, {**PROMPT, **WILD}, {"seed": 3}, same),
    "top_k 1 is greedy": (TEXT, {**PROMPT, **GREEDY}, {**WILD, "top_k": 1}, same),
    "top_p next to 0 is greedy": (TEXT, {**PROMPT, **GREEDY}, {**WILD, "top_p": 1e-6}, same),
    "min_p 1 is greedy": (TEXT, {**PROMPT, **GREEDY}, {**WILD, "min_p": 1}, same),
    "repetition_penalty": (TEXT, {**PROMPT, **GREEDY}, {"repetition_penalty": 10}, repeats_less),
    "presence_penalty": (TEXT, {**PROMPT, **GREEDY}, {"presence_penalty": 2}, other),
    "frequency_penalty": (TEXT, {**PROMPT, **GREEDY}, {"frequency_penalty": 2}, repeats_less),
    "logit_bias": (
        TEXT, {**PROMPT, **GREEDY}, {"logit_bias": {"70": 100}},
        lambda _, biased: len(set(biased.tokens)) == 1 and len(biased.tokens) == 40,
    ),
    "max_tokens": (TEXT, {**PROMPT, **GREEDY}, {"max_tokens": 3}, cut_at_three),
    "max_completion_tokens": (CHAT, WORDS, {"max_completion_tokens": 3}, cut_at_three),
    "echo": (TEXT, {**PROMPT, **GREEDY, "logprobs": None}, {"echo": True},
             lambda plain, echoed: echoed.text == "one two" + plain.text),
    "stop": (
        CHAT, WORDS, {"stop": ["never", "four "]},
        lambda all_, cut: (all_.text, cut.text) == (COUNT, "one two three ")
        and cut.choice["finish_reason"] == "stop",
    ),
    "n": (
        CHAT, WORDS, {"n": 3},
        lambda _, three: [choice["index"] for choice in three.document["choices"]] == [0, 1, 2],
    ),
    "logprobs": (
        CHAT, WORDS, {"logprobs": True, "top_logprobs": 2},
        lambda _, told: all(len(token["top_logprobs"]) == 2 for token in told.choice["logprobs"]["content"]),
    ),
    "reasoning_effort": (
        CHAT, HELLO, {"reasoning_effort": "none"},
        lambda thought, at_once: "reasoning_content" in thought.choice["message"]
        and "reasoning_content" not in at_once.choice["message"],
    ),
    "chat_template_kwargs": (
        CHAT, HELLO, {"chat_template_kwargs": {"enable_thinking": False}},
        lambda thought, at_once: thought.completion_tokens > at_once.completion_tokens,
    ),
    "tools": (
        CHAT, {**WEATHER, "tools": None}, {"tools": [WEATHER_TOOL]},
        lambda without, offered: (called(without), called(offered)) == (0, 2)
        and offered.choice["finish_reason"] == "tool_calls",
    ),
    "tool_choice": (CHAT, WEATHER, {"tool_choice": "none"}, lambda _, refused: called(refused) == 0),
    "parallel_tool_calls": (
        CHAT, WEATHER, {"parallel_tool_calls": False}, lambda _, single: called(single) == 1,
    ),
    "response_format": (
        CHAT, WORDS, {"response_format": {"type": "json_schema", "json_schema": TEN}},
        lambda _, formed: json.loads(formed.text) in ("ten", 10),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_field_changes_the_answer(served: Served, name: str) -> None:
    path, request, field, check = CASES[name]
    with served.client() as client:
        without, with_field = (_answered(client, path, body) for body in (request, {**request, **field}))
    assert check(without, with_field), (without, with_field)


def test_a_model_leaves_when_its_request_says_so(served: Served) -> None:
    with served.client() as client:
        _answered(client, CHAT, {**WORDS, "keep_alive": -1})
        assert client.get(f"/v1/models/{PARROT}").json()["loaded"]
        _answered(client, CHAT, {**WORDS, "keep_alive": 0})
        until(lambda: not client.get(f"/v1/models/{PARROT}").json()["loaded"])


def _answered(client: httpx.Client, path: str, body: Mapping[str, Any]) -> Answered:
    response = client.post(path, json=body)
    assert response.status_code == 200, response.text
    document = response.json()
    choice = document["choices"][0]
    text = choice["text"] if path == TEXT else choice["message"]["content"]
    return Answered(text or "", document)
