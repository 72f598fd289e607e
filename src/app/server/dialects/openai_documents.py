"""What OpenAI's chat and text completions look like, for the OpenAPI document and the tests."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

__all__ = ["AnswerToken", "CachedTokens", "ChatCompletion", "Completion", "Document"]

Finished = Literal["stop", "length", "tool_calls"]


class Document(BaseModel):
    """An answer; it has no other fields than these."""

    model_config = ConfigDict(extra="forbid", defer_build=True)


class CachedTokens(Document):
    """How many of the prompt's tokens came from the prompt cache."""

    cached_tokens: int


class ReasoningTokens(Document):
    """How many completion tokens were reasoning."""

    reasoning_tokens: int


class TokenUsage(Document):
    """Token counts, as the model counted them."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: CachedTokens
    completion_tokens_details: ReasoningTokens


class Function(Document):
    """A function to call; `arguments` is JSON text."""

    name: str
    arguments: str


class FunctionCall(Document):
    """A tool call."""

    id: str
    type: Literal["function"]
    function: Function


class LikelyToken(Document):
    """A token, its natural log-probability and its bytes."""

    token: str
    logprob: float
    bytes: list[int]


class AnswerToken(LikelyToken):
    """A token of the answer, with the likeliest ones in its place."""

    top_logprobs: list[LikelyToken]


class TokenLogprobs(Document):
    """Log-probabilities of the answer's tokens."""

    content: list[AnswerToken] | None
    refusal: None


class AssistantMessage(Document):
    """What the model said, after its reasoning."""

    role: Literal["assistant"]
    content: str | None
    reasoning_content: str | None = None
    tool_calls: list[FunctionCall] | None = None


class ChatChoice(Document):
    """One of the answers."""

    index: int
    message: AssistantMessage
    logprobs: TokenLogprobs | None
    finish_reason: Finished


class ChatCompletion(Document):
    """A finished chat answer."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: TokenUsage


class LegacyLogprobs(Document):
    """Log-probabilities of the text's tokens, as lists side by side."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


class TextChoice(Document):
    """One of the texts."""

    text: str
    index: int
    logprobs: LegacyLogprobs | None
    finish_reason: Finished


class Completion(Document):
    """A finished text completion."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[TextChoice]
    usage: TokenUsage
