"""`mlxk convert`: a model in, a workspace out, with another index or other weights."""

import errno
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from mlxk.app.catalog import Catalog
from mlxk.app.inspection import InspectedModel, Inspector
from mlxk.app.results import HealthStatus
from mlxk.domain.clone_plan import Refused, target_path
from mlxk.domain.convert_plan import (
    AlreadyDone,
    ConvertObservation,
    ConvertPlan,
    ConvertRequest,
    plan_convert,
)
from mlxk.domain.convert_work import ConvertMode, Quantize, RepairIndex, Work, mode_of
from mlxk.domain.errors import ErrorKind, MlxkError
from mlxk.domain.health import HealthReport, assess
from mlxk.domain.manifest import Operation, Origin, known_tensor_digests
from mlxk.domain.model import JsonObject, JsonValue, ModelRecord, Source
from mlxk.domain.ports import (
    Destinations,
    FactReader,
    Host,
    IndexBuilder,
    Progress,
    Quantizer,
    Staging,
    TensorReader,
    TreeCopier,
    WorkspaceIntegrity,
)
from mlxk.domain.staging import COPY_NAME, Sentinel, StagingState, staging_path, staging_state
from mlxk.domain.tensors import TensorFact
from mlxk.domain.weight_index import indexable_shards

__all__ = ["Convert", "ConvertCommand", "ConvertResult", "ConvertTools"]

_STAGED = "convert"
"""What a staging directory is named after, beside its target: any conversion to it finds the same one."""


@dataclass(frozen=True, slots=True)
class ConvertCommand:
    """What the user typed: a model, a directory (a bare name means one in the workspace home), what to do."""

    source: str
    target: str
    work: Work
    check_health: bool = True


@dataclass(frozen=True)
class ConvertResult:
    """What was made.

    Attributes:
        health_status: None where it was not checked, as is `health_reason`.
        warning: what to know of the result.
    """

    source: str
    target: str
    mode: ConvertMode
    health_check: bool
    health_status: HealthStatus | None
    health_reason: str | None
    message: str
    content_hash: str | None
    warning: str | None = None
    bits: int | None = None
    group_size: int | None = None


@dataclass(frozen=True, slots=True)
class ConvertTools:
    """What converting needs of the disk and of MLX."""

    destinations: Destinations
    staging: Staging
    copier: TreeCopier
    tensors: TensorReader
    index_builder: IndexBuilder
    quantizer: Quantizer
    integrity: WorkspaceIntegrity


class Convert:
    """Converts one model into a new workspace."""

    def __init__(
        self,
        catalog: Catalog,
        inspector: Inspector,
        reader: FactReader,
        host: Host,
        tools: ConvertTools,
        workspace_home: Path | None,
    ) -> None:
        self._catalog = catalog
        self._inspector = inspector
        self._reader = reader
        self._host = host
        self._tools = tools
        self._workspace_home = workspace_home

    def __call__(
        self, command: ConvertCommand, progress: Progress, notice: Callable[[str], None]
    ) -> ConvertResult:
        """Make the workspace; afterwards it is there whole, or not at all.

        Raises:
            MlxkError: the model is unknown, damaged or cannot be converted so; the target cannot be used; the
                disk is full; or the result is not healthy.
        """
        model = self._inspector(self._catalog.find(command.source))
        request = ConvertRequest(
            model.record.display_name or model.record.name,
            self._target(command.target),
            command.work,
            command.check_health,
        )
        seen = self._observe(request, model)
        plan = plan_convert(request, seen)
        match plan:
            case Refused():
                raise plan.error()
            case AlreadyDone():
                return self._finish(request, seen)
        if plan.warning:
            notice(f"Note: {plan.warning}.")
        return self._execute(request, model, seen, plan, progress)

    def _target(self, typed: str) -> str:
        home = None if self._workspace_home is None else str(self._workspace_home)
        given = str(Path(typed).expanduser()) if typed.startswith("~") else typed
        return target_path("", given, workspace_home=home, directory=str(Path.cwd()))

    # observe

    def _observe(self, request: ConvertRequest, model: InspectedModel) -> ConvertObservation:
        path = staging_path(_STAGED, request.target)
        staging, same = self._look_at_staging(path, request, model.record)
        return ConvertObservation(
            target=self._tools.destinations.look(request.target, model.record.path),
            staging=staging,
            staging_path=path,
            facts=model.facts,
            health=model.health,
            runtimes=self._host.runtimes(),
            same_request=same,
            tensors={} if isinstance(request.work, RepairIndex) else self._tensors(model),
        )

    def _look_at_staging(
        self, path: str, request: ConvertRequest, record: ModelRecord
    ) -> tuple[StagingState, bool]:
        found = self._tools.staging.look(path)
        if not isinstance(found, Sentinel):
            return found, False
        there = Path(path, COPY_NAME).is_dir()
        state = staging_state(found, commit=None, download_healthy=False, copy_there=there)
        return state, found.spec == _spec(request, record)

    def _tensors(self, model: InspectedModel) -> Mapping[str, TensorFact]:
        readable = {file.path for file in model.facts.files if file.readable}
        found: dict[str, TensorFact] = {}
        for shard in indexable_shards(model.facts):
            if shard in readable:
                found |= self._tools.tensors.tensors(Path(model.record.path, shard))
        return found

    # execute

    def _execute(
        self,
        request: ConvertRequest,
        model: InspectedModel,
        seen: ConvertObservation,
        plan: ConvertPlan,
        progress: Progress,
    ) -> ConvertResult:
        staging, path = self._tools.staging, seen.staging_path
        copy = Path(path, COPY_NAME)
        with _told(request.target), staging.claimed(path):
            staging.create(path, _spec(request, model.record), request.target)
            try:
                staging.clear(path)
                versions = self._make(request.work, model, copy, plan, progress)
                health = self._check(request, copy)
                manifest = self._tools.integrity.found(copy, _origin(request, model, versions))
                staging.publish(path, request.target)
            finally:
                staging.remove(path)
        return _result(request, manifest.content_hash, health, plan.warning)

    def _make(
        self, work: Work, model: InspectedModel, copy: Path, plan: ConvertPlan, progress: Progress
    ) -> Mapping[str, str]:
        source = Path(model.record.path)
        self._tools.copier.copy(source, copy, progress=progress, without=plan.without)
        if plan.engine is None:
            self._tools.index_builder.build(copy, plan.shards, progress)
            return {}
        match work:
            case Quantize(packing):
                return self._tools.quantizer.quantize(source, copy, plan.engine, packing, progress)
            case _:
                return self._tools.quantizer.dequantize(source, copy, plan.engine, progress)

    def _check(self, request: ConvertRequest, copy: Path) -> HealthReport | None:
        if not request.check_health:
            return None
        health = self._health(copy, request.target)
        if not health.healthy:
            raise MlxkError(
                ErrorKind.OPERATION,
                f"The result would not be healthy: {health.reason}.",
                hint="nothing was made; --skip-health makes it all the same",
            )
        return health

    def _health(self, directory: Path, target: str) -> HealthReport:
        facts = self._reader.facts(ModelRecord(str(directory), str(directory), Source.WORKSPACE))
        return assess(replace(facts, name=Path(target).name))

    def _finish(self, request: ConvertRequest, seen: ConvertObservation) -> ConvertResult:
        """An earlier run of this request was killed after its last step but one."""
        with self._tools.staging.claimed(seen.staging_path):
            self._tools.staging.remove(seen.staging_path)
        target = Path(request.target)
        health = self._health(target, request.target) if request.check_health else None
        return _result(request, self._tools.integrity.state(target).content_hash, health, None)


