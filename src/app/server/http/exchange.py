"""What one HTTP exchange learns about itself on its way through the guards and routes."""

from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import Scope

__all__ = ["Exchange", "begin_exchange", "exchange_of"]

_KEY = "mlxk.exchange"


@dataclass(slots=True)
class Exchange:
    """One request and its answer.

    Attributes:
        request_id: the client's, if it is sane, else ours.
        redact: takes secrets out of what is sent.
        started: `time.perf_counter()` when it came.
        model: the model's full name, once work was admitted.
        first_token: `time.perf_counter()` when the first delta came.
        prompt_tokens: of all prompts.
        completion_tokens: of all choices that finished.
        client_left: the client hung up before the answer was complete.
        error: the type of the error it was answered with.
    """

    request_id: str
    redact: Callable[[str], str]
    started: float
    model: str | None = None
    first_token: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int = 0
    client_left: bool = False
    error: str | None = None


def exchange_of(scope: Scope) -> Exchange:
    """The exchange a scope belongs to; the outermost guard has put it there."""
    found = scope.get(_KEY)
    assert isinstance(found, Exchange)
    return found


def begin_exchange(scope: Scope, exchange: Exchange) -> None:
    """Let everything further in find the exchange."""
    scope[_KEY] = exchange
