"""`mlxk convert`: a model in, a workspace out, with another index or other weights."""

import errno
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from mlxk.app.catalog import Catalog
from mlxk.app.inspection import InspectedModel, Inspector
from mlxk.app.results import HealthStatus
from mlxk.domain.clone_plan import Refused, TargetState
from mlxk.domain.convert_plan import (
    AlreadyDone,
    ConvertObservation,
    ConvertPlan,
    ConvertRequest,
    plan_convert,
)
from mlxk.domain.convert_work import ConvertMode, Quantize, RepairIndex, Work, is_result, mode_of
from mlxk.domain.errors import ErrorKind, Interrupted, MlxkError
from mlxk.domain.files import FileRole, role_of
from mlxk.domain.health import HealthReport, assess
from mlxk.domain.manifest import Manifest, Operation, Origin, Refusal
from mlxk.domain.model import FileFact, JsonObject, JsonValue, ModelRecord, SnapshotFacts, Source
from mlxk.domain.ports import (
    Destinations,
    FactReader,
    Host,
    IndexBuilder,
    KnownDigests,
    Progress,
    Quantizer,
    Staging,
    TensorReader,
    TreeCopier,
    Verifier,
    WorkspaceIntegrity,
)
from mlxk.domain.staging import COPY_NAME, Sentinel, StagingState, staging_path, staging_state
from mlxk.domain.tensors import TensorFact
from mlxk.domain.verification import Digest, DigestKind
from mlxk.domain.weight_index import indexable_shards

__all__ = ["Convert", "ConvertCommand", "ConvertResult", "ConvertTools"]

_STAGED = "convert"
"""What a staging directory is named after, beside its target: any conversion to it finds the same one."""

_UNKNOWN = Digest(DigestKind.SHA256, "")


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
    """What converting needs of the disk and of MLX.

    Attributes:
        digests: of the source's files, where they are written down.
        hasher: reads the weights just made.
    """

    destinations: Destinations
    staging: Staging
    copier: TreeCopier
    tensors: TensorReader
    index_builder: IndexBuilder
    quantizer: Quantizer
    integrity: WorkspaceIntegrity
    digests: KnownDigests
    hasher: Verifier


