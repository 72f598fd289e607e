"""What a client may send to `POST /v1/responses`, field by field.

Source: the `responses.create` parameters of OpenAI's API. Whatever is not named here is refused, and so is a
value that this server does not honour.
"""

from typing import Annotated, Literal, TypeAlias

from pydantic import ConfigDict, Discriminator, Field, JsonValue, Tag, model_validator
from pydantic.json_schema import SkipJsonSchema

from mlxk.app.server.dialects.chat_body import JsonObjectFormat, TextFormat
from mlxk.app.server.dialects.fields import (
    MAX_MESSAGES,
    MAX_TOOLS,
    Body,
    Count,
    KeepAliveField,
    ModelName,
    Seed,
    Temperature,
    ToolName,
    TopLogprobs,
    TopP,
)
from mlxk.app.server.dialects.unions import by_type, only_type, text_or_list

__all__ = [
    "HARMLESS",
    "CallInputItem",
    "CallOutputItem",
    "InputItem",
    "InputMessage",
    "InputText",
    "JsonObjectFormat",
    "MediaPart",
    "NamedFunction",
    "OutputText",
    "Part",
    "ReasoningItem",
    "ReasoningSettings",
    "ResponseTool",
    "ResponsesBody",
    "SchemaTextFormat",
]

HARMLESS = (
    "client_metadata",
    "metadata",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "stream_options",
    "user",
)
"""Fields that are accepted and change nothing here: accounts, billing, other people's caches."""

CallId: TypeAlias = Annotated[str, Field(min_length=1, max_length=256)]


class InputText(Body):
    """Text that a user, or a system, wrote."""

    type: Literal["input_text"]
    text: str
    prompt_cache_breakpoint: JsonValue = None


class OutputText(Body):
    """Text that the model wrote; its annotations and log-probabilities are not read again."""

    type: Literal["output_text"]
    text: str
    annotations: JsonValue = None
    logprobs: JsonValue = None


class Refusal(Body):
    """A model's refusal, which is read as its text."""

    type: Literal["refusal"]
    refusal: str


class MediaPart(Body):
    """What is not text; it is refused for what it is, whatever its fields are, and so not documented."""

    model_config = ConfigDict(extra="ignore")

    type: Literal["input_image", "input_file", "input_audio"]


Part: TypeAlias = Annotated[
    Annotated[InputText, Tag("#input_text")]
    | Annotated[OutputText, Tag("#output_text")]
    | Annotated[Refusal, Tag("#refusal")]
    | Annotated[MediaPart, SkipJsonSchema(), Tag("#input_image")]
    | Annotated[MediaPart, SkipJsonSchema(), Tag("#input_file")]
    | Annotated[MediaPart, SkipJsonSchema(), Tag("#input_audio")],
    by_type("input_text", "output_text", "refusal"),
]
Content: TypeAlias = Annotated[
    Annotated[str, Tag("#text")] | Annotated[tuple[Part, ...], Tag("#list")],
    text_or_list,
]


class InputMessage(Body):
    """One turn."""

    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system", "developer"]
    content: Content
    id: JsonValue = None
    status: JsonValue = None
    phase: JsonValue = None


class CallInputItem(Body):
    """A call that the model made in an earlier turn."""

    type: Literal["function_call"]
    call_id: CallId
    name: ToolName
    arguments: str
    id: JsonValue = None
    status: JsonValue = None


class CallOutputItem(Body):
    """What the called function gave."""

    type: Literal["function_call_output"]
    call_id: CallId
    output: Content
    id: JsonValue = None
    status: JsonValue = None


class ReasoningItem(Body):
    """The model's reasoning in an earlier turn; chat templates leave it out, and so it is left out here."""

    type: Literal["reasoning"]
    id: JsonValue = None
    status: JsonValue = None
    summary: JsonValue = None
    content: JsonValue = None
    encrypted_content: JsonValue = None


