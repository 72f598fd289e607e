"""Notices the runtime threads that died or do not come back, and gives them up."""

import asyncio
from collections.abc import Callable

from mlxk.app.server.engine.entries import Entry
from mlxk.app.server.engine.losses import lost
from mlxk.app.server.engine.pool import WarmPool
from mlxk.app.server.engine.runtime_life import RuntimeLife
from mlxk.domain.errors import MlxkError
from mlxk.domain.watch import Phase, Vital, limit_of

__all__ = ["Watchdog"]

_WATCHED = (RuntimeLife.LOADING, RuntimeLife.READY, RuntimeLife.CLOSING)


class Watchdog:
    """Looks at the beat of every runtime thread.

    A thread cannot be killed. One that is given up is dropped from the pool, where its bytes count until it
    comes back and ends; whoever waited for it hears of it at once, and the next request loads its model anew
    (waiting for room if both do not fit). Until such a load succeeded, or the model was unloaded on request,
    the server's state says what was lost.

    Args:
        step_limit: seconds that computing one token may take.
        clock: the one that the beats are written by.
    """

    def __init__(self, pool: WarmPool, step_limit: float, clock: Callable[[], float]) -> None:
        self._pool = pool
        self._step_limit = step_limit
        self._clock = clock

    def check(self) -> None:
        """Look at every runtime once."""
        for entry in (*self._pool.entries, *self._pool.leaving):
            if entry.runtime.life in _WATCHED and entry.runtime.failure is None:
                self._check(entry)

    def _check(self, entry: Entry) -> None:
        match entry.runtime.vital(self._clock(), self._step_limit):
            case Vital.STUCK:
                self._pool.lose(entry, self._stuck(entry))
            case Vital.DEAD:
                # What it died of is on its way to the event loop already; this is for a thread that was
                # ended from outside and could not say anything.
                asyncio.get_running_loop().call_soon(self._confirm_dead, entry)

    def _confirm_dead(self, entry: Entry) -> None:
        if entry.runtime.life in _WATCHED:
            self._pool.lose(entry, _dead(entry))

    def _stuck(self, entry: Entry) -> MlxkError:
        phase = entry.runtime.beat.phase
        doing = "rendering a prompt" if phase is Phase.IDLE else phase.value
        limit = limit_of(Phase.PREFILLING if phase is Phase.IDLE else phase, self._step_limit)
        return lost(f"Model '{entry.model.name}' is stuck: {doing} has taken more than {limit:g} seconds.")


def _dead(entry: Entry) -> MlxkError:
    return lost(f"The thread of model '{entry.model.name}' has died.")
