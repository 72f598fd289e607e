"""What stands between a plan and its push: consent to deletions, and what nobody can consent to."""

from mlxk.domain.consent import Consent
from mlxk.domain.errors import Interrupted
from mlxk.domain.naming import RepoId
from mlxk.domain.ports import Confirmer
from mlxk.domain.push_plan import PushPlan, deletion_question, deletion_unasked

__all__ = ["agree_to_deletions"]


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