InputItem: TypeAlias = Annotated[
    Annotated[InputMessage, Tag("#message")]
    | Annotated[CallInputItem, Tag("#function_call")]
    | Annotated[CallOutputItem, Tag("#function_call_output")]
    | Annotated[ReasoningItem, Tag("#reasoning")],
    by_type("message", "function_call", "function_call_output", "reasoning", untyped="message"),
]
Input: TypeAlias = Annotated[
    Annotated[str, Tag("#text")]
    | Annotated[tuple[InputItem, ...], Field(min_length=1, max_length=MAX_MESSAGES), Tag("#list")],
    text_or_list,
]


class ResponseTool(Body):
    """A function the model may call; required and named calls always fit its schema, `strict` or not."""

    type: Literal["function"]
    name: ToolName
    description: str | None = None
    parameters: dict[str, JsonValue] | None = None
    strict: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _only_functions(cls, value: object) -> object:
        """Tools of other types run on OpenAI's servers."""
        return only_type(value, "function")


class NamedFunction(Body):
    """The one function that must be called."""

    type: Literal["function"]
    name: ToolName

    @model_validator(mode="before")
    @classmethod
    def _only_functions(cls, value: object) -> object:
        """No other tools can be chosen."""
        return only_type(value, "function")


def _text_or_object(value: object) -> str:
    return "#text" if isinstance(value, str) else "#function"


ToolChoiceField: TypeAlias = Annotated[
    Annotated[Literal["auto", "none", "required"], Tag("#text")] | Annotated[NamedFunction, Tag("#function")],
    Discriminator(_text_or_object),
]


class SchemaTextFormat(Body):
    """JSON of a schema; the answer is held to it whether `strict` is set or not."""

    type: Literal["json_schema"]
    name: str = Field(max_length=256)
    schema_: dict[str, JsonValue] = Field(alias="schema")
    description: str | None = None
    strict: bool | None = None


Format: TypeAlias = Annotated[
    Annotated[TextFormat, Tag("#text")]
    | Annotated[JsonObjectFormat, Tag("#json_object")]
    | Annotated[SchemaTextFormat, Tag("#json_schema")],
    by_type("text", "json_object", "json_schema"),
]


class TextSettings(Body):
    """The form of the answer."""

    format: Format | None = None
    verbosity: Literal["medium"] | None = None


class ReasoningSettings(Body):
    """Whether to think. Reasoning is given whole, never summarized, whatever `summary` asks for."""

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | None = None


Included: TypeAlias = Literal["message.output_text.logprobs", "reasoning.encrypted_content"]


class ResponsesBody(Body):
    """The body of `POST /v1/responses`.

    `background`, `truncation`, `previous_response_id`, `conversation` and the like are here only with the
    values that ask for nothing: this server keeps no responses.
    """

    model: ModelName
    input: Input
    instructions: str | None = None
    max_output_tokens: Count | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    top_logprobs: TopLogprobs | None = None
    seed: Seed | None = None
    tools: Annotated[tuple[ResponseTool, ...], Field(max_length=MAX_TOOLS)] | None = None
    tool_choice: ToolChoiceField | None = None
    parallel_tool_calls: bool | None = None
    text: TextSettings | None = None
    reasoning: ReasoningSettings | None = None
    include: Annotated[tuple[Included, ...], Field(max_length=16)] | None = None
    stream: bool | None = None
    keep_alive: KeepAliveField | None = None

    background: Literal[False] | None = None
    truncation: Literal["disabled"] | None = None
    previous_response_id: None = None
    conversation: None = None
    max_tool_calls: None = None
    prompt: None = None

    client_metadata: JsonValue = None
    metadata: JsonValue = None
    prompt_cache_key: JsonValue = None
    prompt_cache_options: JsonValue = None
    prompt_cache_retention: JsonValue = None
    safety_identifier: JsonValue = None
    service_tier: JsonValue = None
    store: bool | None = None
    stream_options: JsonValue = None
    user: JsonValue = None
