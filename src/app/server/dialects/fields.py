"""Field types that the dialects share: strict, bounded, and named as the client wrote them in errors."""

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    PlainValidator,
    Tag,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from mlxk.domain.generation import MAX_STOPS, MAX_TOP_LOGPROBS, ToolDefinition
from mlxk.domain.sampling import (
    MAX_BIAS,
    MAX_BIASES,
    MAX_PENALTY,
    MAX_REPETITION_PENALTY,
    MAX_SEED,
    MAX_TEMPERATURE,
    MAX_TOP_K,
    MIN_REPETITION_PENALTY,
    Sampling,
)

__all__ = [
    "MAX_CHOICES",
    "MAX_MESSAGES",
    "MAX_STOP_TEXT",
    "MAX_TOKENS",
    "MAX_TOOLS",
    "SERVER_SAMPLING",
    "UNKNOWN_FIELD",
    "Body",
    "Count",
    "FrequencyPenalty",
    "KeepAliveField",
    "LogitBias",
    "MinP",
    "ModelName",
    "PresencePenalty",
    "RepetitionPenalty",
    "Seed",
    "Stop",
    "StopText",
    "Temperature",
    "ToolName",
    "TopK",
    "TopLogprobs",
    "TopP",
    "sampling_with",
    "stop_texts",
    "tool_definition",
]

MAX_MESSAGES = 16_384
MAX_TOOLS = 256
MAX_CHOICES = 8
MAX_TOKENS = 2**31 - 1
MAX_STOP_TEXT = 1024
MAX_NAME = 512

SERVER_SAMPLING = Sampling(repetition_penalty=1.0)
"""Where a request does not say: as `mlxk run`, but without its repetition penalty, which harms JSON, code
and tool calls, and which no OpenAI client expects."""


UNKNOWN_FIELD = "unknown_field"
"""pydantic's error type for a field that no body has."""


def _only_null(value: object) -> None:
    """Null asks for nothing: the types of SDKs, dumped, name every field that a server may know."""
    if value is not None:
        raise PydanticCustomError(UNKNOWN_FIELD, "unknown or unsupported field")


Unknown: TypeAlias = Annotated[None, PlainValidator(_only_null), WithJsonSchema({"type": "null"})]


class Body(BaseModel):
    """A request body: unknown fields that are not null, wrong types and NaN are refused."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False, frozen=True, defer_build=True)
    __pydantic_extra__: dict[str, Unknown] = Field(init=False)


def _text_or_list(value: object) -> str:
    return "#list" if isinstance(value, (list, tuple)) else "#text"


ModelName = Annotated[str, Field(min_length=1, max_length=MAX_NAME, description="A local model's name.")]
Temperature = Annotated[float, Field(ge=0, le=MAX_TEMPERATURE)]
TopP = Annotated[float, Field(gt=0, le=1)]
TopK = Annotated[int, Field(ge=0, le=MAX_TOP_K)]
MinP = Annotated[float, Field(ge=0, le=1)]
RepetitionPenalty = Annotated[float, Field(ge=MIN_REPETITION_PENALTY, le=MAX_REPETITION_PENALTY)]
PresencePenalty = Annotated[float, Field(ge=-MAX_PENALTY, le=MAX_PENALTY)]
FrequencyPenalty = Annotated[float, Field(ge=-MAX_PENALTY, le=MAX_PENALTY)]
TokenId = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,8})$")]
Bias = Annotated[float, Field(ge=-MAX_BIAS, le=MAX_BIAS)]
LogitBias = Annotated[dict[TokenId, Bias], Field(max_length=MAX_BIASES)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Count = Annotated[int, Field(ge=1, le=MAX_TOKENS)]
TopLogprobs = Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS)]
StopText = Annotated[str, Field(min_length=1, max_length=MAX_STOP_TEXT)]
Stop: TypeAlias = Annotated[
    Annotated[StopText, Tag("#text")]
    | Annotated[tuple[StopText, ...], Field(max_length=MAX_STOPS), Tag("#list")],
    Discriminator(_text_or_list),
]
ToolName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_.-]{1,128}$")]


def _text_or_number(value: object) -> Literal["#text", "#number"]:
    return "#text" if isinstance(value, str) else "#number"


KeepAliveField: TypeAlias = Annotated[
    Annotated[str, Field(max_length=40), Tag("#text")]
    | Annotated[float, Field(ge=-1, le=10**9 - 1), Tag("#number")],
    Discriminator(_text_or_number),
]


def sampling_with(
    *,
    temperature: float | None = None,
    top_p: float | None = None,
    top_k: int | None = None,
    min_p: float | None = None,
    repetition_penalty: float | None = None,
    presence_penalty: float | None = None,
    frequency_penalty: float | None = None,
    logit_bias: Mapping[str, float] | None = None,
    seed: int | None = None,
) -> Sampling:
    """Sampling as a request has it; None is the server's default."""
    default = SERVER_SAMPLING
    return Sampling(
        temperature=default.temperature if temperature is None else temperature,
        top_p=default.top_p if top_p is None else top_p,
        top_k=default.top_k if top_k is None else top_k,
        min_p=default.min_p if min_p is None else min_p,
        repetition_penalty=(default.repetition_penalty if repetition_penalty is None else repetition_penalty),
        presence_penalty=presence_penalty or 0.0,
        frequency_penalty=frequency_penalty or 0.0,
        logit_bias={int(token): bias for token, bias in (logit_bias or {}).items()},
        seed=seed,
    )


def stop_texts(stop: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """The stop texts, however they were written; duplicates count once."""
    if stop is None:
        return ()
    return (stop,) if isinstance(stop, str) else tuple(dict.fromkeys(stop))


def tool_definition(
    name: str, description: str | None, parameters: Mapping[str, JsonValue] | None
) -> ToolDefinition:
    """A tool; without parameters it takes an empty object."""
    return ToolDefinition(name, description or "", parameters or {"type": "object", "properties": {}})
