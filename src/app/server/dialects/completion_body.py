"""The body of `POST /v1/completions`, as OpenAI documents it."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Discriminator, Field, Tag

from mlxk.app.server.dialects.chat_body import SampledFields
from mlxk.app.server.dialects.fields import (
    TopLogprobs,
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


class CompletionBody(SampledFields):
    """A text completion request: no chat template."""

    prompt: PromptField
    best_of: Literal[1] | None = None
    logprobs: TopLogprobs | None = None
    echo: bool | None = None
    suffix: None = None
