"""Which files of a damaged model a download can bring back, and when it cannot."""

from collections.abc import Iterable

from mlxk.domain.hub import HubFile, Missing, RepoInfo
from mlxk.domain.model import Absence, ModelRecord, Source

__all__ = ["damaged_files", "kept", "no_repair"]


def damaged_files(info: RepoInfo, left: Missing, findings: Iterable[str]) -> tuple[HubFile, ...]:
    """The files to fetch again: those that findings concern, and those that are not there in full.

    Args:
        findings: the paths that the findings name.
    """
    named = set(findings)
    lacking = {file.digest.value for file in left.files}
    unplaced = set(left.unplaced)
    return tuple(
        file for file in info.files if file.path in named or file.digest.value in lacking or file in unplaced
    )


def kept(record: ModelRecord, files: Iterable[HubFile], left: Missing) -> str | None:
    """Why files are not fetched again, where somebody put one of their own; None when there is none."""
    mine = sorted({file.path for file in files} & set(left.replaced))
    if not mine:
        return None
    return (
        f"{mine[0]} is not the Hub's file but one that was put in its place, and is kept: "
        f"`mlxk clone {record.name}` makes a copy to change, "
        f"`mlxk pull {record.name} --revision {record.revision} --force-resume` replaces it"
    )


def no_repair(record: ModelRecord) -> str | None:
    """Why no download can repair a model wherever it comes from, and what helps; None when one may."""
    match record.source:
        case Source.WORKSPACE:
            return "a workspace is yours to edit: clone it anew, or copy the file into it"
        case Source.BUNDLED:
            return "it ships with mlxk: install mlxk again"
    if record.problem is not None and record.absence is not Absence.SNAPSHOT:
        return record.problem
    if record.revision is None:
        name = record.name
        return f"it has no snapshot: `mlxk pull {name}` downloads it, `mlxk rm {name}` deletes it"
    return None
