"""The models of this machine as the server shows them; looks at the disk on threads, remembers a little."""

import asyncio
import os.path
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar, cast

from mlxk.app.catalog import Catalog
from mlxk.app.fitness import refuse_too_large, refuse_unfit
from mlxk.app.inspection import InspectedModel, Inspector
from mlxk.app.server.engine.entries import PooledModel
from mlxk.app.server.work import ServedModel
from mlxk.domain.compatibility import text_problem
from mlxk.domain.errors import AmbiguousMatch, InvalidInput, MlxkError, ModelNotFound
from mlxk.domain.model import ModelRecord, Source
from mlxk.domain.naming import PathSpec, parse_spec
from mlxk.domain.pool import ModelKey
from mlxk.domain.ports import Host
from mlxk.domain.resolution import short_name

__all__ = ["KnownModel", "ModelDirectory"]

_REMEMBERED_SECONDS = 5.0
_REMEMBERED = 256

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model that was looked into.

    Attributes:
        name: its full name; a workspace is called by its directory, since clients learn no paths.
    """

    name: str
    key: ModelKey
    inspected: InspectedModel

    def served(self, *, loaded: bool) -> ServedModel:
        """The model as clients see it."""
        record, description = self.inspected.record, self.inspected.description
        owner, slash, _ = self.name.partition("/")
        return ServedModel(
            id=self.name,
            created=self.inspected.facts.modified_ns // 1_000_000_000,
            owned_by=owner if slash and record.source is Source.CACHE else "mlxk",
            context_length=description.context_length,
            capabilities=tuple(capability.value for capability in description.capabilities),
            loaded=loaded,
        )


@dataclass(frozen=True, slots=True)
class _Lookup:
    task: "asyncio.Task[object]"
    until: float


class ModelDirectory:
    """Finds and describes models without blocking the event loop.

    What was found is remembered for five seconds, and those who ask for the same at once look once. Clients
    name models; only who runs the server gives paths (`introduce`).

    Args:
        clock: seconds.
    """

    def __init__(
        self, catalog: Catalog, inspector: Inspector, host: Host, clock: Callable[[], float]
    ) -> None:
        self._catalog = catalog
        self._inspector = inspector
        self._host = host
        self._clock = clock
        self._lookups: dict[str | None, _Lookup] = {}
        self._introduced: dict[str, ModelRecord] = {}

    async def introduce(self, text: str) -> KnownModel:
        """A model by a name or path that the person typed who runs the server; its name is known from now on.

        Raises:
            MlxkError: as `Catalog.find`.
            InvalidInput: another introduced model has the same name, as directories may.
        """
        record = await asyncio.to_thread(self._catalog.find, text)
        name = short_name(record)
        if self._introduced.setdefault(name, record).path != record.path:
            raise InvalidInput(
                f"Two of the models would both be called '{name}'.", hint="rename one of the directories"
            )
        return await asyncio.to_thread(self._look_into, record)

    @property
    def introduced(self) -> Sequence[str]:
        """The full names of the introduced models, in order."""
        return tuple(self._introduced)

    async def find(self, name: str) -> KnownModel:
        """The model that a client's name means.

        Raises:
            MlxkError: (`MODEL_NOT_FOUND`, `AMBIGUOUS_MATCH`, `VALIDATION`) it means none, or several.
        """
        return await self._remembered(name, partial(self._find, name))

    async def all(self) -> Sequence[KnownModel]:
        """Every healthy model that can run here: the introduced ones first, then by name."""
        return await self._remembered(None, self._list)

    async def refuse_unlisted(self, known: KnownModel) -> None:
        """See that `all` would list a model.

        Raises:
            MlxkError: (`OPERATION`) it is damaged; (`NOT_IMPLEMENTED`) it cannot answer text here.
        """
        await asyncio.to_thread(self._refuse_unlisted, known)

    async def loadable(self, known: KnownModel) -> PooledModel:
        """The model as the pool loads it.

        Raises:
            MlxkError: (`OPERATION`) it is damaged; (`NOT_IMPLEMENTED`) it cannot answer text here;
                (`INSUFFICIENT_MEMORY`) it cannot fit in memory.
        """
        return await asyncio.to_thread(self._loadable, known)

    def _find(self, name: str) -> KnownModel:
        record = self._introduced.get(name)
        if record is None:
            if isinstance(parse_spec(name), PathSpec):
                raise ModelNotFound(
                    "A request names a model, not a path.", hint="GET /v1/models has the names"
                )
            try:
                record = self._catalog.find(name)
            except AmbiguousMatch as error:
                raise _without_paths(error, name) from None
        return self._look_into(record)

    def _list(self) -> Sequence[KnownModel]:
        records = {short_name(record): record for record in reversed(self._catalog.records())}
        records = self._introduced | {name: records[name] for name in sorted(records)} | self._introduced
        found = [self._look_into(record) for record in records.values()]
        return [known for known in found if self._can_run(known.inspected)]

    def _refuse_unlisted(self, known: KnownModel) -> None:
        if not self._can_run(known.inspected):
            refuse_unfit(known.inspected, self._host.runtimes(), known.name)

    def _can_run(self, model: InspectedModel) -> bool:
        if not model.health.healthy:
            return False
        return (
            model.problem is None
            or text_problem(model.facts, model.description, self._host.runtimes()) is None
        )

    def _look_into(self, record: ModelRecord) -> KnownModel:
        location = f"{record.name}@{record.revision}" if record.revision else os.path.realpath(record.path)
        return KnownModel(short_name(record), ModelKey(location), self._inspector(record))

    def _loadable(self, known: KnownModel) -> PooledModel:
        model = known.inspected
        refuse_unfit(model, self._host.runtimes(), known.name)
        refuse_too_large(model, self._host.memory(), known.name)
        shown = known.served(loaded=False)
        return PooledModel(known.key, known.name, Path(model.record.path), model.facts.size, shown)

    async def _remembered(self, key: str | None, look: Callable[[], _Result]) -> _Result:
        now = self._clock()
        lookup = self._lookups.get(key)
        if lookup is None or lookup.until < now or _has_failed(lookup.task):
            task: asyncio.Task[object] = asyncio.ensure_future(asyncio.to_thread(look))
            lookup = _Lookup(task, now + _REMEMBERED_SECONDS)
            self._forget_old(now)
            self._lookups[key] = lookup
        try:
            return cast(_Result, await asyncio.shield(lookup.task))
        except MlxkError:
            if self._lookups.get(key) is lookup:
                del self._lookups[key]
            raise

    def _forget_old(self, now: float) -> None:
        """Keep the memory small: names come from clients, who may send many."""
        old = [key for key, lookup in self._lookups.items() if lookup.until < now or _has_failed(lookup.task)]
        for key in old:
            del self._lookups[key]
        if len(self._lookups) >= _REMEMBERED:
            self._lookups.clear()


def _has_failed(task: "asyncio.Task[object]") -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


def _without_paths(error: AmbiguousMatch, name: str) -> AmbiguousMatch:
    """The same error with workspaces called by their directory."""
    matches = sorted({Path(match).name if match.startswith("/") else match for match in error.matches})
    return AmbiguousMatch(
        f"Model '{name}' is ambiguous: it matches {len(error.matches)} models.",
        hint="use the full name",
        matches=matches,
    )
