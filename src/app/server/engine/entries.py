"""What the warm pool holds: a model as it can be loaded, and as it is in memory."""

from dataclasses import dataclass
from pathlib import Path

from mlxk.app.server.engine.runtime_thread import RuntimeThread
from mlxk.app.server.work import ServedModel
from mlxk.domain.keep_alive import KeepAlive
from mlxk.domain.pool import ModelKey, WarmModel

__all__ = ["Entry", "PooledModel"]


@dataclass(frozen=True, slots=True)
class PooledModel:
    """A model that can be loaded.

    Attributes:
        path: where it lies.
        nbytes: of its weights.
        shown: as clients saw it then, which is all there is to show once its folder is gone.
    """

    key: ModelKey
    name: str
    path: Path
    nbytes: int
    shown: ServedModel


@dataclass(eq=False, slots=True)
class Entry:
    """A warm model, or one that is being loaded.

    Attributes:
        keep_alive: as the latest request wants it that said so.
        last_used: seconds of the pool's clock.
        pins: requests that hold it, and generations in progress.
        waiting: requests that wait for it.
    """

    model: PooledModel
    runtime: RuntimeThread
    keep_alive: KeepAlive
    last_used: float
    pins: int = 0
    waiting: int = 0

    @property
    def running_bytes(self) -> int:
        """What running generations take: what was measured, or what they have reserved while that is more."""
        reserved = sum(generation.work.begin_bytes for generation in self.runtime.generations)
        return max(reserved, self.runtime.stats.running_bytes)

    def as_warm(self) -> WarmModel:
        """The entry as the policy sees it."""
        return WarmModel(
            self.model.key,
            self.model.nbytes,
            self.last_used,
            self.pins,
            self.last_used + self.keep_alive.seconds,
        )
