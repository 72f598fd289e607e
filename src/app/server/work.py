"""What a client asks for and what it may learn, in no dialect."""

from dataclasses import dataclass

from mlxk.domain.generation import GenerationRequest
from mlxk.domain.keep_alive import KeepAlive

__all__ = ["LoadedModelState", "ServedModel", "ServerState", "Work"]


@dataclass(frozen=True, slots=True)
class Work:
    """One request of a client.

    Attributes:
        model: the name as the client gave it.
        requests: one generation per choice, those of one prompt after those of the other; the choices of a
            prompt differ in nothing but the seed.
        keep_alive: how long the model stays after this, or None for the server's default.
        prompts: how many there are; each has as many choices.
    """

    model: str
    requests: tuple[GenerationRequest, ...]
    keep_alive: KeepAlive | None = None
    prompts: int = 1

    @property
    def choices(self) -> int:
        """Answers to each prompt."""
        return len(self.requests) // self.prompts


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A healthy model that can run here.

    Attributes:
        created: seconds since 1970.
        context_length: tokens, or None when the config does not say.
        capabilities: names as in `mlxk list --json`.
        loaded: whether it is warm.
    """

    id: str
    created: int
    owned_by: str
    context_length: int | None
    capabilities: tuple[str, ...]
    loaded: bool


@dataclass(frozen=True, slots=True)
class LoadedModelState:
    """A warm model: bytes it takes, generations in progress, requests that wait for it."""

    id: str
    weight_bytes: int
    prompt_cache_bytes: int
    running_bytes: int
    active: int
    waiting: int


@dataclass(frozen=True, slots=True)
class ServerState:
    """How the server is.

    Attributes:
        lost: why a runtime is dead or stuck, or None when all work.
        stopping: whether it takes no more work.
        queue_limit: requests that may wait.
        waiting_to_load: requests whose model is not warm yet.
        left_behind: lost models whose thread has not come back, which keep their memory until it does.
    """

    models: tuple[LoadedModelState, ...]
    queue_limit: int
    lost: str | None = None
    stopping: bool = False
    waiting_to_load: int = 0
    left_behind: int = 0

    @property
    def waiting(self) -> int:
        """Requests that wait for their turn."""
        return self.waiting_to_load + sum(model.waiting for model in self.models)

    @property
    def active(self) -> int:
        """Generations in progress."""
        return sum(model.active for model in self.models)
