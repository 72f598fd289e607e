"""What a `pull` means: which ids to ask the Hub for, and whether something was begun and left."""

from dataclasses import dataclass

from mlxk.domain.errors import InvalidInput
from mlxk.domain.hub import DEFAULT_REVISION, Missing, RepoInfo
from mlxk.domain.naming import DEFAULT_ORG, PathSpec, RepoId, parse_spec

__all__ = ["Wanted", "is_half_done", "wanted"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to ask the Hub for.

    Attributes:
        ids: in the order to try them; a bare name is first looked for in the default organisation.
        revision: branch, tag or commit.
    """

    ids: tuple[RepoId, ...]
    revision: str


def wanted(text: str, revision: str | None = None) -> Wanted:
    """Read what a person typed for a model on the Hub.

    Args:
        text: `org/name` or `name`, with `@revision` or without.
        revision: one that was given apart.

    Raises:
        InvalidInput: it is a path, breaks the Hub's rules for ids, or names two revisions.
    """
    spec = parse_spec(text)
    if isinstance(spec, PathSpec):
        raise InvalidInput(
            f"'{text}' is a path, and models are pulled from the Hub.",
            hint="give a Hub id such as mlx-community/NAME",
        )
    if revision == "":
        raise InvalidInput(
            "The revision is empty.", hint="leave out --revision, or name a branch, tag or commit"
        )
    if revision is not None and spec.revision not in (None, revision):
        raise InvalidInput(
            f"Two revisions are given: '{spec.revision}' and '{revision}'.", hint="leave one of them out"
        )
    names = [spec.name] if "/" in spec.name else [f"{DEFAULT_ORG}/{spec.name}", spec.name]
    return Wanted(tuple(map(RepoId, names)), spec.revision or revision or DEFAULT_REVISION)


def is_half_done(info: RepoInfo, left: Missing) -> bool:
    """Whether another program has begun this commit, or something has taken a part of it away.

    Our own downloads leave no sign of that kind: begun contents of ours have a name of their own, whole ones
    were verified before they got theirs, and a snapshot appears at once, with everything in it. They are
    gone on with as a matter of course.
    """
    if not left.files:
        return False
    lacking = {file.digest.value for file in left.files}
    placed = sum(file.digest.value not in lacking for file in info.files) - len(left.unplaced)
    return bool(left.foreign) or placed > 0
