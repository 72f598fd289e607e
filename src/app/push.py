"""`mlxk push`: make a branch on the Hub hold what a folder holds."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, auto

from mlxk.app.push_folder import (
    FolderCheck,
    PushedFolder,
    WorkspaceHealth,
    incomplete,
    refuse_damaged,
    refuse_secrets,
    workspace_health,
)
from mlxk.app.push_guards import agree_to_deletions, note_pushed, objection
from mlxk.app.push_target import PushTarget, PushTargets
from mlxk.domain.errors import ErrorKind, InvalidInput, MlxkError, ModelNotFound
from mlxk.domain.hub import DEFAULT_REVISION, HubFile
from mlxk.domain.naming import RepoId
from mlxk.domain.ports import Confirmer, FactReader, Hub, HubUploader, Progress, PushFolders, Verifier
from mlxk.domain.push_plan import (
    IGNORE_FILE,
    PushHistory,
    PushPlan,
    Uploaded,
    Visibility,
    files_to_compare,
    plan_push,
    target_branch,
    target_repo,
    unconfirmed,
)

__all__ = [
    "ChangeSummary",
    "Push",
    "PushMode",
    "PushRequest",
    "PushResult",
]


class PushMode(Enum):
    """How far to go."""

    CHECK_ONLY = auto()
    DRY_RUN = auto()
    PUSH = auto()


@dataclass(frozen=True, slots=True)
class PushRequest:
    """What to push where.

    Attributes:
        folder: as typed: a path, or the name of a workspace.
        repo: `ORG/NAME`.
        visibility: what the repository must be, or become; None only to check.
        create: make the repository or the branch where it does not exist.
        message: of the commit; None for one that names the folder.
        overwrite: push although the branch has commits this workspace did not come from.
    """

    folder: str
    repo: str
    visibility: Visibility | None = None
    mode: PushMode = PushMode.PUSH
    create: bool = False
    branch: str = DEFAULT_REVISION
    message: str | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class ChangeSummary:
    """Numbers of files."""

    added: int
    modified: int
    deleted: int


@dataclass(frozen=True)
class PushResult:
    """What a push did, would do, or found.

    Attributes:
        commit_sha: the new commit; null when none was made.
        uploaded_files_count: files that were added or modified on the Hub.
        local_files_count: files of the folder that are not ignored.
        no_changes: whether the branch held it all already; null with `--check-only`.
        change_summary: what was done; null where nothing was tried.
        hf_logs: what the Hub's client logged, redacted.
        warnings: what the user should know before others see the files.
    """

    repo_id: str
    branch: str
    commit_sha: str | None
    commit_url: str | None
    repo_url: str
    uploaded_files_count: int
    local_files_count: int
    no_changes: bool | None
    created_repo: bool
    change_summary: ChangeSummary | None
    message: str
    hf_logs: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    workspace_health: WorkspaceHealth | None = None
    dry_run: bool = False
    dry_run_summary: ChangeSummary | None = None
    added_files: tuple[str, ...] | None = None
    modified_files: tuple[str, ...] | None = None
    deleted_files: tuple[str, ...] | None = None
    would_create_repo: bool | None = None
    would_create_branch: bool | None = None


class Push:
    """Pushes folders to the Hub.

    Args:
        redact: takes secrets out of the log lines of the Hub's client.
    """

    def __init__(
        self,
        folders: PushFolders,
        reader: FactReader,
        verifier: Verifier,
        hub: Hub,
        uploader: HubUploader,
        redact: Callable[[str], str],
    ) -> None:
        self._folders = folders
        self._check = FolderCheck(folders, reader)
        self._verifier = verifier
        self._hub = hub
        self._uploader = uploader
        self._targets = PushTargets(uploader)
        self._redact = redact

    def __call__(
        self,
        request: PushRequest,
        progress: Progress,
        notice: Callable[[str], object],
        confirm: Confirmer,
    ) -> PushResult:
        """Check the folder, compare it with the branch, and upload what differs.

        Args:
            notice: hears warnings before anything is uploaded, and what was created.
            confirm: is asked before files are deleted on an existing branch.

        Raises:
            InvalidInput: the request, or something in the folder, cannot be used.
            MlxkError: as the ports say; (`REPO_NOT_FOUND`) also where the branch does not exist.
            Interrupted: the user does not want files to be deleted.
        """
        repo_id, branch = target_repo(request.repo), target_branch(request.branch)
        _check_wishes(request)
        local = self._check.look(request.folder)
        suspicions = self._check.suspicions(local)
        suspected = tuple(found.warning for found in suspicions)
        if request.mode is PushMode.CHECK_ONLY:
            return _checked(local, repo_id, branch, self._uploader.url(repo_id), suspected)
        refuse_damaged(local)
        if request.visibility is Visibility.PUBLIC:
            refuse_secrets(suspicions)
        self._uploader.check_token(repo_id)
        warnings = (*suspected, *incomplete(local))
        for warning in warnings:
            notice(warning)
        assert request.visibility is not None  # as `_check_wishes` saw
        target = self._targets.find(repo_id, branch, request.visibility, create=request.create)
        plan = self._plan(local, target, progress)
        blank = _blank(local, target, self._uploader.url(repo_id), warnings)
        against = self._objection(request, local, target, plan)
        if request.mode is PushMode.DRY_RUN:
            return _would(blank, plan, target, against, notice)
        if plan.empty and not (target.new_repo or target.new_branch):
            return self._noted(_unchanged(blank), local, target, target.head, notice)
        if against is not None:
            raise against
        if not target.new_branch:
            agree_to_deletions(plan, repo_id, branch, confirm)
        self._targets.prepare(target, notice)
        done = self._upload(local, target, plan, request)
        result = self._done(blank, local, plan, target, done)
        return self._noted(result, local, target, result.commit_sha or target.head, notice)

    def _plan(self, local: PushedFolder, target: PushTarget, progress: Progress) -> PushPlan:
        remote: tuple[HubFile, ...] = ()
        if target.head is not None:
            remote = self._hub.describe(target.repo_id, target.head).files
        compared = files_to_compare(local.files, remote)
        verdicts = list(self._verifier.verify(local.record, compared, progress)) if compared else []
        ignored = self._folders.ignored(local.folder, [file.path for file in remote])
        return plan_push(local.files, remote, ignored, verdicts)

    def _objection(
        self, request: PushRequest, local: PushedFolder, target: PushTarget, plan: PushPlan
    ) -> MlxkError | None:
        history = PushHistory() if request.overwrite else self._folders.history(local.folder)
        head = None if target.new_branch else target.head
        return objection(plan, local.files, history, target.repo_id, target.branch, head)

    def _noted(
        self,
        result: PushResult,
        local: PushedFolder,
        target: PushTarget,
        commit: str | None,
        notice: Callable[[str], object],
    ) -> PushResult:
        """The result, once the workspace remembers the commit that holds what it holds."""
        if commit is None:
            return result
        problems = note_pushed(self._folders, local.folder, target.repo_id, commit)
        for problem in problems:
            notice(problem)
        return replace(result, warnings=(*result.warnings, *problems))

    def _upload(
        self, local: PushedFolder, target: PushTarget, plan: PushPlan, request: PushRequest
    ) -> Uploaded | None:
        if plan.empty:  # a new branch that holds it all
            return None
        message = request.message or f"Push {local.folder.name} with mlxk"
        where = (local.folder, target.repo_id, target.branch, plan, target.head, message)
        try:
            return self._uploader.upload(*where)
        except ModelNotFound as unknown:
            if not request.create:
                raise MlxkError(
                    ErrorKind.REPO_NOT_FOUND, unknown.message, hint="add --create to make the branch"
                ) from unknown
        self._uploader.create_branch(target.repo_id, target.branch)
        try:
            return self._uploader.upload(*where)
        except ModelNotFound as unknown:
            raise MlxkError(
                ErrorKind.PUSH_FAILED,
                unknown.message,
                hint="it was just made; repeat the command in a moment",
            ) from unknown

    def _done(
        self,
        blank: PushResult,
        local: PushedFolder,
        plan: PushPlan,
        target: PushTarget,
        done: Uploaded | None,
    ) -> PushResult:
        created = replace(blank, created_repo=target.new_repo)
        if done is None or done.commit == target.head:
            logs = done.log if done else ()
            return replace(_unchanged(created), hf_logs=tuple(map(self._redact, logs)))
        self._confirm(local, plan, target, done.commit)
        return replace(
            created,
            commit_sha=done.commit,
            commit_url=done.url,
            uploaded_files_count=len(plan.uploaded),
            change_summary=_summary(plan),
            message=f"Pushed to {target.repo_id}, branch {target.branch}: {_in_words(plan)}.",
            hf_logs=tuple(map(self._redact, done.log)),
        )

    def _confirm(self, local: PushedFolder, plan: PushPlan, target: PushTarget, commit: str) -> None:
        """See that the commit holds what was sent: the Hub leaves out what its own `.gitignore` matches."""
        try:
            there = self._hub.describe(target.repo_id, commit).files
        except MlxkError:  # the push itself is done, and not being able to ask does not undo it
            return
        if lacking := unconfirmed(plan, local.files, there):
            more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
            raise MlxkError(
                ErrorKind.PUSH_FAILED,
                f"The Hub made the commit {commit[:8]} without '{lacking[0]}'{more}.",
                hint=f"the repository's .gitignore may exclude it: change that, or list it in {IGNORE_FILE}",
            )


def _check_wishes(request: PushRequest) -> None:
    """See that the request says what it must."""
    if request.mode is not PushMode.CHECK_ONLY and request.visibility is None:
        raise InvalidInput(
            "A push must say who may see the files.",
            hint="add --private, or --public if everyone may have them",
        )
    if request.message is not None and not request.message.strip():
        raise InvalidInput("The commit message is empty.", hint="leave --commit out for a message of ours")


def _summary(plan: PushPlan) -> ChangeSummary:
    return ChangeSummary(len(plan.added), len(plan.modified), len(plan.deleted))


def _in_words(plan: PushPlan) -> str:
    return f"{len(plan.added)} added, {len(plan.modified)} modified, {len(plan.deleted)} deleted"


def _blank(local: PushedFolder, target: PushTarget, url: str, warnings: tuple[str, ...]) -> PushResult:
    """The result of a push that has done nothing yet."""
    return PushResult(
        repo_id=str(target.repo_id),
        branch=target.branch,
        commit_sha=None,
        commit_url=None,
        repo_url=url,
        uploaded_files_count=0,
        local_files_count=len(local.files),
        no_changes=False,
        created_repo=False,
        change_summary=None,
        message="",
        hf_logs=(),
        warnings=warnings,
    )


def _unchanged(blank: PushResult) -> PushResult:
    return replace(
        blank,
        no_changes=True,
        change_summary=ChangeSummary(0, 0, 0),
        message=f"Nothing to push: {blank.repo_id}, branch {blank.branch}, holds these files already.",
    )


def _would(
    blank: PushResult,
    plan: PushPlan,
    target: PushTarget,
    against: MlxkError | None,
    notice: Callable[[str], object],
) -> PushResult:
    warnings = blank.warnings
    if against is not None:
        warnings = (*warnings, f"This push would be refused: {against.message}")
        notice(warnings[-1])
    new = "repository" if target.new_repo else "branch" if target.new_branch else None
    first = f"create the {new} and " if new else ""
    return replace(
        blank,
        warnings=warnings,
        no_changes=plan.empty and new is None,
        message=f"Would {first}push to {target.repo_id}, branch {target.branch}: {_in_words(plan)}.",
        dry_run=True,
        dry_run_summary=_summary(plan),
        added_files=plan.added,
        modified_files=plan.modified,
        deleted_files=plan.deleted,
        would_create_repo=target.new_repo,
        would_create_branch=target.new_branch,
    )


def _checked(
    local: PushedFolder, repo_id: RepoId, branch: str, url: str, warnings: tuple[str, ...]
) -> PushResult:
    target = PushTarget(repo_id, branch, Visibility.PRIVATE, None, new_repo=False, new_branch=False)
    return replace(
        _blank(local, target, url, warnings),
        no_changes=None,
        message=local.report.reason,
        workspace_health=workspace_health(local),
    )
