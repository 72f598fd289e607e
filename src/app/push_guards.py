"""What stands between a plan and its push: consent to deletions, and others' commits."""

from pathlib import Path

from mlxk.domain.consent import Consent
from mlxk.domain.errors import Interrupted, MlxkError
from mlxk.domain.model import FileFact
from mlxk.domain.naming import RepoId
from mlxk.domain.ports import Confirmer, PushFolders
from mlxk.domain.push_plan import (
    PushHistory,
    PushPlan,
    deletion_question,
    deletion_refusal,
    deletion_unasked,
    overwrite_refusal,
)

__all__ = ["agree_to_deletions", "note_pushed", "objection"]


def objection(
    plan: PushPlan,
    local: tuple[FileFact, ...],
    history: PushHistory,
    repo_id: RepoId,
    branch: str,
    head: str | None,
) -> MlxkError | None:
    """Why a plan should not be carried out, if it changes anything.

    Args:
        history: an empty one when the user wants others' commits to be overwritten.
        head: where the branch is; None for one that is yet to be made, on which nothing can be lost.
    """
    if plan.empty or head is None:
        return None
    return deletion_refusal(plan, local) or overwrite_refusal(history, repo_id, branch, head)


def agree_to_deletions(plan: PushPlan, repo_id: RepoId, branch: str, confirm: Confirmer) -> None:
    """See that the user wants the files of the branch deleted that a plan deletes, if any.

    Raises:
        InvalidInput: there is nobody to ask.
        Interrupted: the user does not want it.
    """
    if not plan.deleted:
        return
    match confirm(deletion_question(plan, repo_id, branch)):
        case Consent.NOBODY:
            raise deletion_unasked(plan, repo_id)
        case Consent.REFUSED:
            raise Interrupted("Nothing was pushed.", hint="list in .hfignore what should stay on the Hub")


def note_pushed(folders: PushFolders, folder: Path, repo_id: RepoId, commit: str) -> tuple[str, ...]:
    """Let a workspace that came from this repository remember the commit; what to warn of if it cannot."""
    history = folders.history(folder)
    if not history.is_of(repo_id) or commit in history.commits:
        return ()
    try:
        folders.note_pushed(folder, commit)
    except MlxkError as error:
        return (f"The next push will ask for --overwrite. {error.message}",)
    return ()
