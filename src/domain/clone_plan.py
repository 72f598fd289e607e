"""Cloning as data: from what was observed to the steps to take, and what stays and goes in the end.

Everything unfinished lies in one *staging directory* beside the target, on its volume, with a name that
follows from what is cloned where. In it are a sentinel file, which says that it is ours and how far it
got, the download (in the layout of the Hub's cache) and the copy in the making. The copy gets its manifest
there and is then renamed to the target, so that the target is absent or complete at every moment, and the
same command finds and finishes, or discards, whatever a killed one left.
"""

import posixpath
import shlex
from dataclasses import dataclass
from enum import Enum

from mlxk.domain.clone_steps import (
    Assess,
    CopyTree,
    CreateStaging,
    DiscardCopy,
    DiscardStaging,
    Download,
    MarkComplete,
    Publish,
    RemoveStaging,
    Step,
    WriteManifest,
)
from mlxk.domain.errors import ErrorKind, InvalidInput, MlxkError
from mlxk.domain.naming import directory_of
from mlxk.domain.sizes import human_size
from mlxk.domain.staging import COPY_NAME, DOWNLOAD_NAME, StagingState

__all__ = [
    "Cached",
    "Cleanup",
    "CloneObservation",
    "ClonePlan",
    "CloneRequest",
    "CommitSource",
    "Outcome",
    "Refused",
    "Space",
    "TargetState",
    "Unanswered",
    "clean_up",
    "plan_clone",
    "plan_lines",
    "target_path",
]

# What is observed


class TargetState(Enum):
    """What is where the workspace shall be."""

    ABSENT = "absent"
    EMPTY = "an empty directory"
    NOT_EMPTY = "not empty"
    FILE = "not a directory"
    NO_PARENT = "in a directory that does not exist"
    BELOW_FILE = "below something that is a file, not a directory"
    UNWRITABLE = "in a directory you cannot write to"
    IN_CACHE = "inside the model cache"
    IN_SOURCE = "inside what is to be cloned"

    @property
    def free(self) -> bool:
        """Whether a workspace can go there."""
        return self in (TargetState.ABSENT, TargetState.EMPTY)


class CommitSource(Enum):
    """Who said which commit to clone."""

    USER = "the user"
    HUB = "the Hub"
    CACHE = "the cache, since the Hub could not be reached"
    STAGING = "the staging directory, since the Hub could not be reached"

    @property
    def offline(self) -> bool:
        """Whether the Hub was not asked, so that the model may be an older one."""
        return self in (CommitSource.CACHE, CommitSource.STAGING)


class Cached(Enum):
    """What the cache has of a model that cannot be cloned without the Hub."""

    NOTHING = "is not in the cache"
    OTHER_REVISIONS = "is in the cache, but not at this revision"
    DAMAGED = "is in the cache, but incomplete or damaged"


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Why the Hub did not say which commit to clone.

    Attributes:
        message: what went wrong when it was asked.
        hint: what helps against that, or None.
        cached: why the cache does not help.
    """

    message: str
    hint: str | None
    cached: Cached

    def refusal(self, repo: str) -> "Refused":
        """Why the model cannot be cloned."""
        return Refused(
            ErrorKind.PULL_FAILED,
            f"{self.message} {repo} {self.cached.value}.",
            self.hint or "try again when the Hub answers",
        )


@dataclass(frozen=True, slots=True)
class Space:
    """Bytes needed and there; None for what cannot be known in time.

    Attributes:
        download: still to be downloaded.
        tree: of the files to copy.
        free: on the target's volume.
        shared: whether source and target can share blocks, so that the copy takes no space.
    """

    download: int | None = None
    tree: int | None = None
    free: int | None = None
    shared: bool | None = None


@dataclass(frozen=True, slots=True)
class CloneRequest:
    """What the user wants.

    Attributes:
        repo: full repository id.
        target: absolute path.
        health_check: say how healthy the clone is.
        force_resume: complete an unhealthy download instead of starting it again.
    """

    repo: str
    target: str
    health_check: bool = True
    force_resume: bool = False


@dataclass(frozen=True, slots=True)
class CloneObservation:
    """What there is.

    Attributes:
        commit: which commit to clone (40 hex), None when nobody could say.
        snapshot: path of the cache's snapshot of that commit if it is complete, else None.
        staging_path: see `staging.staging_path`.
        unanswered: why nobody could say which commit; without a commit it is there.
    """

    target: TargetState
    staging: StagingState
    staging_path: str
    commit: str | None
    commit_source: CommitSource
    snapshot: str | None = None
    space: Space = Space()
    unanswered: Unanswered | None = None


# What is to be done


@dataclass(frozen=True, slots=True)
class ClonePlan:
    """Steps in order.

    Attributes:
        staging_path: the one directory that may have to be kept or removed when a step fails.
        keeps_download: the download in it is worth keeping when a step fails.
        note: what the user should know of the choice of commit, or None.
    """

    steps: tuple[Step, ...]
    staging_path: str
    keeps_download: bool
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Why nothing is done."""

    kind: ErrorKind
    message: str
    hint: str

    def error(self) -> MlxkError:
        """The error to raise."""
        return MlxkError(self.kind, self.message, hint=self.hint)


