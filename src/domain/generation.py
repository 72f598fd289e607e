"""What is asked of a text model and what it answers: requests, sampling settings, typed deltas.

The same values serve the command line and the server, so streamed and whole answers cannot differ.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from itertools import groupby
from typing import TypeAlias

from mlxk.domain.errors import InvalidInput
from mlxk.domain.model import JsonValue
from mlxk.domain.sampling import Sampling

__all__ = [
    "Answer",
    "Delta",
    "Finish",
    "FinishReason",
    "GenerationRequest",
    "JsonFormat",
    "LogprobDelta",
    "Message",
    "NamedTool",
    "Prompt",
    "ReasoningDelta",
    "Role",
    "Sampling",
    "TextDelta",
    "TokenLogprob",
    "ToolCall",
    "ToolCallDelta",
    "ToolChoice",
    "ToolDefinition",
    "Usage",
    "collect",
    "joined",
]

MAX_STOPS = 64
MAX_TOP_LOGPROBS = 20


class Role(Enum):
    """Who said a message."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function the model wants called. `arguments` is the JSON text of an object."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    Attributes:
        tool_calls: what an assistant turn asked for.
        tool_call_id: which call a tool turn answers.
    """

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None


@dataclass(frozen=True, slots=True)
class ToolDefinition:
    """A function the model may call; `parameters` is its JSON Schema."""

    name: str
    description: str
    parameters: Mapping[str, JsonValue]


class ToolChoice(Enum):
    """Whether the model may, must not or must call a tool."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class NamedTool:
    """The one tool that the model must call."""

    name: str


@dataclass(frozen=True, slots=True)
class JsonFormat:
    """The answer is JSON: a value of a JSON Schema, or any object when there is none."""

    schema: Mapping[str, JsonValue] | None = None


@dataclass(frozen=True, slots=True)
class Prompt:
    """Text given to the model as it is, without a chat template."""

    text: str


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One generation.

    Attributes:
        prompt: a conversation, rendered with the model's chat template (or, when it has none, joined as
            plain text), or raw text.
        max_tokens: upper bound on generated tokens; None leaves it to the context.
        stop: texts that end the answer and are not part of it.
        tools: functions the model may call.
        tool_choice: whether, or which of, the tools must be called.
        parallel_tool_calls: False allows one tool call in an answer.
        thinking: False asks a thinking model to answer at once, True to think, None for its default.
        template_settings: more that the chat template is told, by name.
        response_format: the answer (not the reasoning before it) is held to this; None leaves it free.
        top_logprobs: give the log-probability of each answer token and of this many likeliest ones
            instead of it, 0 to 20; None gives none.

    Raises:
        InvalidInput: no messages, an empty stop text, too many of them, a limit below 1, a tool choice
            without such a tool, or too many log-probabilities.
    """

    prompt: tuple[Message, ...] | Prompt
    sampling: Sampling = field(default_factory=Sampling)
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    tools: tuple[ToolDefinition, ...] = ()
    tool_choice: ToolChoice | NamedTool = ToolChoice.AUTO
    parallel_tool_calls: bool = True
    thinking: bool | None = None
    template_settings: Mapping[str, JsonValue] = field(default_factory=dict)
    response_format: JsonFormat | None = None
    top_logprobs: int | None = None

    def __post_init__(self) -> None:
        if not self.prompt or (isinstance(self.prompt, Prompt) and not self.prompt.text):
            raise InvalidInput(
                "The prompt is empty.", hint="give a prompt, or '-' to read one from standard input"
            )
        if self.max_tokens is not None and self.max_tokens < 1:
            raise InvalidInput(f"The max-tokens must be at least 1, not {self.max_tokens}.")
        if any(not text for text in self.stop):
            raise InvalidInput("A stop text is empty.")
        if len(self.stop) > MAX_STOPS:
            raise InvalidInput(f"There are {len(self.stop)} stop texts; at most {MAX_STOPS} are allowed.")
        if self.top_logprobs is not None and not 0 <= self.top_logprobs <= MAX_TOP_LOGPROBS:
            raise InvalidInput(
                f"The top-logprobs must be between 0 and {MAX_TOP_LOGPROBS}, not {self.top_logprobs}."
            )
        self._check_tool_choice()

    def _check_tool_choice(self) -> None:
        match self.tool_choice:
            case NamedTool(name) if name not in {tool.name for tool in self.tools}:
                raise InvalidInput(f"The tool choice names '{name}', which is not among the tools.")
            case ToolChoice.REQUIRED if not self.tools:
                raise InvalidInput("A tool call is required, but there are no tools.")


class FinishReason(Enum):
    """Why a generation ended."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one generation, as the model counted them.

    Attributes:
        prompt_tokens: tokens of the rendered prompt.
        completion_tokens: tokens generated, the end token among them.
        cached_tokens: how many of the prompt's tokens came from the prompt cache.
        reasoning_tokens: how many of the generated tokens are reasoning.
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the answer; never empty, never part of a character, a marker or a stop text."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """A piece of the model's reasoning, its markers removed."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """One complete tool call; `index` counts the calls of this answer from 0."""

    index: int
    call: ToolCall


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One token with its natural log-probability.

    Attributes:
        text: what the token alone stands for; U+FFFD where its bytes are no whole character.
        raw: its bytes.
    """

    text: str
    raw: bytes
    logprob: float


@dataclass(frozen=True, slots=True)
class LogprobDelta:
    """The log-probability of the next answer token, and of the likeliest ones, best first."""

    token: TokenLogprob
    top: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Finish:
    """The last delta of every generation.

    Attributes:
        stopped_by: the stop text that ended it, or None.
    """

    reason: FinishReason
    usage: Usage
    stopped_by: str | None = None


Delta: TypeAlias = TextDelta | ReasoningDelta | ToolCallDelta | LogprobDelta | Finish


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole generation.

    Attributes:
        deltas: in the order they came, so that what is rendered whole is what a stream would have told.

    Raises:
        ValueError: the last delta is not a `Finish`.
    """

    deltas: tuple[Delta, ...]

    def __post_init__(self) -> None:
        if not self.deltas or not isinstance(self.deltas[-1], Finish):
            raise ValueError("a generation ends with a Finish")

    @property
    def text(self) -> str:
        """The answer without its reasoning and calls."""
        return "".join(delta.text for delta in self.deltas if isinstance(delta, TextDelta))

    @property
    def reasoning(self) -> str:
        """All that the model reasoned."""
        return "".join(delta.text for delta in self.deltas if isinstance(delta, ReasoningDelta))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The functions it wants called."""
        return tuple(delta.call for delta in self.deltas if isinstance(delta, ToolCallDelta))

    @property
    def logprobs(self) -> tuple[LogprobDelta, ...]:
        """The log-probabilities of its tokens, if they were asked for."""
        return tuple(delta for delta in self.deltas if isinstance(delta, LogprobDelta))

    @property
    def finish(self) -> Finish:
        """How it ended."""
        last = self.deltas[-1]
        assert isinstance(last, Finish), "there is no answer without it"
        return last


def collect(deltas: Iterable[Delta]) -> Answer:
    """Join deltas into the answer they are pieces of.

    Raises:
        ValueError: the last delta is not a `Finish`.
    """
    return Answer(tuple(joined(deltas)))


def joined(deltas: Iterable[Delta]) -> Iterator[Delta]:
    """The same deltas with neighbouring pieces of text, or of reasoning, as one."""
    for kind, run in groupby(deltas, key=type):
        if issubclass(kind, (TextDelta, ReasoningDelta)):
            yield kind("".join(delta.text for delta in run if isinstance(delta, kind)))
        else:
            yield from run
