"""What the overfitted tiny model has learnt by heart."""

from dataclasses import dataclass
from typing import Any

__all__ = ["CHATS", "WEATHER_TOOL", "Chat"]

WEATHER_TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


@dataclass(frozen=True, slots=True)
class Chat:
    """One learnt exchange.

    Attributes:
        raw_answer: what the model generates, markers included, its end token not.
    """

    user: str
    raw_answer: str
    thinking: bool = False
    with_tools: bool = False


def _thought(reasoning: str, text: str) -> str:
    return f"<think>\n{reasoning}\n</think>\n\n{text}"


def _call(city: str) -> str:
    return '<tool_call>\n{"name": "get_weather", "arguments": {"city": "' + city + '"}}\n</tool_call>'


CHATS = (
    Chat("Say hello.", "Hello, world!"),
    Chat("Say hello.", _thought("The user wants a greeting.", "Hello, world!"), thinking=True),
    Chat("Greet me in Chinese.", "你好,世界!🎉 再见。"),
    Chat("Show me a family.", "A family: 👨‍👩‍👧‍👦 and a flag 🇫🇷."),
    Chat("Count.", "one two three four five six seven eight nine ten"),
    Chat("Weather in Paris?", _call("Paris"), with_tools=True),
    Chat("Weather in Paris?", _thought("I need the tool.", _call("Paris")), thinking=True, with_tools=True),
    Chat("Weather in Paris and Rome?", _call("Paris") + "\n" + _call("Rome"), with_tools=True),
    Chat("Break the tool.", "<tool_call>\nnot json\n</tool_call>", with_tools=True),
)
"""Every (user, thinking, with_tools) is there once."""
