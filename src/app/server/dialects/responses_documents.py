"""What a response looks like, for the OpenAPI document and the tests."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, JsonValue

from mlxk.app.server.dialects.openai_documents import AnswerToken, CachedTokens, Document

__all__ = ["ResponseObject"]

ItemStatus: TypeAlias = Literal["in_progress", "completed", "incomplete"]


class OutputTextPart(Document):
    """What the model said."""

    type: Literal["output_text"]
    text: str
    annotations: list[JsonValue]
    logprobs: list[AnswerToken]


class OutputMessage(Document):
    """A message of the model."""

    type: Literal["message"]
    id: str
    status: ItemStatus
    role: Literal["assistant"]
    content: list[OutputTextPart]


class ReasoningTextPart(Document):
    """What the model thought."""

    type: Literal["reasoning_text"]
    text: str


class OutputReasoning(Document):
    """The model's reasoning."""

    type: Literal["reasoning"]
    id: str
    status: ItemStatus
    summary: list[JsonValue]
    content: list[ReasoningTextPart]


class OutputFunctionCall(Document):
    """A function the model wants called; `arguments` is JSON text."""

    type: Literal["function_call"]
    id: str
    status: ItemStatus
    call_id: str
    name: str
    arguments: str


OutputItemDocument: TypeAlias = Annotated[
    OutputMessage | OutputReasoning | OutputFunctionCall, Field(discriminator="type")
]


class InputTokensDetails(CachedTokens):
    """Where the prompt's tokens came from."""

    cache_write_tokens: int


class OutputTokensDetails(Document):
    """What the generated tokens are."""

    reasoning_tokens: int


class ResponseUsage(Document):
    """Token counts, as the model counted them."""

    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int


class ResponseObject(Document):
    """A response; it repeats the settings it was asked for with."""

    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["completed", "incomplete"]
    error: None
    incomplete_details: dict[str, str] | None
    model: str
    output: list[OutputItemDocument]
    usage: ResponseUsage
    instructions: str | None
    max_output_tokens: int | None
    temperature: float | None
    top_p: float | None
    top_logprobs: int | None
    tools: list[dict[str, JsonValue]]
    tool_choice: JsonValue
    parallel_tool_calls: bool
    text: dict[str, JsonValue]
    reasoning: dict[str, JsonValue]
    truncation: Literal["disabled"]
    background: Literal[False]
    store: Literal[False]
    previous_response_id: None
    metadata: JsonValue
    user: JsonValue
