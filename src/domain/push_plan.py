"""What a push would change on the Hub, and what it refuses to do: pure rules over both sides' file lists.

A push makes a branch hold exactly what the folder holds. Left alone on both sides is what the ignore rules
match, and `.gitattributes`, which the Hub itself writes.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from mlxk.domain.errors import ErrorKind, InvalidInput, MlxkError
from mlxk.domain.files import FileRole, role_of
from mlxk.domain.findings import Code, Finding
from mlxk.domain.health import HealthReport
from mlxk.domain.hub import HubFile, is_commit, name_problem, revision_problem
from mlxk.domain.manifest import DEFAULT_EXCLUDE_PATTERNS, MANIFEST_NAME, Manifest
from mlxk.domain.model import FileFact
from mlxk.domain.naming import RepoId
from mlxk.domain.verification import Digest, FileVerdict, Outcome

__all__ = [
    "ALWAYS_IGNORED",
    "IGNORE_FILE",
    "USUALLY_IGNORED",
    "PushHistory",
    "PushPlan",
    "RemoteRepo",
    "Uploaded",
    "Visibility",
    "damage",
    "deletion_question",
    "deletion_refusal",
    "deletion_unasked",
    "file_refusal",
    "files_to_compare",
    "history_of",
    "overwrite_refusal",
    "plan_push",
    "target_branch",
    "target_repo",
    "unconfirmed",
    "visibility_refusal",
    "with_pushed",
]

IGNORE_FILE = ".hfignore"

USUALLY_IGNORED = DEFAULT_EXCLUDE_PATTERNS
"""gitignore patterns that come before those of `.hfignore`, which may take a name back in (`!train.log`)."""

ALWAYS_IGNORED = (
    *(IGNORE_FILE, MANIFEST_NAME, ".mlxk-*"),
    *(".git", ".cache", ".hf_cache", "*.incomplete"),
)
"""gitignore patterns that come last: our own files and those of git and the Hub's client are never pushed."""

_KEPT_ON_THE_HUB = frozenset({".gitattributes"})
_FORBIDDEN_IN_BRANCHES = re.compile(r"[\x00-\x20~^:?*\[\\\x7f]|\.\.|@\{|//|\.lock(/|$)|(^|/)\.|^[-/]|[/.]$")
_MAX_BRANCH = 200
_MAX_NAMED = 3
_CONFIG = "config.json"
_PUSHED = "pushed_commits"
"""Field of a manifest: the commits that pushes of the workspace made or found to hold what it holds."""
_MAX_PUSHED = 100

# Not whole, but nothing of it is broken: an adapter, a tokenizer of its own, a model to be finished later.
_INCOMPLETE = frozenset(
    {
        *(Code.CONFIG_MISSING, Code.NO_WEIGHTS, Code.TOKENIZER_MISSING, Code.TOKENIZER_CONFIG_INVALID),
        *(Code.PROCESSOR_MISSING, Code.PROCESSOR_INVALID),
    }
)


class Visibility(Enum):
    """Who may see a repository."""

    PRIVATE = "private"
    PUBLIC = "public"


