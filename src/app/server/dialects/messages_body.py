"""What a client may send to `POST /v1/messages`, field by field.

Source: the `messages.create` parameters of Anthropic's API. Whatever is not named here is refused, and so is
a value that this server does not honour.
"""

from typing import Annotated, Literal, TypeAlias

from pydantic import ConfigDict, Field, JsonValue, Tag, model_validator
from pydantic.json_schema import SkipJsonSchema

from mlxk.app.server.dialects.fields import (
    MAX_MESSAGES,
    MAX_TOOLS,
    Body,
    Count,
    KeepAliveField,
    ModelName,
    Seed,
    StopText,
    ToolName,
    TopK,
    TopP,
)
from mlxk.app.server.dialects.unions import by_type, only_type, text_or_list
from mlxk.domain.generation import MAX_STOPS

__all__ = [
    "HARMLESS",
    "AnyToolUse",
    "AutoToolUse",
    "ContentBlock",
    "CountTokensBody",
    "MediaBlock",
    "MessagesBody",
    "NamedToolUse",
    "NoToolUse",
    "PromptFields",
    "RedactedThinkingBlock",
    "TextBlock",
    "Thinking",
    "ThinkingBlock",
    "ToolResultBlock",
    "ToolUseBlock",
    "Turn",
]

HARMLESS = ("cache_control", "inference_geo", "metadata", "service_tier", "user_profile_id")
"""Fields that are accepted and change nothing here. Every prompt is cached, whatever `cache_control` says."""

CallId: TypeAlias = Annotated[str, Field(min_length=1, max_length=256)]


class TextBlock(Body):
    """Text."""

    type: Literal["text"]
    text: str
    cache_control: JsonValue = None
    citations: JsonValue = None


class MediaBlock(Body):
    """What is not text; it is refused for what it is, whatever its fields are, and so not documented."""

    model_config = ConfigDict(extra="ignore")

    type: Literal["image", "document"]


class ThinkingBlock(Body):
    """The model's thinking in an earlier turn; chat templates leave it out, and so it is left out here."""

    type: Literal["thinking"]
    thinking: str
    signature: str | None = None


class RedactedThinkingBlock(Body):
    """Thinking that another server has encrypted; it is left out."""

    type: Literal["redacted_thinking"]
    data: str


class ToolUseBlock(Body):
    """A call that the model made in an earlier turn."""

    type: Literal["tool_use"]
    id: CallId
    name: ToolName
    input: dict[str, JsonValue]
    caller: JsonValue = None
    cache_control: JsonValue = None


ResultBlock: TypeAlias = Annotated[
    Annotated[TextBlock, Tag("#text")]
    | Annotated[MediaBlock, SkipJsonSchema(), Tag("#image")]
    | Annotated[MediaBlock, SkipJsonSchema(), Tag("#document")],
    by_type("text"),
]
ResultContent: TypeAlias = Annotated[
    Annotated[str, Tag("#text")] | Annotated[tuple[ResultBlock, ...], Tag("#list")],
    text_or_list,
]


class ToolResultBlock(Body):
    """What the called tool gave; the model reads `Error: ` before the result of one that failed."""

    type: Literal["tool_result"]
    tool_use_id: CallId
    content: ResultContent | None = None
    is_error: bool | None = None
    cache_control: JsonValue = None


ContentBlock: TypeAlias = Annotated[
    Annotated[TextBlock, Tag("#text")]
    | Annotated[MediaBlock, SkipJsonSchema(), Tag("#image")]
    | Annotated[MediaBlock, SkipJsonSchema(), Tag("#document")]
    | Annotated[ThinkingBlock, Tag("#thinking")]
    | Annotated[RedactedThinkingBlock, Tag("#redacted_thinking")]
    | Annotated[ToolUseBlock, Tag("#tool_use")]
    | Annotated[ToolResultBlock, Tag("#tool_result")],
    by_type("text", "tool_use", "tool_result", "thinking", "redacted_thinking"),
]
Content: TypeAlias = Annotated[
    Annotated[str, Tag("#text")] | Annotated[tuple[ContentBlock, ...], Tag("#list")],
    text_or_list,
]
System: TypeAlias = Annotated[
    Annotated[str, Tag("#text")] | Annotated[tuple[TextBlock, ...], Tag("#list")],
    text_or_list,
]


