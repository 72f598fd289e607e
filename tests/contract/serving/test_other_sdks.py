"""The Anthropic SDK and litellm against real models."""

from typing import Any

import anthropic
import pytest

from tests.contract.serving.conftest import PARROT
from tests.contract.serving.running import LIMIT, Served
from tests.contract.tiny_chats import WEATHER_TOOL

_FUNCTION: Any = WEATHER_TOOL["function"]
TOOL: Any = {
    "name": _FUNCTION["name"],
    "description": _FUNCTION["description"],
    "input_schema": _FUNCTION["parameters"],
}
NO_THINKING: Any = {"type": "disabled"}
GREEDY: Any = {"temperature": 0}
"""The SDK knows no temperature any more; servers like ours do."""


@pytest.fixture
def claude(served: Served) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=served.base_url, api_key="any", timeout=LIMIT, max_retries=0)


def asked(text: str) -> Any:
    return [{"role": "user", "content": text}]


def test_a_message(claude: anthropic.Anthropic) -> None:
    message = claude.messages.create(
        model=PARROT, max_tokens=50, messages=asked("Say hello."), extra_body=GREEDY, thinking=NO_THINKING
    )
    (block,) = message.content
    assert block.type == "text"
    assert block.text == "Hello, world!"
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens > 0


def test_a_streamed_message(claude: anthropic.Anthropic) -> None:
    with claude.messages.stream(
        model=PARROT, max_tokens=50, messages=asked("Greet me in Chinese."), extra_body=GREEDY,
        thinking=NO_THINKING,
    ) as stream:  # fmt: skip
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == "你好,世界!🎉 再见。"
    assert final.stop_reason == "end_turn"


def test_thoughts_are_blocks_of_their_own(claude: anthropic.Anthropic) -> None:
    message = claude.messages.create(
        model=PARROT, max_tokens=100, messages=asked("Say hello."), extra_body=GREEDY,
        thinking={"type": "enabled", "budget_tokens": 1024},
    )  # fmt: skip
    assert [block.type for block in message.content] == ["thinking", "text"]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_is_used(claude: anthropic.Anthropic, streamed: bool) -> None:
    options: Any = {
        "model": PARROT, "max_tokens": 100, "messages": asked("Weather in Paris?"), "extra_body": GREEDY,
        "tools": [TOOL], "thinking": NO_THINKING,
    }  # fmt: skip
    if streamed:
        with claude.messages.stream(**options) as stream:
            message: Any = stream.get_final_message()
    else:
        message = claude.messages.create(**options)
    assert message.stop_reason == "tool_use"
    (block,) = message.content
    assert (block.name, block.input) == ("get_weather", {"city": "Paris"})


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"model": "no-such-model"}, anthropic.NotFoundError),
        ({"extra_body": {"temperature": 7}}, anthropic.BadRequestError),
        ({"messages": []}, anthropic.BadRequestError),
    ],
    ids=["model", "temperature", "messages"],
)
def test_errors_are_of_the_sdks_classes(
    claude: anthropic.Anthropic, options: dict[str, Any], kind: type[anthropic.APIStatusError]
) -> None:
    request: Any = {"model": PARROT, "max_tokens": 5, "messages": asked("Say hello."), **options}
    with pytest.raises(kind):
        claude.messages.create(**request)


@pytest.mark.filterwarnings("ignore")
def test_litellm(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else its import asks the network
    import litellm

    answer: Any = litellm.completion(
        model=f"openai/{PARROT}", api_base=f"{served.base_url}/v1", api_key="any", timeout=LIMIT,
        messages=asked("Say hello."), temperature=0,
        extra_body={"chat_template_kwargs": {"enable_thinking": False}},
    )  # fmt: skip
    assert answer.choices[0].message.content == "Hello, world!"