@dataclass(frozen=True, slots=True)
class RemoteRepo:
    """A repository on the Hub, as far as a push asks.

    Attributes:
        branches: the commit (40 hex) each branch stands at.
    """

    repo_id: RepoId
    visibility: Visibility
    branches: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What came of an upload.

    Attributes:
        commit: where the branch is now, 40 hex; the old head where nothing was to do.
        url: address of that commit.
        log: what the Hub's client wrote to its log meanwhile, not redacted.
    """

    commit: str
    url: str
    log: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PushHistory:
    """Which commits a workspace is built on: what it came from, and what it pushed itself.

    Attributes:
        repo: `ORG/NAME` it came from; None where that is not known.
        commits: 40 hex each.
    """

    repo: str | None = None
    commits: frozenset[str] = frozenset()

    def is_of(self, repo_id: RepoId) -> bool:
        """Whether the workspace came from this repository; the Hub does not tell capitals from small."""
        return self.repo is not None and self.repo.casefold() == str(repo_id).casefold()


@dataclass(frozen=True, slots=True)
class PushPlan:
    """What a push would do to a branch; paths are sorted.

    Attributes:
        unchanged: files that the branch has already, with the same content.
    """

    added: tuple[str, ...] = ()
    modified: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()

    @property
    def uploaded(self) -> tuple[str, ...]:
        """The files whose content must get there."""
        return tuple(sorted((*self.added, *self.modified)))

    @property
    def empty(self) -> bool:
        """Whether the branch holds it all already, and nothing else."""
        return not (self.added or self.modified or self.deleted)


def files_to_compare(local: Iterable[FileFact], remote: Iterable[HubFile]) -> list[tuple[FileFact, Digest]]:
    """The local files that may be what the branch has, since the size is the same, with what decides it."""
    there = {file.path: file for file in remote}
    return [
        (file, there[file.path].digest)
        for file in local
        if file.path in there and there[file.path].size == file.size
    ]


def plan_push(
    local: Iterable[FileFact],
    remote: Sequence[HubFile],
    ignored: Collection[str],
    verdicts: Iterable[FileVerdict],
) -> PushPlan:
    """Compare both sides.

    Args:
        local: the files to push, without ignored ones.
        remote: what the branch holds now.
        ignored: paths of `remote` that the ignore rules match.
        verdicts: what hashing the files of `files_to_compare` said.

    Raises:
        MlxkError: (`PERMISSION`) a file could not be read to its end.
    """
    same = set()
    for verdict in verdicts:
        if verdict.outcome is Outcome.UNREADABLE:
            raise MlxkError(
                ErrorKind.PERMISSION,
                f"'{verdict.path}' cannot be read: {verdict.problem or 'it changes while it is read'}.",
                hint="nothing was pushed; make it readable, or list it in .hfignore",
            )
        if verdict.outcome is Outcome.MATCHES:
            same.add(verdict.path)
    here = {file.path for file in local}
    there = {file.path for file in remote}
    gone = there - here - set(ignored) - _KEPT_ON_THE_HUB
    return PushPlan(
        added=tuple(sorted(here - there)),
        modified=tuple(sorted((here & there) - same)),
        deleted=tuple(sorted(gone)),
        unchanged=tuple(sorted(same)),
    )


def unconfirmed(plan: PushPlan, local: Iterable[FileFact], remote: Iterable[HubFile]) -> list[str]:
    """Paths that are not on the Hub as planned, by name and size, given its file list after the push."""
    there = {file.path: file.size for file in remote}
    sizes = {file.path: file.size for file in local}
    lacking = [path for path in plan.uploaded if there.get(path) != sizes.get(path)]
    return lacking + [path for path in plan.deleted if path in there]


# Refusals


def target_repo(text: str) -> RepoId:
    """The repository to push to.

    Raises:
        InvalidInput: the text is no `ORG/NAME`.
    """
    name, at, _revision = text.partition("@")
    if at:
        raise InvalidInput(
            f"'{text[:120]}' names a revision; a push goes to a branch.",
            hint=f"give the branch as an option: {name[:120]} --branch BRANCH",
        )
    try:
        repo_id = RepoId(text)
    except InvalidInput as wrong:
        raise InvalidInput(wrong.message, hint="write ORG/NAME, as the Hub shows it") from None
    if "/" not in text:
        raise InvalidInput(f"'{text}' does not say whose repository it is.", hint=f"write ORG/{text}")
    return repo_id


def target_branch(text: str) -> str:
    """The branch to push to.

    Raises:
        InvalidInput: no branch can have this name (`git check-ref-format`), or it is a commit.
    """
    problem = revision_problem(text)
    if problem is None and (len(text) > _MAX_BRANCH or _FORBIDDEN_IN_BRANCHES.search(text)):
        problem = "git allows no branch of this name"
    if problem is None and is_commit(text):
        problem = "it is a commit, which nothing can be added to"
    if problem:
        raise InvalidInput(
            f"The branch '{text[:120]}' cannot be used: {problem}.",
            hint="leave --branch out for 'main', or give a name such as 'dev'",
        )
    return text


def file_refusal(files: Sequence[FileFact], folder_links: Sequence[str] = ()) -> InvalidInput | None:
    """Why these files cannot be pushed: there are none, or one has a name or a link that cannot go.

    A linked folder is no better than a broken link: nothing behind it would go, and what the Hub has under
    its name would be deleted.
    """
    for path in folder_links[:1]:
        return InvalidInput(
            f"'{path}' is a link that leads to a folder.",
            hint="replace it by the folder it leads to, or list it in .hfignore",
        )
    if not files:
        return InvalidInput(
            "There is nothing to push: the folder is empty, or everything in it is ignored.",
            hint="see what .hfignore excludes",
        )
    for file in files:
        if not file.readable:
            return InvalidInput(
                f"'{file.path}' is a link that {file.link.value}.",
                hint="replace it by the file it should lead to, or list it in .hfignore",
            )
        if problem := name_problem(file.path):
            return InvalidInput(
                f"{file.path!a} cannot be pushed under this name: {problem}.",
                hint="rename it, or list it in .hfignore",
            )
    return None


def deletion_refusal(plan: PushPlan, local: Iterable[FileFact]) -> InvalidInput | None:
    """Why a plan is never carried out, whoever agrees: it takes from a model what makes it one.

    That is its `config.json`, or weights where the folder has none to put in their place. Such a folder is
    the wrong one.
    """
    lost = [path for path in plan.deleted if path == _CONFIG]
    if not any(_is_weights(file.path) for file in local):
        lost += [path for path in plan.deleted if _is_weights(path)]
    if not lost:
        return None
    return InvalidInput(
        f"The folder lacks {_named(lost)}, and the push would delete this on the Hub.",
        hint="check that it is the right folder; what should stay on the Hub can be listed in .hfignore",
    )


def deletion_question(plan: PushPlan, repo_id: RepoId, branch: str) -> str:
    """What to ask before files are deleted on the Hub."""
    return f"Delete {_files(plan.deleted)} from {repo_id}, branch {branch}: {_named(plan.deleted)}?"


def deletion_unasked(plan: PushPlan, repo_id: RepoId) -> InvalidInput:
    """The error where files would be deleted on the Hub and nobody could be asked."""
    return InvalidInput(
        f"The folder lacks {_files(plan.deleted)} of '{repo_id}', which the push would delete: "
        f"{_named(plan.deleted)}.",
        hint="add --delete if they should go; --dry-run lists them, .hfignore keeps them",
    )


def _is_weights(path: str) -> bool:
    return path.endswith(".gguf") or role_of(path) is FileRole.WEIGHTS


def _files(paths: Sequence[str]) -> str:
    return "1 file" if len(paths) == 1 else f"{len(paths)} files"


def _named(paths: Sequence[str]) -> str:
    """The first few of them."""
    more = f" and {len(paths) - _MAX_NAMED} more" if len(paths) > _MAX_NAMED else ""
    return ", ".join(f"'{path}'" for path in paths[:_MAX_NAMED]) + more


def overwrite_refusal(
    history: PushHistory, repo_id: RepoId, branch: str, head: str | None
) -> MlxkError | None:
    """Why a branch is not to be made what a workspace is: others changed it since the workspace was made."""
    if head is None or not history.is_of(repo_id) or head in history.commits:
        return None
    return MlxkError(
        ErrorKind.PUSH_FAILED,
        f"'{repo_id}', branch {branch}, is at {head[:8]}, which this workspace did not come from: "
        "the push would undo what others changed.",
        hint=f"see what differs with --dry-run, or `mlxk clone {repo_id}` again; --overwrite goes ahead",
    )


def history_of(manifest: Manifest) -> PushHistory:
    """The commits a workspace's manifest names; it comes from anywhere, so what is no commit is left out."""
    found = (manifest.source_revision, *_pushed(manifest))
    return PushHistory(manifest.source_repo, frozenset(commit for commit in found if commit))


