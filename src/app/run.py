"""`mlxk run`: one prompt in, one answer out, streamed."""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mlxk.app.catalog import Catalog
from mlxk.app.fitness import refuse_too_large, refuse_unfit
from mlxk.app.inspection import InspectedModel, Inspector
from mlxk.app.results import RunResult
from mlxk.domain.errors import InvalidInput
from mlxk.domain.generation import (
    Answer,
    Delta,
    GenerationRequest,
    Message,
    Prompt,
    ReasoningDelta,
    Role,
    Sampling,
    TextDelta,
    ToolCallDelta,
    collect,
)
from mlxk.domain.memory import Verdict
from mlxk.domain.ports import Host, TextModel, TextRuntime

__all__ = ["Listener", "Run", "RunRequest", "as_generation_request"]


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What to generate.

    Attributes:
        model: a name or path, as typed.
        max_tokens: completion tokens; None leaves it to the context.
        chat_template: False gives the prompt to the model as it is.
        thinking: see `GenerationRequest`.

    Raises:
        InvalidInput: the prompt is empty, or a system prompt is given where no template can place it.
    """

    model: str
    prompt: str
    system: str | None = None
    sampling: Sampling = field(default_factory=Sampling)
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    chat_template: bool = True
    thinking: bool | None = None

    def __post_init__(self) -> None:
        if not self.prompt.strip():
            raise InvalidInput(
                "The prompt is empty.", hint="give a prompt, or '-' to read one from standard input"
            )
        if self.system is not None and not self.chat_template:
            raise InvalidInput(
                "A system prompt needs the chat template.", hint="drop --system or --no-chat-template"
            )


class Listener(Protocol):
    """Hears a generation as it happens."""

    def notice(self, text: str) -> None:
        """Something the user should know, which does not stop the work."""

    def loading(self, name: str) -> None:
        """A model is being loaded, which may take a while."""

    def delta(self, delta: Delta) -> None:
        """The next piece of the answer."""


class Run:
    """Generates one answer with a text model."""

    def __init__(
        self,
        catalog: Catalog,
        inspector: Inspector,
        host: Host,
        runtime: TextRuntime,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._catalog = catalog
        self._inspector = inspector
        self._host = host
        self._runtime = runtime
        self._clock = clock

    def __call__(self, request: RunRequest, listener: Listener) -> RunResult:
        """Load the model and generate; what the listener hears is what the result holds.

        Raises:
            MlxkError: the model is unknown, damaged, not for text, unsupported here or too large; or the
                prompt does not fit its context.
        """
        generation = as_generation_request(request)
        model = self._inspector(self._catalog.find(request.model))
        refuse_unfit(model, self._host.runtimes(), model.record.name)
        gate = refuse_too_large(model, self._host.memory(), model.record.name)
        if gate.verdict is Verdict.TIGHT:
            listener.notice(f"Model '{model.record.name}' {gate.reason}.")
        listener.loading(model.record.name)
        with closing(self._runtime.load(Path(model.record.path))) as loaded:
            return self._generate(model, loaded, request, generation, listener)

    def _generate(
        self,
        model: InspectedModel,
        loaded: TextModel,
        request: RunRequest,
        generation: GenerationRequest,
        listener: Listener,
    ) -> RunResult:
        deltas: list[Delta] = []
        started = self._clock()
        first: float | None = None
        with closing(loaded.generate(generation)) as stream:
            for delta in stream:
                if first is None and isinstance(delta, (TextDelta, ReasoningDelta, ToolCallDelta)):
                    first = self._clock()
                deltas.append(delta)
                listener.delta(delta)
        ended = self._clock()
        return _result(model.record.name, request, collect(deltas), started, first or started, ended)


def as_generation_request(request: RunRequest) -> GenerationRequest:
    """The request as the runtime takes it: a conversation, or raw text without the template."""
    if request.chat_template:
        user = Message(Role.USER, request.prompt)
        prompt: tuple[Message, ...] | Prompt = (
            (Message(Role.SYSTEM, request.system), user) if request.system else (user,)
        )
    else:
        prompt = Prompt(request.prompt)
    return GenerationRequest(
        prompt=prompt,
        sampling=request.sampling,
        max_tokens=request.max_tokens,
        stop=request.stop,
        thinking=request.thinking,
    )


def _result(
    name: str, request: RunRequest, answer: Answer, started: float, first: float, ended: float
) -> RunResult:
    usage = answer.finish.usage
    decoding = ended - first
    return RunResult(
        model=name,
        prompt=request.prompt,
        response=answer.text,
        reasoning=answer.reasoning or None,
        finish_reason=answer.finish.reason.value,
        tokens_generated=usage.completion_tokens,
        prompt_tokens=usage.prompt_tokens,
        generation_time_s=round(ended - started, 4),
        tokens_per_second=round((usage.completion_tokens - 1) / decoding, 2) if decoding > 0 else 0.0,
    )
