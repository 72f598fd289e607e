"""The folder of a push: what of it would go, what is wrong with that, and what others should not see."""

from dataclasses import dataclass, replace
from pathlib import Path

from mlxk.app.inspection import finding_entries
from mlxk.app.results import FindingEntry
from mlxk.domain.errors import InvalidInput
from mlxk.domain.files import is_weight_file
from mlxk.domain.findings import Code
from mlxk.domain.health import HealthReport, assess
from mlxk.domain.model import WHOLE_MODEL, FileFact, Invalid, ModelRecord, SnapshotFacts
from mlxk.domain.ports import FactReader, PushFolders
from mlxk.domain.push_plan import IGNORE_FILE, damage, file_refusal
from mlxk.domain.secrets import looks_private, may_hold_text, secret_in

__all__ = [
    "ConfigCheck",
    "FolderCheck",
    "IndexCheck",
    "PushedFolder",
    "WeightsCheck",
    "WorkspaceHealth",
    "incomplete",
    "refuse_damaged",
    "workspace_health",
]


@dataclass(frozen=True)
class ConfigCheck:
    """The state of config.json."""

    exists: bool
    valid_json: bool
    path: str | None


@dataclass(frozen=True)
class IndexCheck:
    """Whether there is a weight index, and the shards it names that are not there."""

    has_index: bool
    missing: tuple[str, ...]


@dataclass(frozen=True)
class WeightsCheck:
    """The weight files: how many, of which formats, and whether their set is complete."""

    count: int
    formats: tuple[str, ...]
    index: IndexCheck
    pattern_complete: bool


@dataclass(frozen=True)
class WorkspaceHealth:
    """What would be pushed, and what is wrong with it; ignored files do not count."""

    files_count: int
    total_bytes: int
    config: ConfigCheck
    weights: WeightsCheck
    anomalies: tuple[FindingEntry, ...]
    healthy: bool


@dataclass(frozen=True, slots=True)
class PushedFolder:
    """The folder, without what is ignored."""

    record: ModelRecord
    facts: SnapshotFacts
    report: HealthReport

    @property
    def files(self) -> tuple[FileFact, ...]:
        """What would go."""
        return self.facts.files

    @property
    def folder(self) -> Path:
        """Where it is."""
        return Path(self.record.path)


class FolderCheck:
    """Looks into folders before they are pushed."""

    def __init__(self, folders: PushFolders, reader: FactReader) -> None:
        self._folders = folders
        self._reader = reader

    def look(self, typed: str) -> PushedFolder:
        """What a folder holds, without what is ignored.

        Raises:
            MlxkError: as `PushFolders` says.
        """
        record = self._folders.find(typed)
        facts = self._reader.facts(record)
        names = [file.path for file in facts.files] + [name for name, _ in facts.unreadable]
        folders = [f"{name}/" for name, _ in facts.unreadable]
        ignored = set(self._folders.ignored(Path(record.path), [*names, *folders])) - {WHOLE_MODEL}
        kept = replace(
            facts,
            files=tuple(file for file in facts.files if file.path not in ignored),
            documents={path: found for path, found in facts.documents.items() if path not in ignored},
            unreadable=tuple(
                (path, why)
                for path, why in facts.unreadable
                if path == WHOLE_MODEL or ignored.isdisjoint((path, f"{path}/"))
            ),
        )
        return PushedFolder(record, kept, assess(kept))

    def warnings(self, local: PushedFolder) -> tuple[str, ...]:
        """What looks as if others should not have it."""
        return tuple(
            f"'{file.path}' {what}; list it in {IGNORE_FILE} if others should not have it."
            for file in local.files
            if file.readable and (what := self._secret(local.folder, file))
        )

    def _secret(self, folder: Path, file: FileFact) -> str | None:
        found = (
            secret_in(self._folders.text(folder, file.path)) if may_hold_text(file.path, file.size) else None
        )
        if found:
            return f"holds what looks like {found}"
        return "looks like a secret by its name" if looks_private(file.path) else None


def refuse_damaged(local: PushedFolder) -> None:
    """See that nobody gets broken files.

    Raises:
        InvalidInput: there are none, or something in them is broken.
    """
    if (refusal := file_refusal(local.files)) is not None:
        raise refusal
    for first in damage(local.report)[:1]:
        raise InvalidInput(
            f"The files are damaged, and nothing was pushed: {first.message}.",
            hint=f"{first.remedy.value}; --check-only shows everything that is wrong",
        )


def incomplete(local: PushedFolder) -> tuple[str, ...]:
    """What the model lacks to be one, in words; nothing stops it from being pushed."""
    broken = damage(local.report)
    return tuple(f"{found.message}." for found in local.report.errors if found not in broken)


def workspace_health(local: PushedFolder) -> WorkspaceHealth:
    """What `--check-only` reports."""
    facts = local.facts
    config = facts.document("config.json")
    weights = [file for file in facts.files if is_weight_file(file.path)]
    missing = _files_with(local.report, Code.SHARD_MISSING)
    return WorkspaceHealth(
        files_count=len(facts.files),
        total_bytes=facts.size,
        config=ConfigCheck(
            exists=facts.has("config.json"),
            valid_json=bool(facts.config()) and not isinstance(config, Invalid),
            path="config.json" if facts.has("config.json") else None,
        ),
        weights=WeightsCheck(
            count=len(weights),
            formats=tuple(sorted({file.path.rpartition(".")[2] for file in weights})),
            index=IndexCheck(any(file.path.endswith(".index.json") for file in facts.files), missing),
            pattern_complete=bool(weights) and not missing,
        ),
        anomalies=finding_entries(local.report.findings),
        healthy=local.report.healthy,
    )


def _files_with(report: HealthReport, code: Code) -> tuple[str, ...]:
    return tuple(finding.file for finding in report.findings if finding.code is code)
