"""The body of `POST /v1/completions`, as OpenAI documents it."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Discriminator, Field, Tag

from mlxk.app.server.dialects.chat_body import HarmlessFields, StreamOptions
from mlxk.app.server.dialects.fields import (
    MAX_CHOICES,
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
    TopK,
    TopLogprobs,
    TopP,
)

__all__ = ["MAX_PROMPTS", "CompletionBody"]

MAX_PROMPTS = 32


def _prompt_kind(value: object) -> str:
    return "#list" if isinstance(value, (list, tuple)) else "#text"


PromptText = Annotated[str, Field(min_length=1, description="Text; token ids are not taken.")]
PromptField: TypeAlias = Annotated[
    Annotated[PromptText, Tag("#text")]
    | Annotated[tuple[PromptText, ...], Field(min_length=1, max_length=MAX_PROMPTS), Tag("#list")],
    Discriminator(_prompt_kind),
]


class CompletionBody(HarmlessFields):
    """A text completion request: no chat template."""

    model: ModelName
    prompt: PromptField
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
    best_of: Literal[1] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    logprobs: TopLogprobs | None = None
    echo: bool | None = None
    suffix: None = None
    keep_alive: KeepAliveField | None = None