def _spec(request: ConvertRequest, record: ModelRecord) -> str:
    detail = f" {request.work.packing}" if isinstance(request.work, Quantize) else ""
    return f"{_STAGED} {record.path} {mode_of(request.work)}{detail}"


def _origin(request: ConvertRequest, model: InspectedModel, versions: Mapping[str, str]) -> Origin:
    record = model.record
    from_cache = record.source is Source.CACHE
    same_weights = isinstance(request.work, RepairIndex)
    return Origin(
        repo=record.name if from_cache else record.workspace.origin if record.workspace else None,
        revision=record.revision,
        operation=Operation.CONVERT,
        tensor_digests=known_tensor_digests(model.facts.files) if same_weights else {},
        recipe=_recipe(request.work, versions),
    )


def _recipe(work: Work, versions: Mapping[str, str]) -> JsonObject:
    recipe: dict[str, JsonValue] = {"operation": mode_of(work)}
    if isinstance(work, Quantize):
        packing = work.packing
        recipe |= {"bits": packing.bits, "group_size": packing.group_size, "mode": packing.mode}
    return recipe | ({"versions": dict(versions)} if versions else {})


@contextmanager
def _told(target: str) -> Iterator[None]:
    """What the system says of the staging directory, in words."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise MlxkError(
            ErrorKind.INSUFFICIENT_DISK if full else ErrorKind.PERMISSION,
            f"The workspace {target} could not be made: {error.strerror or os.strerror(error.errno or 0)}.",
            hint="free some space" if full else "check the permissions of the target's directory",
        ) from error


_DONE = {
    "repair-index": "The weight index was rebuilt",
    "quantize": "The weights were quantized",
    "dequantize": "The weights were dequantized",
}


def _result(
    request: ConvertRequest, content_hash: str | None, health: HealthReport | None, warning: str | None
) -> ConvertResult:
    packing = request.work.packing if isinstance(request.work, Quantize) else None
    mode = mode_of(request.work)
    status: HealthStatus | None = None
    if health is not None:
        status = "healthy" if health.healthy else "unhealthy"
    return ConvertResult(
        source=request.source,
        target=request.target,
        mode=mode,
        health_check=health is not None,
        health_status=status,
        health_reason=health.reason if health else None,
        message=f"{_DONE[mode]} ({packing})" if packing else _DONE[mode],
        content_hash=content_hash,
        warning=warning,
        bits=packing.bits if packing else None,
        group_size=packing.group_size if packing else None,
    )