def plan_clone(request: CloneRequest, seen: CloneObservation) -> ClonePlan | Refused:
    """Decide how to clone, or why not. Nothing is done, nothing is looked at."""
    if seen.staging is StagingState.PUBLISHED and seen.target is TargetState.NOT_EMPTY:
        return ClonePlan((RemoveStaging(seen.staging_path),), seen.staging_path, keeps_download=False)
    refused = _unusable_target(request, seen) or _unusable_staging(request, seen)
    if refused:
        return refused
    if seen.commit is None:
        assert seen.unanswered is not None, "there is a reason for having no commit"
        return seen.unanswered.refusal(request.repo)
    return _no_space(request, seen) or _plan(request, seen, seen.commit)


def _unusable_target(request: CloneRequest, seen: CloneObservation) -> Refused | None:
    if seen.target.free:
        return None
    hints = {
        TargetState.NO_PARENT: f"`mkdir -p {shlex.quote(posixpath.dirname(request.target))}` makes it",
        TargetState.BELOW_FILE: "give a target in a directory, or move the file away",
        TargetState.UNWRITABLE: "check its permissions, or give another target",
    }
    return Refused(
        ErrorKind.INVALID_TARGET,
        f"The target {request.target} is {seen.target.value}.",
        hints.get(seen.target, "give a target that does not exist, or an empty directory"),
    )


def _unusable_staging(request: CloneRequest, seen: CloneObservation) -> Refused | None:
    if seen.staging is StagingState.BUSY:
        return Refused(
            ErrorKind.CLONE_FAILED,
            f"{request.repo} is being cloned to {request.target} by another process.",
            "wait until it is done",
        )
    if seen.staging is StagingState.FOREIGN:
        return Refused(
            ErrorKind.CLONE_FAILED,
            f"{seen.staging_path} is in the way, and mlxk did not make it.",
            "move it away, or give another target",
        )
    return None


def _no_space(request: CloneRequest, seen: CloneObservation) -> Refused | None:
    """Refuse only what certainly does not fit: unknown sizes count as nothing."""
    space = seen.space
    need = (space.download or 0) if _downloads(seen) else 0
    if space.shared is False:
        need += space.tree or 0
    if space.free is None or need <= space.free:
        return None
    return Refused(
        ErrorKind.INSUFFICIENT_DISK,
        f"{request.repo} needs {human_size(need)}, and {human_size(space.free)} are free.",
        "free some space, or give a target on another volume",
    )


def _downloads(seen: CloneObservation) -> bool:
    return seen.snapshot is None and seen.staging is not StagingState.HEALTHY


