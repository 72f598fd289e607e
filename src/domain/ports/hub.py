"""The Hub: describing, downloading, removing what was downloaded, uploading."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from mlxk.domain.verification import Trust

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from mlxk.domain.hub import FetchResult, HubFile, Missing, RepoInfo
    from mlxk.domain.model import ModelRecord
    from mlxk.domain.naming import RepoId
    from mlxk.domain.ports.surroundings import Progress
    from mlxk.domain.push_plan import PushHistory, PushPlan, RemoteRepo, Uploaded, Visibility
    from mlxk.domain.removal import Removal, RepoContents

__all__ = [
    "CacheFetcher",
    "CacheRemover",
    "Hub",
    "HubUploader",
    "PushFolders",
]


class Hub(Protocol):
    """The Hugging Face Hub, or a server that speaks like it."""

    def describe(self, repo_id: RepoId, revision: str) -> RepoInfo:
        """What a branch, tag or commit of a model holds, with sizes and digests; names are checked.

        Answers within seconds or fails.

        Raises:
            InvalidInput: the revision cannot be one.
            ModelNotFound: the model has no such revision.
            MlxkError: (`REPO_NOT_FOUND`) there is no such model, or it is hidden from this token;
                (`ACCESS_DENIED`) private and not logged in, or disabled; (`AUTH`) the token is not valid;
                (`NETWORK`) offline, unreachable, too slow or out of order; (`DOWNLOAD_FAILED`) the file list
                cannot be used.
        """

    def check_access(self, repo_id: RepoId) -> None:
        """See that this user may download a model's files; needed where `RepoInfo.gated`.

        Raises:
            MlxkError: (`ACCESS_DENIED`) the terms are not accepted, or not under this login; the hint says
                where; and what `describe` raises.
        """


class CacheFetcher(Protocol):
    """Brings one cache directory to what a Hub describes, byte by byte where an earlier try stopped."""

    def missing(self, info: RepoInfo) -> Missing:
        """What the cache lacks of a repository; looks at sizes, reads no content, asks no network."""

    def remembered(self, repo_id: RepoId, revision: str) -> RepoInfo | None:
        """What the Hub said of a revision when it was last downloaded; None if nothing was kept."""

    def is_fetching(self, info: RepoInfo) -> bool:
        """Whether another process downloads a file of a repository at this moment."""

    def free_bytes(self) -> int:
        """Bytes that may still be written to the cache's volume."""

    def fetch(
        self, info: RepoInfo, files: Sequence[HubFile], progress: Progress, trust: Trust = Trust.SIZE
    ) -> FetchResult:
        """Download the given files of a repository, verify each, and put everything in its place.

        A content that is already there is only downloaded again when it fails what `trust` asks of it. The
        snapshot and its ref appear when nothing of `info` is missing any more. Another process that fetches
        the same file is waited for. `KeyboardInterrupt` passes through within a second; what was received
        stays for the next try.

        Raises:
            MlxkError: (`DOWNLOAD_FAILED`) a file is not what the Hub promised, or is gone; (`NETWORK`) the
                connection stayed lost; (`ACCESS_DENIED`, `AUTH`) the Hub refused a file;
                (`INSUFFICIENT_DISK`) before the first byte where it can be known; (`PERMISSION`) the cache
                cannot be written.
        """


class CacheRemover(Protocol):
    """Deletes from one cache directory, and never anything outside a model's own directory there."""

    def directories(self) -> Sequence[ModelRecord]:
        """Every model's directory, also one that no model is in any more since it was deleted in part."""

    def contents(self, record: ModelRecord) -> RepoContents:
        """What there is of a record's model; broken links are no problem.

        Raises:
            MlxkError: (`PERMISSION`) it cannot be read; (`OPERATION`) the record is not of this cache.
        """

    def alone(self, record: ModelRecord) -> AbstractContextManager[tuple[str, ...]]:
        """Keep downloads of the record's model from beginning, within a `with` block.

        It gives the lock files that another process holds, relative to the cache: with any, nothing may be
        deleted.
        """

    def remove(self, record: ModelRecord, removal: Removal) -> None:
        """Delete what was planned, with the locks that belong to it; what is gone already is no problem.

        Interrupted or failed, it has deleted a part; the next call deletes the rest.

        Raises:
            MlxkError: (`PERMISSION`) something cannot be deleted; the message says what; (`LOCKS_PRESENT`)
                another program writes to the model at this moment.
        """


class HubUploader(Protocol):
    """The writing side of the Hub, under the user's token.

    Every method raises MlxkError: (`AUTH`) there is no token, or the Hub does not know it; (`ACCESS_DENIED`)
    it may not write there; (`NETWORK`) the Hub could not be asked; and what its own text says.
    """

    def check_token(self, repo_id: RepoId) -> None:
        """See that there is a token to push with: one the Hub knows, and not for reading only."""

    def url(self, repo_id: RepoId) -> str:
        """Address of a repository's page."""

    def look(self, repo_id: RepoId) -> RemoteRepo | None:
        """A repository and its branches as they are now; None if there is none that this token may see."""

    def create_repo(self, repo_id: RepoId, visibility: Visibility) -> None:
        """Make a repository with a branch `main`; one that exists already stays as it is."""

    def create_branch(self, repo_id: RepoId, branch: str) -> None:
        """Make a branch that begins where `main` is; one that exists already stays as it is."""

    def upload(
        self, folder: Path, repo_id: RepoId, branch: str, plan: PushPlan, parent: str | None, message: str
    ) -> Uploaded:
        """Carry out a plan on a branch.

        Contents that arrived stay on the Hub when a later one fails, and are not sent again by the next
        try; the branch changes at the end.

        Args:
            parent: the commit the plan was made for; None not to insist on it.
            message: the commit's.

        Raises:
            ModelNotFound: the Hub knows no such branch (yet).
            MlxkError: (`UPLOAD_FAILED`) the connection or the Hub failed on the way, try again;
                (`PUSH_FAILED`) the Hub refuses these files, or the branch is not at `parent` any more;
                (`REPO_NOT_FOUND`) the repository is gone.
        """


class PushFolders(Protocol):
    """Folders to be pushed."""

    def find(self, typed: str) -> ModelRecord:
        """The folder that a person typed, as a path or as the name of a workspace.

        Raises:
            InvalidInput: it lies in the model cache, holds what is nobody's model (the cache, tokens, a home
                directory), or is no directory.
            MlxkError: (`WORKSPACE_NOT_FOUND`) there is none; (`PERMISSION`) it cannot be read.
        """

    def ignored(self, folder: Path, paths: Iterable[str]) -> Collection[str]:
        """Those of the paths, of local or remote files, that the ignore rules of a folder match.

        Raises:
            InvalidInput: its `.hfignore` cannot be used; the message says why.
        """

    def folder_links(self, folder: Path) -> Sequence[str]:
        """Links below a folder that lead to folders, wherever these are; paths relative to it, sorted."""

    def history(self, folder: Path) -> PushHistory:
        """The commits a folder is built on, as its manifest says; an empty one without a manifest."""

    def note_pushed(self, folder: Path, commit: str) -> None:
        """Let a folder's manifest, if it has one, say that this commit holds what the folder holds.

        Raises:
            MlxkError: (`PERMISSION`) the manifest cannot be written; the old one stays.
        """

    def text(self, folder: Path, path: str) -> str:
        """What a small file holds, as far as it is text; empty where it cannot be read."""