class Convert:
    """Converts one model into a new workspace."""

    def __init__(
        self,
        catalog: Catalog,
        inspector: Inspector,
        reader: FactReader,
        host: Host,
        tools: ConvertTools,
    ) -> None:
        self._catalog = catalog
        self._inspector = inspector
        self._reader = reader
        self._host = host
        self._tools = tools

    def __call__(
        self, command: ConvertCommand, progress: Progress, notice: Callable[[str], None]
    ) -> ConvertResult:
        """Make the workspace; afterwards it is there whole, or not at all.

        Raises:
            MlxkError: the model is unknown, damaged or cannot be converted so; the target cannot be used; the
                disk is full; the result is not healthy; or the user stopped it.
        """
        try:
            return self._convert(command, progress, notice)
        except KeyboardInterrupt:
            raise Interrupted(
                "Interrupted; nothing is left of it.", hint="the same command begins again"
            ) from None

    def _convert(
        self, command: ConvertCommand, progress: Progress, notice: Callable[[str], None]
    ) -> ConvertResult:
        model = self._inspector(self._catalog.find(command.source))
        request = ConvertRequest(
            model.record.display_name or model.record.name,
            self._tools.destinations.absolute(command.target),
            command.work,
            command.check_health,
        )
        seen = self._observe(request, model)
        plan = plan_convert(request, seen)
        match plan:
            case Refused():
                self._sweep(seen)
                raise plan.error()
            case AlreadyDone():
                return self._finish(request, seen)
        if plan.warning:
            notice(f"Note: {plan.warning}.")
        return self._execute(request, model, seen, plan, progress)

    # observe

    def _observe(self, request: ConvertRequest, model: InspectedModel) -> ConvertObservation:
        path = staging_path(_STAGED, request.target)
        target = self._tools.destinations.look(request.target, model.record.path)
        reachable = target.state.free or target.state is TargetState.NOT_EMPTY
        staging, same = StagingState.NONE, False
        if reachable:
            staging, same = self._look_at_staging(path, request, model.record)
        there = staging is StagingState.PUBLISHED and same
        return ConvertObservation(
            target=target,
            staging=staging,
            staging_path=path,
            facts=model.facts,
            health=model.health,
            runtimes=self._host.runtimes(),
            same_request=same,
            target_is_result=there and self._is_result(request, model),
            tensors={} if isinstance(request.work, RepairIndex) else self._tensors(model),
        )

    def _look_at_staging(
        self, path: str, request: ConvertRequest, record: ModelRecord
    ) -> tuple[StagingState, bool]:
        found = self._tools.staging.look(path)
        if not isinstance(found, Sentinel):
            return found, False
        there = self._tools.staging.has_copy(path)
        state = staging_state(found, commit=None, download_healthy=False, copy_there=there)
        return state, found.spec == _spec(request, record)

    def _is_result(self, request: ConvertRequest, model: InspectedModel) -> bool:
        found = self._tools.integrity.recorded(Path(request.target))
        return is_result(found, self._origin(request.work, model.record))

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
        health: HealthReport | None = None
        manifest: Manifest | None = None
        with _told(request.target), staging.claimed(path):
            staging.create(path, _spec(request, model.record), request.target)
            try:
                staging.clear(path)
                versions = self._make(request.work, model, copy, plan, progress)
                health = self._check(request, copy)
                origin = self._origin(request.work, model.record, versions)
                digests = self._digests(request.work, model, copy, progress)
                manifest = self._tools.integrity.found(copy, replace(origin, tensor_digests=digests))
                staging.publish(path, request.target)
            except KeyboardInterrupt:
                if manifest is None or staging.has_copy(path):
                    raise
            finally:
                staging.remove(path)
        assert manifest is not None, "what is published has a manifest"
        return _result(request, manifest.content_hash, health, plan.warning)

    def _origin(self, work: Work, record: ModelRecord, versions: Mapping[str, str] = {}) -> Origin:
        """Where the result comes from; a workspace passes on what its own manifest says."""
        origin = Origin(record.name, record.revision, Operation.CONVERT, recipe=_recipe(work, versions))
        if record.source is not Source.WORKSPACE:
            return origin
        found = self._tools.integrity.recorded(Path(record.path))
        if isinstance(found, Refusal):
            return replace(origin, repo=None, revision=None)
        return replace(origin, repo=found.source_repo, revision=found.source_revision)

    def _digests(
        self, work: Work, model: InspectedModel, copy: Path, progress: Progress
    ) -> Mapping[str, str]:
        """The sha256 of every weight file: of those copied as they were, what is known of the source's."""
        if isinstance(work, RepairIndex):
            known = (
                (file.path, self._tools.digests.known(model.record, file)) for file in _weights(model.facts)
            )
            return {path: found.value for path, found in known if found and found.kind is DigestKind.SHA256}
        made = ModelRecord(str(copy), str(copy), Source.WORKSPACE)
        files = [(file, _UNKNOWN) for file in _weights(self._reader.facts(made))]
        verdicts = self._tools.hasher.verify(made, files, progress)
        return {verdict.path: verdict.actual for verdict in verdicts if verdict.actual}

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

    def _sweep(self, seen: ConvertObservation) -> None:
        """Remove what an earlier run left beside a target that something else took."""
        if seen.target.state is not TargetState.NOT_EMPTY:
            return
        with suppress(OSError, MlxkError):
            if seen.staging is StagingState.NONE:
                self._tools.staging.sweep(seen.staging_path)
            elif seen.staging not in (StagingState.BUSY, StagingState.FOREIGN):
                with self._tools.staging.claimed(seen.staging_path):
                    self._tools.staging.remove(seen.staging_path)

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


def _weights(facts: SnapshotFacts) -> list[FileFact]:
    return [file for file in facts.files if file.readable and role_of(file.path) is FileRole.WEIGHTS]


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