def _plan(request: CloneRequest, seen: CloneObservation, commit: str) -> ClonePlan:
    staging = seen.staging_path
    download = f"{staging}/{DOWNLOAD_NAME}"
    copy = f"{staging}/{COPY_NAME}"
    source = seen.snapshot or f"{download}/{directory_of(request.repo)}/snapshots/{commit}"
    steps: list[Step] = [*_staging_steps(request, seen)]
    if _downloads(seen):
        resumes = isinstance(steps[-1], DiscardCopy)
        steps.append(Download(request.repo, commit, download, seen.space.download, resumes))
        steps.append(MarkComplete(staging, commit))
    steps.append(CopyTree(source, copy))
    if request.health_check:
        steps.append(Assess(copy))
    steps += [
        WriteManifest(copy, request.repo, commit),
        Publish(copy, request.target),
        RemoveStaging(staging),
    ]
    note = f"The commit is that of {seen.commit_source.value}." if seen.commit_source.offline else None
    return ClonePlan(tuple(steps), staging, keeps_download=seen.snapshot is None, note=note)


def _staging_steps(request: CloneRequest, seen: CloneObservation) -> tuple[Step, ...]:
    """From the staging directory as it is to one to work in; ends in `DiscardCopy` when it is taken over."""
    path = seen.staging_path
    if seen.staging is StagingState.NONE:
        return (CreateStaging(path),)
    if seen.snapshot is not None:
        return (DiscardStaging(path, "the cache has the model"), CreateStaging(path))
    if seen.staging is StagingState.PUBLISHED:
        return (DiscardStaging(path, "it is left over from an earlier clone"), CreateStaging(path))
    if seen.staging is StagingState.UNHEALTHY and not request.force_resume:
        return (DiscardStaging(path, "what was downloaded is unhealthy"), CreateStaging(path))
    return (DiscardCopy(path),)


def plan_lines(plan: ClonePlan) -> list[str]:
    """A plan for people, a line per step."""
    note = [plan.note] if plan.note else []
    return [*note, *(f"{number}. {step}" for number, step in enumerate(plan.steps, 1))]


# How it ends


class Outcome(Enum):
    """How the execution of a plan ended."""

    SUCCEEDED = "succeeded"
    INTERRUPTED = "interrupted"
    DOWNLOAD_BROKE_OFF = "the download failed and can be resumed"
    DOWNLOAD_REFUSED = "the download failed for good"
    TARGET_TAKEN = "another process made the target"
    FAILED_LATER = "a later step failed"


@dataclass(frozen=True, slots=True)
class Cleanup:
    """What becomes of the staging directory; its unfinished copy goes in any case.

    Attributes:
        remove: it goes.
        advice: what to tell the user of what is kept, or None.
    """

    remove: bool
    advice: str | None = None


_NOTHING_TO_GO_ON_WITH = frozenset({Outcome.SUCCEEDED, Outcome.DOWNLOAD_REFUSED, Outcome.TARGET_TAKEN})


def clean_up(plan: ClonePlan, outcome: Outcome) -> Cleanup:
    """What to keep and what to remove. What is kept is only ever a download that saves time later."""
    if outcome in _NOTHING_TO_GO_ON_WITH or not plan.keeps_download:
        return Cleanup(remove=True)
    kept = "the complete download" if outcome is Outcome.FAILED_LATER else "what was downloaded"
    return Cleanup(
        remove=False,
        advice=f"the same command again uses {kept}; `rm -r {shlex.quote(plan.staging_path)}` gives it up",
    )


# Names


def target_path(repo: str, given: str | None, *, workspace_home: str | None, directory: str) -> str:
    """Where a clone goes, as an absolute path.

    A path goes where it says, from `directory`; a bare name into the workspace home, or into `directory`
    where there is none; without either it is called like the model, its organisation left out.

    Args:
        repo: full repository id.
        given: what the user typed, `~` already expanded, or None.
        workspace_home: absolute, or None.
        directory: the working directory, absolute.

    Raises:
        InvalidInput: the text can be no path.
    """
    name = repo.rpartition("/")[2] if given is None else given
    if not name or "\0" in name:
        raise InvalidInput("The target is empty or holds a NUL character.", hint="give a directory name")
    bare = "/" not in name and name not in (".", "..")
    start = workspace_home if bare and workspace_home is not None else directory
    return posixpath.normpath(posixpath.join(start, name))
