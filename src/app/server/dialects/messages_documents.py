"""What a message looks like, for the OpenAPI document and the tests."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, JsonValue

from mlxk.app.server.dialects.openai_documents import Document

__all__ = ["AnthropicMessage"]


class AnswerText(Document):
    """What the model said."""

    type: Literal["text"]
    text: str


class AnswerThinking(Document):
    """What the model thought."""

    type: Literal["thinking"]
    thinking: str
    signature: str


class AnswerToolUse(Document):
    """A tool the model wants called."""

    type: Literal["tool_use"]
    id: str
    name: str
    input: dict[str, JsonValue]


AnswerBlock: TypeAlias = Annotated[AnswerText | AnswerThinking | AnswerToolUse, Field(discriminator="type")]


class ThinkingTokens(Document):
    """How many of the generated tokens are thinking."""

    thinking_tokens: int


class MessageUsage(Document):
    """Token counts; `input_tokens` are those that came from no cache."""

    input_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int
    output_tokens: int
    output_tokens_details: ThinkingTokens


class AnthropicMessage(Document):
    """A finished message."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[AnswerBlock]
    stop_reason: Literal["end_turn", "max_tokens", "stop_sequence", "tool_use"]
    stop_sequence: str | None
    usage: MessageUsage
