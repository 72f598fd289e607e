"""`mlxk health`: are the files of the models whole?"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlxk.app.catalog import Catalog
from mlxk.app.inspection import InspectedModel, Inspector, finding_entries
from mlxk.app.results import (
    CheckedModel,
    HealthDetails,
    HealthResult,
    HealthStatus,
    HealthSummary,
    VerificationView,
)
from mlxk.domain.errors import ModelNotFound
from mlxk.domain.health import HealthReport, assess_verified
from mlxk.domain.manifest import Manifest, Refusal
from mlxk.domain.model import Cleanliness, FileFact, ModelRecord, Source
from mlxk.domain.ports import Progress, Verifier, WorkspaceIntegrity
from mlxk.domain.recorded_digests import recorded_digests, undigested_weights, unrecorded
from mlxk.domain.verification import NO_DIGEST, Digest, FileVerdict, Outcome, verifiable
from mlxk.domain.workspace import normal_form

__all__ = ["CheckHealth", "HealthRequest"]


@dataclass(frozen=True, slots=True)
class HealthRequest:
    """Which models (all without a pattern), and whether to hash their files against their digests."""

    pattern: str | None = None
    verify: bool = False


class CheckHealth:
    """Checks the files of some or all models."""

    def __init__(
        self, catalog: Catalog, inspector: Inspector, verifier: Verifier, integrity: WorkspaceIntegrity
    ) -> None:
        self._catalog = catalog
        self._inspector = inspector
        self._verifier = verifier
        self._integrity = integrity

    def __call__(self, request: HealthRequest, progress: Progress) -> HealthResult:
        """Check every model that the pattern means.

        Raises:
            ModelNotFound: a pattern was given and nothing matches it.
            MlxkError: the pattern is invalid, or a place cannot be read.
        """
        return self.of(self._catalog.matching(request.pattern), request, progress)

    def of(self, records: Sequence[ModelRecord], request: HealthRequest, progress: Progress) -> HealthResult:
        """Check the given models.

        Raises:
            ModelNotFound: a pattern was given and there are none.
        """
        if request.pattern is not None and not records:
            raise ModelNotFound(
                f"No model here matches '{request.pattern}'.",
                hint="run `mlxk list --all` to see the models you have",
            )
        checked = [self._check(record, request, progress) for record in records]
        return _result(checked)

    def _check(self, record: ModelRecord, request: HealthRequest, progress: Progress) -> "_Checked":
        model = self._inspector(record)
        if not request.verify:
            return _Checked(record, model.health, None)
        return self._verify(model, progress)

    def _verify(self, model: InspectedModel, progress: Progress) -> "_Checked":
        manifest = self._manifest(model.record)
        files = verifiable(model.facts.files)
        if manifest is not None:
            files = recorded_digests(manifest, model.facts.files)
        new = _to_record(model, manifest)
        verdicts = list(self._verifier.verify(model.record, [*files, *new], progress))
        report = assess_verified(model.facts, verdicts)
        left = _without_digest(model, files)
        if manifest is not None:
            left = unrecorded(manifest, model.facts.files, files)
            self._remember(model.record, manifest, verdicts)
        return _Checked(model.record, report, _verification(files, verdicts[: len(files)], left))

    def _remember(self, record: ModelRecord, manifest: Manifest, verdicts: list[FileVerdict]) -> None:
        """Let the manifest state what was hashed for the first time, so that it can be verified later."""
        digests = {
            normal_form(verdict.path): verdict.actual
            for verdict in verdicts
            if verdict.outcome is Outcome.NEW and verdict.actual
        }
        if digests:
            self._integrity.remember_digests(Path(record.path), manifest, digests)

    def _manifest(self, record: ModelRecord) -> Manifest | None:
        if record.source is not Source.WORKSPACE:
            return None
        found = self._integrity.recorded(Path(record.path))
        return None if isinstance(found, Refusal) else found


@dataclass(frozen=True, slots=True)
class _Checked:
    record: ModelRecord
    report: HealthReport
    verification: VerificationView | None


def _to_record(model: InspectedModel, manifest: Manifest | None) -> list[tuple[FileFact, Digest]]:
    """The weights whose digest a workspace's manifest could state and does not, if it can be believed."""
    state = model.record.workspace
    if manifest is None or state is None or state.cleanliness is Cleanliness.UNKNOWN:
        return []
    return [(file, NO_DIGEST) for file in undigested_weights(manifest, model.facts.files)]


def _without_digest(model: InspectedModel, files: list[tuple[FileFact, Digest]]) -> list[str]:
    """The files that nothing states a digest for; of those that share a blob one was checked for all."""
    with_digest = {digest.value for _, digest in files}
    return [file.path for file in model.facts.files if file.readable and file.blob not in with_digest]


def _verification(
    files: list[tuple[FileFact, Digest]], verdicts: list[FileVerdict], left: list[str]
) -> VerificationView:
    return VerificationView(
        files_checked=len(verdicts),
        files_remembered=sum(verdict.from_receipt for verdict in verdicts),
        files_without_digest=len(left),
        bytes_checked=sum(file.size for file, _ in files),
        unverified=tuple(left),
    )


def _result(checked: list[_Checked]) -> HealthResult:
    healthy = tuple(_line(model) for model in checked if model.report.healthy)
    unhealthy = tuple(_line(model) for model in checked if not model.report.healthy)
    return HealthResult(
        healthy=healthy,
        unhealthy=unhealthy,
        summary=HealthSummary(len(checked), len(healthy), len(unhealthy)),
        details=tuple(
            HealthDetails(model.record.name, finding_entries(model.report.findings), model.verification)
            for model in checked
        ),
    )


def _line(model: _Checked) -> CheckedModel:
    status: HealthStatus = "healthy" if model.report.healthy else "unhealthy"
    return CheckedModel(model.record.name, status, model.report.reason, model.record.display_name)
