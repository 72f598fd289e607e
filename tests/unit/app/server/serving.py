"""A service over models in memory, with a clock that stands still until a test moves it."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from mlxk.app.catalog import Catalog
from mlxk.app.inspection import Inspector
from mlxk.app.server.engine.limits import ServiceLimits
from mlxk.app.server.engine.text_service import TextService
from mlxk.app.server.work import Work
from mlxk.domain.generation import Answer, Delta, GenerationRequest, collect
from mlxk.domain.keep_alive import KeepAlive
from mlxk.domain.model import SnapshotFacts
from tests.memory_engine import Faults, MemoryEngine, MemoryEngineRuntime
from tests.memory_ports import (
    FixedHost,
    MemoryFactReader,
    MemoryModelStore,
    MemoryWorkspaceStore,
    Repository,
)
from tests.unit.app.facts import MLX, facts_of

__all__ = ["WEIGHTS", "Clock", "Rig", "ask", "rig", "until", "work"]

COMMIT = "c" * 40
WEIGHTS = 1010
"""Bytes of every model here, its config among them."""

PATIENCE = 60.0
HOME = "/workspaces"


@dataclass
class Clock:
    now: float = 1000.0
    broken: bool = False

    def __call__(self) -> float:
        if self.broken:
            raise OSError("the clock is broken")
        return self.now


@dataclass
class Rig:
    """A service and what a test holds of it."""

    service: TextService
    runtime: MemoryEngineRuntime
    faults: Faults
    clock: Clock
    store: MemoryModelStore
    engines: list[tuple[str, MemoryEngine]] = field(default_factory=list)

    def loaded(self) -> list[str]:
        """The names of all models that were ever loaded, in order."""
        return [path.split("/")[2].removeprefix("models--").replace("--", "/") for path, _ in self.engines]

    def warm(self) -> list[str]:
        return [model.id for model in self.service.state().models]

    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds
        self.service.check()


@asynccontextmanager
async def rig(
    *names: str,
    max_batch: int = 8,
    facts: Mapping[str, SnapshotFacts] | None = None,
    context_length: int | None = 4096,
    workspaces: Sequence[str] = (),
    **limits: object,
) -> AsyncGenerator[Rig, None]:
    """A service with these models; it is shut down, and its threads come back, at the end."""
    store = MemoryModelStore(*(Repository(name, [COMMIT], {"main": COMMIT}) for name in names or ("org/a",)))
    home = MemoryWorkspaceStore(HOME, [f"{HOME}/{name}" for name in workspaces])
    found = {
        record.path: (facts or {}).get(record.name) or facts_of(record.name, card=MLX)
        for record in (*store.records(), *home.records())
    }
    catalog = Catalog(store, home, MemoryModelStore())
    faults, clock, host = Faults(), Clock(), FixedHost()
    runtime = MemoryEngineRuntime(
        lambda: MemoryEngine(max_batch=max_batch, faults=faults, context_length=context_length)
    )
    service = TextService(
        catalog,
        Inspector(MemoryFactReader(found), host),
        host,
        runtime,
        ServiceLimits(**limits),  # type: ignore[arg-type]
        clock,
    )
    try:
        yield Rig(service, runtime, faults, clock, store, runtime.loaded)
    finally:
        faults.release.set()
        if faults.gate is not None:
            faults.gate.set()
        await service.shutdown(PATIENCE)


def work(
    request: GenerationRequest, *more: GenerationRequest, model: str = "org/a", stay: float | None = None
) -> Work:
    return Work(model, (request, *more), None if stay is None else KeepAlive(stay))


async def ask(service: TextService, asked: Work) -> list[Answer]:
    """All choices, whole."""
    deltas: dict[int, list[Delta]] = {}
    async with service.answer(asked) as answering:
        async for batch in answering:
            for choice, delta in batch:
                deltas.setdefault(choice, []).append(delta)
    return [collect(deltas[choice]) for choice in sorted(deltas)]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that other threads bring about."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.002)
