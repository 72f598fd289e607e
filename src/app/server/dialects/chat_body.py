"""The body of `POST /v1/chat/completions`, as OpenAI documents it."""

from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import Discriminator, Field, JsonValue, Tag, model_validator

from mlxk.app.server.dialects.fields import (
    MAX_CHOICES,
    MAX_MESSAGES,
    MAX_TOOLS,
    Body,
    Count,
    FrequencyPenalty,
    KeepAliveField,
    LogitBias,
    MinP,
    ModelName,
    PresencePenalty,
    RepetitionPenalty,
    Seed,
    Stop,
    Temperature,
    ToolName,
    TopK,
    TopLogprobs,
    TopP,
    sampling_with,
)
from mlxk.app.server.dialects.unions import by_type, only_type
from mlxk.domain.errors import InvalidInput
from mlxk.domain.keep_alive import KeepAlive, parse_keep_alive
from mlxk.domain.sampling import Sampling

__all__ = [
    "HARMLESS",
    "ChatBody",
    "ChatMessage",
    "ChatTool",
    "ContentPart",
    "JsonSchemaFormat",
    "NamedChoice",
    "SampledFields",
    "StreamOptions",
]

HARMLESS = (
    "user",
    "metadata",
    "store",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
)
"""Fields that are accepted and have no effect: they mean something only to a hosted service."""

_NO_EFFECT = Field(default=None, description="Accepted; has no effect.")


class HarmlessFields(Body):
    """Fields that a hosted service understands and that change no answer; see `HARMLESS`."""

    user: JsonValue = _NO_EFFECT
    metadata: JsonValue = _NO_EFFECT
    store: JsonValue = _NO_EFFECT
    service_tier: JsonValue = _NO_EFFECT
    safety_identifier: JsonValue = _NO_EFFECT
    prompt_cache_key: JsonValue = _NO_EFFECT
    prompt_cache_options: JsonValue = _NO_EFFECT
    prompt_cache_retention: JsonValue = _NO_EFFECT


class ContentPart(Body):
    """A piece of a message: text, or what only multimodal models read."""

    type: Literal["text", "refusal", "image_url", "input_audio", "file"]
    text: str | None = None
    refusal: str | None = None
    image_url: JsonValue = None
    input_audio: JsonValue = None
    file: JsonValue = None
    cache_control: JsonValue = _NO_EFFECT
    prompt_cache_breakpoint: JsonValue = _NO_EFFECT


class CalledFunction(Body):
    """The function of a tool call; `arguments` is JSON text."""

    name: ToolName
    arguments: str | None = None


class CalledTool(Body):
    """A tool call of an earlier assistant message."""

    id: Annotated[str, Field(min_length=1, max_length=512)]
    type: Literal["function"] | None = None
    function: CalledFunction
    index: int | None = Field(default=None, description="As streams have it; has no effect.")


def _content_kind(value: object) -> str:
    return "#parts" if isinstance(value, (list, tuple)) else "#text"


Content: TypeAlias = Annotated[
    Annotated[str, Tag("#text")] | Annotated[tuple[ContentPart, ...], Tag("#parts")],
    Discriminator(_content_kind),
]


class ChatMessage(Body):
    """One message; which fields belong to which role is checked when the conversation is read.

    `name`, `annotations` and the reasoning of earlier answers are accepted, as clients send answers back
    as they got them (`provider_specific_fields` is what litellm adds to them), and not given to the model.
    """

    IGNORED: ClassVar[tuple[str, ...]] = (
        *("name", "annotations", "reasoning_content", "reasoning"),
        *("provider_specific_fields", "cache_control"),
    )

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Content | None = None
    tool_calls: Annotated[tuple[CalledTool, ...], Field(max_length=MAX_TOOLS)] | None = None
    tool_call_id: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    refusal: str | None = None
    name: str | None = None
    annotations: JsonValue = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    provider_specific_fields: JsonValue = None
    cache_control: JsonValue = None
    audio: None = None
    function_call: None = None


class FunctionTool(Body):
    """A function; `strict` is accepted: required and named calls always fit the schema."""

    name: ToolName
    description: str | None = None
    parameters: dict[str, JsonValue] | None = None
    strict: bool | None = None
    cache_control: JsonValue = _NO_EFFECT


