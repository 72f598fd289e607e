"""`mlxk health --fix`: fetch the damaged files of cached models again, and only those."""

from collections.abc import Sequence
from dataclasses import replace

from mlxk.app.catalog import Catalog
from mlxk.app.health import CheckHealth, HealthRequest
from mlxk.app.results import FixView, HealthDetails, HealthResult
from mlxk.domain.errors import ErrorKind, Interrupted, MlxkError
from mlxk.domain.model import ModelRecord
from mlxk.domain.naming import RepoId
from mlxk.domain.ports import CacheFetcher, FileProgress, Hub
from mlxk.domain.repair import damaged_files, kept, no_repair
from mlxk.domain.sizes import human_size
from mlxk.domain.verification import Trust

__all__ = ["Fix"]

_HOPELESS = (
    ErrorKind.NETWORK,
    ErrorKind.AUTH,
    ErrorKind.PERMISSION,
    ErrorKind.INSUFFICIENT_DISK,
    ErrorKind.USER_CANCELLED,
)
"""Errors that the next model would meet as well."""


class Fix:
    """Repairs what a download can repair.

    Args:
        check: says what is damaged, before and after.
    """

    def __init__(self, catalog: Catalog, check: CheckHealth, hub: Hub, fetcher: CacheFetcher) -> None:
        self._catalog = catalog
        self._check = check
        self._hub = hub
        self._fetcher = fetcher

    def __call__(self, request: HealthRequest, progress: FileProgress) -> HealthResult:
        """Check the models as `health` does, repair the unhealthy ones, and check those again.

        Models that a pattern names are verified by their digests; all models only if the request says so.

        Raises:
            MlxkError: what `CheckHealth` raises; and what keeps any model from being repaired, such as no
                network.
            Interrupted: by Ctrl-C; what came is kept.
        """
        request = replace(request, verify=request.verify or request.pattern is not None)
        before = self._check.of(self._records(request), request, progress)
        unhealthy = {model.name for model in before.unhealthy}
        if not unhealthy:
            return before
        findings = {entry.name: entry for entry in before.details}
        fixes = [
            self._fix(record, findings[record.name], progress)
            for record in self._records(request)
            if record.name in unhealthy
        ]
        after = before
        if any(fix.files for fix in fixes):
            after = self._check.of(self._records(request), request, progress)
        healthy = {model.name for model in after.healthy}
        return replace(after, fixes=tuple(_judged(fix, healthy) for fix in fixes))

    def _records(self, request: HealthRequest) -> Sequence[ModelRecord]:
        return self._catalog.named_or_matching(request.pattern)

    def _fix(self, record: ModelRecord, details: HealthDetails, progress: FileProgress) -> FixView:
        if (reason := no_repair(record)) is not None:
            return _not_fixed(record, reason)
        try:
            return self._fetch(record, details, progress)
        except MlxkError as error:
            if error.kind in _HOPELESS:
                raise
            return _not_fixed(record, error.message)
        except KeyboardInterrupt:
            raise Interrupted(
                f"Interrupted while repairing '{record.name}'; what has come is kept.",
                hint=f"`mlxk health {record.name} --fix` goes on where it stopped",
            ) from None

    def _fetch(self, record: ModelRecord, details: HealthDetails, progress: FileProgress) -> FixView:
        assert record.revision is not None
        info = self._hub.describe(RepoId(record.name), record.revision)
        left = self._fetcher.missing(info)
        named = [finding.file for finding in details.findings if finding.severity == "error"]
        files = damaged_files(info, left, named)
        if not files:
            return _not_fixed(record, "the Hub has none of the files that are damaged or missing")
        if (reason := kept(record, files, left)) is not None:
            return _not_fixed(record, reason)
        progress.expect({file.path: file.size for file in files})
        fetched = self._fetcher.fetch(info, files, progress, Trust.DIGEST)
        return FixView(
            name=record.name,
            status="fixed",
            files=tuple(sorted(file.path for file in files)),
            bytes_downloaded=fetched.bytes_downloaded,
            message=f"fetched {_names(fetched.downloaded)} again, {human_size(fetched.bytes_downloaded)}"
            if fetched.downloaded
            else "put its files back in their place",
        )


def _names(paths: Sequence[str]) -> str:
    return paths[0] if len(paths) == 1 else f"{len(paths)} files"


def _not_fixed(record: ModelRecord, reason: str) -> FixView:
    return FixView(record.name, "not_fixed", (), 0, reason)


def _judged(fix: FixView, healthy: set[str]) -> FixView:
    """Only the second look says whether a download has helped."""
    if fix.status == "not_fixed" or fix.name in healthy:
        return fix
    return replace(fix, status="not_fixed", message=f"{fix.message}, but that did not make it whole")
