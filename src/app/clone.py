"""`mlxk clone`: an editable workspace from a model, copy-on-write where the disk allows it."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

from mlxk.app.clone_answer import (
    CloneDetails,
    CloneResult,
    cancelled,
    failed_clone,
    system_errors,
    with_advice,
)
from mlxk.app.clone_leftovers import advice_on, clear_leftovers, leftovers
from mlxk.app.clone_source import CloneSources, Commit, HubModel, LocalModel
from mlxk.domain.clone_plan import (
    CloneObservation,
    ClonePlan,
    CommitSource,
    Outcome,
    Refused,
    Space,
    TargetState,
    clean_up,
    plan_clone,
    plan_lines,
)
from mlxk.domain.clone_plan import CloneRequest as Wish
from mlxk.domain.clone_steps import (
    Assess,
    CopyMethod,
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
from mlxk.domain.errors import ErrorKind, MlxkError
from mlxk.domain.health import HealthReport, assess
from mlxk.domain.hub import RepoInfo
from mlxk.domain.manifest import MANIFEST_NAME, Refusal
from mlxk.domain.model import ModelRecord, Source
from mlxk.domain.naming import directory_of
from mlxk.domain.ports import (
    CacheFetcher,
    CloneTargets,
    FactReader,
    Hub,
    Progress,
    Staging,
    TreeCopier,
    WorkspaceIntegrity,
)
from mlxk.domain.staging import DOWNLOAD_NAME, Sentinel, StagingState, staging_path, staging_state
from mlxk.domain.verification import Trust

__all__ = ["Clone", "CloneRequest"]


@dataclass(frozen=True, slots=True)
class CloneRequest:
    """What to clone, and where to.

    Attributes:
        model: a name, path or Hub id, as typed.
        target: as typed; None derives it from the model's name.
        revision: a branch, tag or commit.
        health_check: say how healthy the clone is.
        force_resume: complete an unhealthy download instead of starting it again.
        dry_run: only say what would be done.
    """

    model: str
    target: str | None = None
    revision: str | None = None
    health_check: bool = True
    force_resume: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class _Job:
    """One clone: what was asked for, where it goes, what was found."""

    request: CloneRequest
    model: LocalModel | HubModel
    wish: Wish
    seen: CloneObservation
    found: Sentinel | StagingState
    commit: Commit


@dataclass(slots=True)
class _Course:
    """What the steps did so far, and what it means when the next one fails."""

    method: CopyMethod | None = None
    health: HealthReport | None = None
    downloaded: int = 0
    resumed: int = 0
    failure: Outcome = Outcome.FAILED_LATER


class Clone:
    """Makes workspaces.

    Args:
        fetcher_for: makes what downloads into a directory.
    """

    def __init__(
        self,
        sources: CloneSources,
        targets: CloneTargets,
        staging: Staging,
        copier: TreeCopier,
        integrity: WorkspaceIntegrity,
        reader: FactReader,
        hub: Hub,
        fetcher_for: Callable[[Path], CacheFetcher],
    ) -> None:
        self._sources = sources
        self._targets = targets
        self._staging = staging
        self._copier = copier
        self._integrity = integrity
        self._reader = reader
        self._hub = hub
        self._fetcher_for = fetcher_for

    def __call__(self, request: CloneRequest, progress: Progress) -> CloneResult:
        """Clone one model; at every moment the target is absent or complete.

        Raises:
            MlxkError: what cannot be cloned, or not there; from the moment the target is known it brings a
                `CloneResult`.
        """
        model = self._sources.find(request.model, request.revision)
        target = self._targets.absolute(_directory_name(model), request.target)
        try:
            while (done := self._try(request, model, target, progress)) is None:
                continue  # only ever after another process got on in between
            return done
        except KeyboardInterrupt:
            stopped = MlxkError(ErrorKind.USER_CANCELLED, "Interrupted.")
            raise failed_clone(stopped, model.name, target, health_check=request.health_check) from None
        except MlxkError as error:
            raise failed_clone(error, model.name, target, health_check=request.health_check) from error

    def _try(
        self, request: CloneRequest, model: LocalModel | HubModel, target: str, progress: Progress
    ) -> CloneResult | None:
        """Observe, plan and carry out; None when the plan was overtaken before anything was done."""
        job = self._observed(request, model, target)
        plan = self._plan(job)
        return _dry(job, plan) if request.dry_run else self._carry_out(job, plan, progress)

    # Observe

    def _observed(self, request: CloneRequest, model: LocalModel | HubModel, target: str) -> _Job:
        wish = Wish(model.name, target, request.health_check, request.force_resume)
        path = staging_path(model.spec if isinstance(model, HubModel) else model.name, target)
        at_target = self._at_target(model, target)
        reachable = at_target in (TargetState.ABSENT, TargetState.EMPTY, TargetState.NOT_EMPTY)
        found = self._staging.look(path) if reachable else StagingState.NONE
        kept = None if isinstance(found, StagingState) else found.complete
        if at_target.free and found not in (StagingState.BUSY, StagingState.FOREIGN):
            commit = self._commit(model, kept)
        else:  # nothing that the Hub could say would help
            commit = Commit(None, CommitSource.USER)
        state = found if isinstance(found, StagingState) else self._state(path, found, wish, commit)
        if state is StagingState.PUBLISHED and not at_target.free and not self._is_made_of(model, target):
            state = StagingState.PARTIAL
        space = self._space(path, state, commit, target) if at_target.free else Space()
        seen = CloneObservation(
            at_target, state, path, commit.number, commit.source, commit.snapshot, space, commit.unanswered
        )
        return _Job(request, model, wish, seen, found, commit)

    def _at_target(self, model: LocalModel | HubModel, target: str) -> TargetState:
        return self._targets.look(target, model.record.path if isinstance(model, LocalModel) else None)

    def _commit(self, model: LocalModel | HubModel, kept: str | None) -> Commit:
        if isinstance(model, LocalModel):
            return Commit("", CommitSource.USER, model.record.path)
        return self._sources.commit(model, kept)

    def _state(self, path: str, found: Sentinel, wish: Wish, commit: Commit) -> StagingState:
        """What our staging directory is good for. Without the Hub, an unhealthy download is all there is."""
        healthy = False
        if commit.number and found.complete == commit.number:
            healthy = (
                commit.info is None or self._health(_snapshot(path, wish.repo, commit.number), wish).healthy
            )
        return staging_state(
            found, commit=commit.number, download_healthy=healthy, copy_there=self._staging.has_copy(path)
        )

    def _is_made_of(self, model: LocalModel | HubModel, target: str) -> bool:
        """Whether the target is a workspace of the model."""
        manifest = self._integrity.recorded(Path(target))
        origin = model.name if isinstance(model, HubModel) else self._sources.repo_of(model)
        return not isinstance(manifest, Refusal) and manifest.source_repo == origin

    def _space(self, path: str, state: StagingState, commit: Commit, target: str) -> Space:
        download = None
        if commit.info is not None and commit.snapshot is None:
            kept = state is StagingState.PARTIAL
            fetcher = self._fetcher_for(Path(path, DOWNLOAD_NAME))
            download = fetcher.missing(commit.info).bytes if kept else commit.info.size
        return Space(download=download, free=self._targets.free_bytes(target))

    def _health(self, directory: str, wish: Wish) -> HealthReport:
        facts = self._reader.facts(ModelRecord(wish.target, directory, Source.WORKSPACE))
        return assess(replace(facts, name=Path(wish.target).name))

    # Plan

    def _plan(self, job: _Job) -> ClonePlan:
        decided = plan_clone(job.wish, job.seen)
        if isinstance(decided, Refused):
            if job.seen.target is TargetState.NOT_EMPTY:
                raise with_advice(decided.error(), advice_on(self._left_over(job)))
            raise decided.error()
        if any(isinstance(step, Download) for step in decided.steps):
            self._may_download(job)
        return decided

    def _left_over(self, job: _Job) -> Sequence[str]:
        """What clones to the same target left that is worth keeping; the rest goes, unless in a dry run."""
        if job.request.dry_run:
            return leftovers(self._staging, job.wish.target)
        self._staging.sweep(job.seen.staging_path)
        return clear_leftovers(self._staging, job.wish.target)

    def _may_download(self, job: _Job) -> None:
        info = job.commit.info
        if info is None:
            assert job.commit.unanswered is not None, "the Hub was asked for what is not here"
            raise job.commit.unanswered.refusal(job.wish.repo).error()
        if info.gated:
            self._hub.check_access(info.repo_id)

    # Carry out

    def _carry_out(self, job: _Job, plan: ClonePlan, progress: Progress) -> CloneResult | None:
        """Take the steps, unless what they start from has changed before it was claimed: then None."""
        course = _Course()
        name, path, target, expected = job.model.name, plan.staging_path, job.wish.target, job.found
        discards = list(takewhile(lambda step: isinstance(step, DiscardStaging), plan.steps))
        for step in discards:  # each with a claim of its own, since the directory claimed goes with it
            with system_errors(name, target), self._staging.claimed(path) as found:
                if found != expected or self._is_overtaken(job):
                    return None
                self._do(step, job, course, progress)
            expected = StagingState.NONE
        with system_errors(name, target), self._staging.claimed(path) as found:
            if found != expected or self._is_overtaken(job):
                return None
            self._run(plan, plan.steps[len(discards) :], job, course, progress)
        if job.request.health_check and course.health is None:
            course.health = self._health(job.wish.target, job.wish)
        advice = advice_on(self._left_over(job))
        done = _done(job, plan, course)
        return replace(done, message=f"{done.message} {advice}.") if advice else done

    def _is_overtaken(self, job: _Job) -> bool:
        """Whether the target is no longer what was seen there, as when another clone to it has finished."""
        return self._at_target(job.model, job.wish.target) is not job.seen.target

    def _run(
        self, plan: ClonePlan, steps: tuple[Step, ...], job: _Job, course: _Course, progress: Progress
    ) -> None:
        """Take the steps; what a failure leaves is cleaned up as the domain decides."""
        try:
            with system_errors(job.model.name, job.wish.target):
                for step in steps:
                    self._do(step, job, course, progress)
        except KeyboardInterrupt:
            if not self._give_up(plan, Outcome.INTERRUPTED, course):
                return
            raise cancelled(plan) from None
        except MlxkError as error:
            if self._give_up(plan, course.failure, course):
                raise with_advice(error, clean_up(plan, course.failure).advice) from error

    def _give_up(self, plan: ClonePlan, outcome: Outcome, course: _Course) -> bool:
        """Clean up; False when the clone had been published before, so that there is nothing to give up."""
        published = course.method is not None and not self._staging.has_copy(plan.staging_path)
        with suppress(OSError, MlxkError):
            if published or clean_up(plan, outcome).remove:
                self._staging.discard(plan.staging_path)
            else:
                self._staging.clear(plan.staging_path)
        return not published

    def _do(self, step: Step, job: _Job, course: _Course, progress: Progress) -> None:
        match step:
            case CreateStaging(path):
                spec = job.model.spec if isinstance(job.model, HubModel) else job.model.name
                self._staging.create(path, spec, job.wish.target)
            case DiscardStaging(path):
                self._staging.discard(path)
            case DiscardCopy(path):
                self._staging.clear(path)
            case Download():
                course.failure = Outcome.DOWNLOAD_REFUSED
                self._download(step, job, course, progress)
            case MarkComplete(path, commit):
                self._staging.mark_complete(path, commit)
                course.failure = Outcome.FAILED_LATER
            case CopyTree(source, copy):
                course.method = self._copier.copy(
                    Path(source), Path(copy), progress=progress, without=frozenset({MANIFEST_NAME})
                )
            case Assess(path):
                course.health = self._health(path, job.wish)
            case WriteManifest(path):
                self._write_manifest(path, job)
            case Publish():
                self._publish(job, course)
            case RemoveStaging(path):
                self._staging.remove(path)

    def _download(self, step: Download, job: _Job, course: _Course, progress: Progress) -> None:
        """Bring the download to what the Hub lists; a forced resume believes no content unhashed."""
        assert job.commit.info is not None, "only what the Hub lists is downloaded"
        info: RepoInfo = replace(job.commit.info, revision=step.commit)
        self._staging.mark_downloading(job.seen.staging_path)
        fetcher = self._fetcher_for(Path(step.into))
        distrusts = job.request.force_resume and step.resumes
        try:
            if distrusts:
                fetched = fetcher.fetch(info, info.files, progress, Trust.DIGEST)
            else:
                fetched = fetcher.fetch(info, fetcher.missing(info).files, progress)
        except MlxkError as error:
            if error.kind is ErrorKind.NETWORK:
                course.failure = Outcome.DOWNLOAD_BROKE_OFF
            elif error.kind is not ErrorKind.DOWNLOAD_FAILED:
                raise
            raise MlxkError(ErrorKind.PULL_FAILED, error.message, hint=error.hint) from error
        course.downloaded, course.resumed = fetched.bytes_downloaded, fetched.bytes_resumed
        if not fetched.complete:
            raise MlxkError(
                ErrorKind.PULL_FAILED, f"The download of {step.repo} is not complete.", hint="try again"
            )

    def _publish(self, job: _Job, course: _Course) -> None:
        try:
            self._staging.publish(job.seen.staging_path, job.wish.target)
        except MlxkError as error:
            if error.kind is ErrorKind.INVALID_TARGET:
                course.failure = Outcome.TARGET_TAKEN
            raise

    def _write_manifest(self, copy: str, job: _Job) -> None:
        if isinstance(job.model, LocalModel):
            origin = self._sources.origin_of(job.model)
        else:
            assert job.seen.commit is not None
            downloaded = _snapshot(job.seen.staging_path, job.wish.repo, job.seen.commit)
            origin = self._sources.origin_at(job.model, job.seen.commit, job.seen.snapshot or downloaded)
        self._integrity.found(Path(copy), origin)


def _directory_name(model: LocalModel | HubModel) -> str:
    """What the target is called when nothing is said: `target_path` leaves out what is before the slash."""
    return model.name if isinstance(model, HubModel) else Path(model.name).name


def _snapshot(staging: str, repo: str, commit: str) -> str:
    """Where a staging directory has the download of a commit."""
    return f"{staging}/{DOWNLOAD_NAME}/{directory_of(repo)}/snapshots/{commit}"


def _dry(job: _Job, plan: ClonePlan) -> CloneResult:
    return CloneResult(
        model=job.model.name,
        clone_status="preparing",
        message=f"{job.model.name} would be cloned to {job.wish.target}; nothing was done.",
        target_dir=job.wish.target,
        health_check=job.request.health_check,
        details=CloneDetails(commit=job.seen.commit or None, plan=tuple(plan_lines(plan))),
    )


def _done(job: _Job, plan: ClonePlan, course: _Course) -> CloneResult:
    commit = job.seen.commit or None
    at = f" at {commit[:12]}" if commit else ""
    message = f"Cloned {job.model.name}{at} to {job.wish.target}."
    if course.method is None:
        message = f"{job.wish.target} was complete already; what an earlier clone left beside it is removed."
    health = course.health
    return CloneResult(
        model=job.model.name,
        clone_status="success",
        message=f"{message} {plan.note}" if plan.note else message,
        target_dir=job.wish.target,
        health_check=job.request.health_check,
        health=None if health is None else "healthy" if health.healthy else "unhealthy",
        health_reason=health.reason if health else None,
        details=CloneDetails(
            commit, course.method.value if course.method else None, course.downloaded, course.resumed
        ),
    )