class ChatTool(Body):
    """A tool the model may call."""

    type: Literal["function"]
    function: FunctionTool
    cache_control: JsonValue = _NO_EFFECT

    @model_validator(mode="before")
    @classmethod
    def _only_functions(cls, value: object) -> object:
        """Custom tools have grammars of their own."""
        return only_type(value, "function")


class FunctionName(Body):
    """The name of a function."""

    name: ToolName


class NamedChoice(Body):
    """The one function that must be called."""

    type: Literal["function"]
    function: FunctionName

    @model_validator(mode="before")
    @classmethod
    def _only_functions(cls, value: object) -> object:
        """No other tools can be chosen, nor a part of them."""
        return only_type(value, "function")


def _choice_kind(value: object) -> str:
    return "#text" if isinstance(value, str) else "#named"


Choice: TypeAlias = Annotated[
    Annotated[Literal["auto", "none", "required"], Tag("#text")] | Annotated[NamedChoice, Tag("#named")],
    Discriminator(_choice_kind),
]


class TextFormat(Body):
    """Free text."""

    type: Literal["text"]


class JsonObjectFormat(Body):
    """Any JSON object."""

    type: Literal["json_object"]


class NamedSchema(Body):
    """A JSON Schema; the answer always validates, `strict` or not."""

    name: Annotated[str, Field(min_length=1, max_length=512)]
    description: str | None = None
    schema_: dict[str, JsonValue] = Field(alias="schema")
    strict: bool | None = None


class JsonSchemaFormat(Body):
    """JSON by a schema."""

    type: Literal["json_schema"]
    json_schema: NamedSchema


ResponseFormat: TypeAlias = Annotated[
    Annotated[TextFormat, Tag("#text")]
    | Annotated[JsonObjectFormat, Tag("#json_object")]
    | Annotated[JsonSchemaFormat, Tag("#json_schema")],
    by_type("text", "json_object", "json_schema"),
]


class StreamOptions(Body):
    """`include_usage` adds a last chunk with token counts; obfuscation is accepted and not done."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class SampledFields(HarmlessFields):
    """What chats and completions have in common."""

    model: ModelName
    max_tokens: Count | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    top_k: TopK | None = None
    min_p: MinP | None = None
    repetition_penalty: RepetitionPenalty | None = None
    presence_penalty: PresencePenalty | None = None
    frequency_penalty: FrequencyPenalty | None = None
    logit_bias: LogitBias | None = None
    seed: Seed | None = None
    stop: Stop | None = None
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    keep_alive: KeepAliveField | None = None

    def sampling(self) -> Sampling:
        """How tokens are drawn; what is not said is the server's default."""
        return sampling_with(
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            min_p=self.min_p,
            repetition_penalty=self.repetition_penalty,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            logit_bias=self.logit_bias,
            seed=self.seed,
        )

    def staying(self) -> KeepAlive | None:
        """How long the model stays loaded, or None for the server's default."""
        return None if self.keep_alive is None else parse_keep_alive(self.keep_alive)

    def with_usage(self) -> bool:
        """Whether a stream ends with token counts.

        Raises:
            InvalidInput: there are options for a stream, but none is asked for.
        """
        if self.stream_options is None:
            return False
        if not self.stream:
            raise InvalidInput("Stream options are for streams.", param="stream_options")
        return self.stream_options.include_usage is True


class ChatBody(SampledFields):
    """A chat request."""

    messages: Annotated[tuple[ChatMessage, ...], Field(min_length=1, max_length=MAX_MESSAGES)]
    max_completion_tokens: Count | None = None
    logprobs: bool | None = None
    top_logprobs: TopLogprobs | None = None
    tools: Annotated[tuple[ChatTool, ...], Field(max_length=MAX_TOOLS)] | None = None
    tool_choice: Choice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: Effort | None = None
    chat_template_kwargs: Annotated[dict[str, JsonValue], Field(max_length=32)] | None = None
    modalities: Annotated[tuple[Literal["text"], ...], Field(max_length=2)] | None = None
    verbosity: Literal["medium"] | None = None
    prediction: JsonValue = Field(default=None, description="A guess of the answer; has no effect.")