class Turn(Body):
    """One turn."""

    role: Literal["user", "assistant", "system"]
    content: Content


class Tool(Body):
    """A tool that the client runs; required and named calls always fit its schema, `strict` or not."""

    type: Literal["custom"] | None = None
    name: ToolName
    description: str | None = None
    input_schema: dict[str, JsonValue]
    strict: bool | None = None
    eager_input_streaming: bool | None = None
    defer_loading: Literal[False] | None = None
    allowed_callers: Annotated[list[Literal["direct"]], Field(max_length=16)] | None = None
    cache_control: JsonValue = None

    @model_validator(mode="before")
    @classmethod
    def _only_custom(cls, value: object) -> object:
        """Tools of other types run on Anthropic's servers, or have schemas that only its models know."""
        return only_type(value, "custom")


class AutoToolUse(Body):
    """The model decides."""

    type: Literal["auto"]
    disable_parallel_tool_use: bool | None = None


class AnyToolUse(Body):
    """The model must call a tool."""

    type: Literal["any"]
    disable_parallel_tool_use: bool | None = None


class NamedToolUse(Body):
    """The model must call this tool."""

    type: Literal["tool"]
    name: ToolName
    disable_parallel_tool_use: bool | None = None


class NoToolUse(Body):
    """The model must not call a tool."""

    type: Literal["none"]


Choice: TypeAlias = Annotated[
    Annotated[AutoToolUse, Tag("#auto")]
    | Annotated[AnyToolUse, Tag("#any")]
    | Annotated[NamedToolUse, Tag("#tool")]
    | Annotated[NoToolUse, Tag("#none")],
    by_type("auto", "any", "tool", "none"),
]


class Thinking(Body):
    """Whether to think; without it no model does, as with Anthropic.

    `budget_tokens` bounds nothing, `max_tokens` does; thinking is given whole, never summarized, or not at
    all when `display` is `omitted`.
    """

    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: Count | None = None
    display: Literal["summarized", "omitted"] | None = None


class SchemaFormat(Body):
    """JSON of a schema."""

    type: Literal["json_schema"]
    schema_: dict[str, JsonValue] = Field(alias="schema")


class OutputConfig(Body):
    """The form of the answer, and how hard a model that thinks shall think."""

    format: SchemaFormat | None = None
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None


class ClearThinking(Body):
    """Leaves earlier thinking out, which this server always does."""

    type: Literal["clear_thinking_20251015"]
    keep: JsonValue = None

    @model_validator(mode="before")
    @classmethod
    def _only_thinking(cls, value: object) -> object:
        """Nothing else of a conversation is cleared here."""
        return only_type(value, "clear_thinking_20251015")


class ContextManagement(Body):
    """What shall be cleared from a conversation that has grown long."""

    edits: Annotated[tuple[ClearThinking, ...], Field(max_length=16)] = ()


class PromptFields(Body):
    """What makes the prompt."""

    model: ModelName
    messages: Annotated[tuple[Turn, ...], Field(min_length=1, max_length=MAX_MESSAGES)]
    system: System | None = None
    tools: Annotated[tuple[Tool, ...], Field(max_length=MAX_TOOLS)] | None = None
    tool_choice: Choice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    context_management: ContextManagement | None = None
    keep_alive: KeepAliveField | None = None
    cache_control: JsonValue = None
    user_profile_id: JsonValue = None


class MessagesBody(PromptFields):
    """The body of `POST /v1/messages`."""

    max_tokens: Count
    stop_sequences: Annotated[tuple[StopText, ...], Field(max_length=MAX_STOPS)] | None = None
    temperature: Annotated[float, Field(ge=0, le=1)] | None = None
    top_p: TopP | None = None
    top_k: TopK | None = None
    seed: Seed | None = None
    stream: bool | None = None

    container: None = None
    speed: Literal["standard"] | None = None
    thread: Literal[False] | None = None
    inference_geo: JsonValue = None
    metadata: JsonValue = None
    service_tier: JsonValue = None


class CountTokensBody(PromptFields):
    """The body of `POST /v1/messages/count_tokens`."""
