"""The folder of a push: what of it would go, what is wrong with that, and what others should not see."""

from collections.abc import Sequence
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
from mlxk.domain.secrets import Suspicion, may_hold_text, suspicion

__all__ = [
    "ConfigCheck",
    "FolderCheck",
    "IndexCheck",
    "PushedFolder",
    "WeightsCheck",
    "WorkspaceHealth",
    "incomplete",
    "refuse_damaged",
    "refuse_secrets",
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
    """The folder, without what is ignored.

    Attributes:
        folder_links: links to folders; what these hold is not among the files.
    """

    record: ModelRecord
    facts: SnapshotFacts
    report: HealthReport
    folder_links: tuple[str, ...] = ()

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
        links = self._folders.folder_links(Path(record.path))
        names += links
        folders = [f"{name}/" for name in (*links, *(name for name, _ in facts.unreadable))]
        ignored = set(self._folders.ignored(Path(record.path), [*names, *folders])) - {WHOLE_MODEL}
        kept = replace(
            facts,
            files=tuple(file for file in facts.files if ignored.isdisjoint((file.path, f"{file.path}/"))),
            documents={path: found for path, found in facts.documents.items() if path not in ignored},
            unreadable=tuple(
                (path, why)
                for path, why in facts.unreadable
                if path == WHOLE_MODEL or ignored.isdisjoint((path, f"{path}/"))
            ),
        )
        folder_links = tuple(link for link in links if ignored.isdisjoint((link, f"{link}/")))
        return PushedFolder(record, kept, assess(kept), folder_links)

    def suspicions(self, local: PushedFolder) -> tuple[Suspicion, ...]:
        """What looks as if others should not have it."""
        return tuple(
            found
            for file in local.files
            if file.readable and (found := suspicion(file.path, self._text(local.folder, file)))
        )

    def _text(self, folder: Path, file: FileFact) -> str:
        return self._folders.text(folder, file.path) if may_hold_text(file.path, file.size) else ""


def refuse_damaged(local: PushedFolder) -> None:
    """See that nobody gets broken files.

    Raises:
        InvalidInput: there are none, some lie behind a linked folder, or something in them is broken.
    """
    if (refusal := file_refusal(local.files, local.folder_links)) is not None:
        raise refusal
    for first in damage(local.report)[:1]:
        raise InvalidInput(
            f"The files are damaged, and nothing was pushed: {first.message}.",
            hint=f"{first.remedy.value}; --check-only shows everything that is wrong",
        )


def refuse_secrets(suspicions: Sequence[Suspicion]) -> None:
    """See that no secret is shown to everyone.

    Raises:
        InvalidInput: one is certain to be in a file; the message does not repeat it.
    """
    for found in suspicions:
        if found.certain:
            raise InvalidInput(
                f"'{found.path}' holds {found.what}, and --public would show it to everyone.",
                hint=f"take it out, or list the file in {IGNORE_FILE}; revoke what others may have seen",
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
