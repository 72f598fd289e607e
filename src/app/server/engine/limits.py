"""How much the service takes on."""

from dataclasses import dataclass

from mlxk.domain.admission import DEFAULT_QUEUE_LIMIT
from mlxk.domain.keep_alive import DEFAULT_KEEP_ALIVE, FOREVER, KeepAlive
from mlxk.domain.watch import DEFAULT_STEP_LIMIT

__all__ = ["ServiceLimits"]


@dataclass(frozen=True, slots=True)
class ServiceLimits:
    """How much the service takes on.

    Attributes:
        max_models: models that may be warm at once (three, as Ollama).
        memory_budget: bytes for weights, prompt caches and running generations; None for 70 % of RAM.
        queue: requests that may wait.
        keep_alive: how long a model stays that nobody uses, when no request says.
        keep_alive_preloaded: the same for models that were named when the server was started.
        max_tokens: default completion tokens; an explicit request wins. None for half of the context.
        step_limit: seconds after which a model that computes one token counts as stuck.
        load_wait: seconds that a request waits for others to make room for its model.

    Raises:
        ValueError: `max_models` is below 1, or another limit is negative.
    """

    max_models: int = 3
    memory_budget: int | None = None
    queue: int = DEFAULT_QUEUE_LIMIT
    keep_alive: KeepAlive = DEFAULT_KEEP_ALIVE
    keep_alive_preloaded: KeepAlive = FOREVER
    max_tokens: int | None = None
    step_limit: float = DEFAULT_STEP_LIMIT
    load_wait: float = 60.0

    def __post_init__(self) -> None:
        if self.max_models < 1:
            raise ValueError(f"max_models must be at least 1, not {self.max_models}")
        if min(self.memory_budget or 0, self.queue, self.step_limit, self.load_wait) < 0:
            raise ValueError("no limit of the service may be negative")
