"""Where a push goes: finding repository and branch, and making them."""

from collections.abc import Callable
from dataclasses import dataclass

from mlxk.domain.errors import ErrorKind, MlxkError
from mlxk.domain.hub import DEFAULT_REVISION
from mlxk.domain.naming import RepoId
from mlxk.domain.ports import HubUploader
from mlxk.domain.push_plan import Visibility, visibility_refusal

__all__ = ["PushTarget", "PushTargets"]


@dataclass(frozen=True, slots=True)
class PushTarget:
    """Where it goes, as it is before the push.

    Attributes:
        head: the commit to compare with: the branch's, or `main`'s where the branch is yet to be made.
    """

    repo_id: RepoId
    branch: str
    visibility: Visibility
    head: str | None
    new_repo: bool
    new_branch: bool


class PushTargets:
    """Repositories and branches that this user may push to."""

    def __init__(self, uploader: HubUploader) -> None:
        self._uploader = uploader

    def find(self, repo_id: RepoId, branch: str, visibility: Visibility, *, create: bool) -> PushTarget:
        """Where a push goes, once it is seen that it may.

        Args:
            visibility: what the repository must be, or become.
            create: it need not exist.

        Raises:
            InvalidInput: the repository is not as private, or as public.
            MlxkError: (`REPO_NOT_FOUND`) repository or branch is missing; or as `HubUploader` says.
        """
        repo = self._uploader.look(repo_id)
        if repo is None:
            if not create:
                raise MlxkError(
                    ErrorKind.REPO_NOT_FOUND,
                    f"The Hub has no repository '{repo_id}' that this token can see.",
                    hint="check the spelling, or add --create to make it",
                )
            return PushTarget(
                repo_id,
                branch,
                visibility,
                None,
                new_repo=True,
                new_branch=branch != DEFAULT_REVISION,
            )
        if refusal := visibility_refusal(repo, visibility, self._uploader.url(repo_id)):
            raise refusal
        new_branch = branch not in repo.branches
        if new_branch and not create:
            raise MlxkError(
                ErrorKind.REPO_NOT_FOUND,
                f"'{repo_id}' has no branch '{branch}'.",
                hint="check the spelling, or add --create to make it",
            )
        head = repo.branches.get(branch) or repo.branches.get(DEFAULT_REVISION)
        return PushTarget(repo_id, branch, visibility, head, new_repo=False, new_branch=new_branch)

    def prepare(self, target: PushTarget, notice: Callable[[str], object]) -> None:
        """Make repository and branch where they are missing.

        Args:
            notice: hears what was made.

        Raises:
            InvalidInput: somebody else has just made the repository, and not as private, or as public.
            MlxkError: as `HubUploader` says.
        """
        if target.new_repo:
            self._uploader.create_repo(target.repo_id, target.visibility)
            self._check_created(target)
            notice(f"Created the {target.visibility.value} repository {target.repo_id}.")
        if target.new_branch:
            self._uploader.create_branch(target.repo_id, target.branch)
            notice(f"Created the branch {target.branch}.")

    def _check_created(self, target: PushTarget) -> None:
        """Someone else may have made the repository in the same moment, with another visibility."""
        repo = self._uploader.look(target.repo_id)
        url = self._uploader.url(target.repo_id)
        if repo is not None and (refusal := visibility_refusal(repo, target.visibility, url)):
            raise refusal
