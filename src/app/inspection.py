"""Look into one model: gather its facts, then let the domain say what it is, how it is, and if it runs."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from mlxk.app.results import FindingEntry, ModelView, QuantizationView
from mlxk.domain.capabilities import describe
from mlxk.domain.compatibility import Runtimes, runtime_problem
from mlxk.domain.findings import Finding
from mlxk.domain.health import HealthReport, assess
from mlxk.domain.model import (
    Cleanliness,
    Description,
    ModelRecord,
    Quantization,
    SnapshotFacts,
    Source,
    WorkspaceState,
)
from mlxk.domain.ports import FactReader, Host

__all__ = ["InspectedModel", "Inspector", "finding_entries", "view"]

_EARLIEST = int(datetime.min.replace(tzinfo=UTC).timestamp())
_LATEST = int(datetime.max.replace(tzinfo=UTC).timestamp()) - 1


@dataclass(frozen=True, slots=True)
class InspectedModel:
    """A record with everything that is known and decided about it.

    Attributes:
        problem: why it cannot run here; None when it is healthy and can.
    """

    record: ModelRecord
    facts: SnapshotFacts
    description: Description
    health: HealthReport
    problem: str | None


class Inspector:
    """Looks into models, one at a time, so that a thousand need no more memory than one."""

    def __init__(self, reader: FactReader, host: Host) -> None:
        self._reader = reader
        self._host = host

    @cached_property
    def _runtimes(self) -> Runtimes:
        return self._host.runtimes()

    def __call__(self, record: ModelRecord) -> InspectedModel:
        """Inspect one model. Never raises for bad data."""
        facts = self._reader.facts(record)
        description = describe(facts)
        health = assess(facts)
        problem = runtime_problem(facts, description, self._runtimes) if health.healthy else None
        return InspectedModel(record, facts, description, health, problem)


def view(model: InspectedModel) -> ModelView:
    """The model object of the JSON contract."""
    record, description = model.record, model.description
    workspace = record.workspace or WorkspaceState(managed=False)
    return ModelView(
        name=record.name,
        hash=record.revision,
        size_bytes=model.facts.size,
        last_modified=_utc(model.facts.modified_ns),
        framework=description.framework.value,
        model_type=description.model_type.value,
        capabilities=tuple(capability.value for capability in description.capabilities),
        health="healthy" if model.health.healthy else "unhealthy",
        runtime_compatible=model.health.healthy and model.problem is None,
        reason=model.problem if model.health.healthy else model.health.reason,
        cached=record.source is Source.CACHE,
        origin=workspace.origin,
        content_hash=workspace.content_hash,
        hash_modified=workspace.hash_modified,
        clean=_clean(workspace),
        display_name=record.display_name,
        source=record.source.value,
        context_length=description.context_length,
        quantization=_quantization(description.quantization),
    )


def _utc(nanoseconds: int) -> str:
    """A file's time; file systems can hold years outside 1 to 9999, which become the nearest end."""
    seconds = min(max(nanoseconds // 1_000_000_000, _EARLIEST), _LATEST)
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _clean(workspace: WorkspaceState) -> bool | None:
    match workspace.cleanliness:
        case Cleanliness.CLEAN:
            return True
        case Cleanliness.MODIFIED:
            return False
    return None


def _quantization(found: Quantization | None) -> QuantizationView | None:
    return QuantizationView(found.bits, found.group_size) if found else None


def finding_entries(findings: tuple[Finding, ...]) -> tuple[FindingEntry, ...]:
    """Findings as the JSON contract has them."""
    return tuple(
        FindingEntry(
            code=finding.code.value,
            severity=finding.severity.value,
            file=finding.file,
            message=finding.message,
            remedy=finding.remedy.value,
        )
        for finding in findings
    )