def with_pushed(manifest: Manifest, commit: str) -> Manifest:
    """The manifest with one more pushed commit, the latest last; the content hash does not cover it."""
    commits = [*(known for known in _pushed(manifest) if known != commit), commit][-_MAX_PUSHED:]
    return replace(manifest, extra={**manifest.extra, _PUSHED: commits})


def _pushed(manifest: Manifest) -> list[str]:
    kept = manifest.extra.get(_PUSHED)
    commits = kept if isinstance(kept, list) else []
    return [commit for commit in commits if isinstance(commit, str) and is_commit(commit)]


def damage(report: HealthReport) -> tuple[Finding, ...]:
    """The findings for which nobody should get these files: something in them is broken.

    What is only not complete (an adapter, a tokenizer alone) may be pushed.
    """
    return tuple(finding for finding in report.errors if finding.code not in _INCOMPLETE)


def visibility_refusal(repo: RemoteRepo, asked: Visibility, url: str) -> InvalidInput | None:
    """The error to raise where a repository is not as private, or as public, as the push was told."""
    if repo.visibility is asked:
        return None
    is_now, flag = repo.visibility.value, f"--{repo.visibility.value}"
    return InvalidInput(
        f"'{repo.repo_id}' is {is_now}, and you said --{asked.value}.",
        hint=f"push with {flag}, or make the repository {asked.value} first: {url}/settings",
    )
