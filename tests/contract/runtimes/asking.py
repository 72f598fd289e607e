"""Short ways to ask a model in tests."""

from typing import Any

from mlxk.adapters.runtimes.sequences import Handle
from mlxk.adapters.runtimes.text_engine import TextEngine
from mlxk.domain.generation import (
    Answer,
    Delta,
    Finish,
    GenerationRequest,
    Message,
    Prompt,
    Role,
    Sampling,
    ToolDefinition,
    collect,
)
from tests.contract.tiny_models import WEATHER_TOOL

GREEDY = Sampling(temperature=0, top_p=1, repetition_penalty=1)
_FUNCTION: Any = WEATHER_TOOL["function"]
TOOLS = (ToolDefinition(_FUNCTION["name"], _FUNCTION["description"], _FUNCTION["parameters"]),)


def chat(user: str, *, thinking: bool | None = False, **settings: Any) -> GenerationRequest:
    """A greedy request of one user message, without thinking unless asked for."""
    settings.setdefault("sampling", GREEDY)
    return GenerationRequest((Message(Role.USER, user),), thinking=thinking, **settings)


def raw(text: str, **settings: Any) -> GenerationRequest:
    """A greedy request without a chat template."""
    settings.setdefault("sampling", GREEDY)
    return GenerationRequest(Prompt(text), **settings)


def ask(engine: TextEngine, request: GenerationRequest) -> Answer:
    """The whole answer."""
    return collect(list(engine.generate(request)))


def submit(engine: TextEngine, request: GenerationRequest) -> Handle:
    """Prepare a request and hand it in."""
    return engine.submit(engine.prepare(request, default_limit=None))


def run_all(engine: TextEngine) -> dict[Handle, list[Delta]]:
    """Step until every submitted generation has finished."""
    seen: dict[Handle, list[Delta]] = {}
    while engine.active:
        for handle, delta in engine.step():
            seen.setdefault(handle, []).append(delta)
    assert all(isinstance(deltas[-1], Finish) for deltas in seen.values())
    return seen
