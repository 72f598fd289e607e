"""`mlxk pull`: bring a model from the Hub into the cache."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from mlxk.app.inspection import Inspector
from mlxk.domain.consent import Consent
from mlxk.domain.errors import ErrorKind, Interrupted, MlxkError
from mlxk.domain.hub import DEFAULT_REVISION, FetchResult, Missing, RepoInfo, space_shortage
from mlxk.domain.model import ModelRecord
from mlxk.domain.naming import RepoId
from mlxk.domain.ports import CacheFetcher, Confirmer, FileProgress, Hub, ModelStore
from mlxk.domain.pulling import Wanted, is_half_done, wanted
from mlxk.domain.sizes import human_size

__all__ = ["FileToFetch", "Pull", "PullRequest", "PullResult"]

_NOT_THERE = (ErrorKind.REPO_NOT_FOUND, ErrorKind.ACCESS_DENIED)
"""What the Hub answers for a name it does not have; without a token it hides models behind the second."""

_CONSENT = " --force-resume"

_NO_DOWNLOAD = (ErrorKind.VALIDATION, ErrorKind.OPERATION, ErrorKind.PERMISSION, ErrorKind.INSUFFICIENT_DISK)
"""Errors of this machine, not of the download."""


@dataclass(frozen=True, slots=True)
class PullRequest:
    """Which model.

    Attributes:
        model: `[org/]name[@revision]`.
        revision: branch, tag or commit, when given apart.
        dry_run: only say what would be downloaded.
    """

    model: str
    revision: str | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class FileToFetch:
    """A file that is not in the cache yet; an equal one under another name is not listed again."""

    name: str
    size_bytes: int


@dataclass(frozen=True)
class PullResult:
    """`mlxk pull`.

    Attributes:
        model: `org/name`.
        message: one line for people.
        expanded_name: the full id of a name that was given without organisation, else null.
        commit_hash: the commit that is in the cache now (or would be), 40 hex digits.
        bytes_downloaded: over the network, now.
        files_to_fetch: (`--dry-run`) what the cache lacks.
        bytes_to_fetch: (`--dry-run`) to download, after what an earlier download has begun.
    """

    model: str
    download_status: Literal[
        "success", "already_exists", "requires_confirmation", "failed", "error", "unknown"
    ]
    message: str
    expanded_name: str | None
    commit_hash: str | None
    bytes_downloaded: int
    files_to_fetch: tuple[FileToFetch, ...] | None = None
    bytes_to_fetch: int | None = None


class Pull:
    """Downloads models into the cache.

    Args:
        hub: where models come from.
        fetcher: brings the cache to what the Hub describes.
        cache: what is there already.
        inspector: says whether a cached model is whole, when there is nothing better to compare it with.
    """

    def __init__(self, hub: Hub, fetcher: CacheFetcher, cache: ModelStore, inspector: Inspector) -> None:
        self._hub = hub
        self._fetcher = fetcher
        self._cache = cache
        self._inspector = inspector

    def __call__(self, request: PullRequest, progress: FileProgress, confirm: Confirmer) -> PullResult:
        """Bring a commit into the cache, or say that it is there.

        Nothing is written before the Hub has said that the files may be had and the volume has room. Without
        the network a model that is there in full counts as pulled.

        Raises:
            InvalidInput: what was asked for can be no model on the Hub.
            MlxkError: as `Hub` and `CacheFetcher` say; its `data` is a `PullResult` too.
            Interrupted: by Ctrl-C; what came is kept, and the hint says how to go on.
        """
        asked = wanted(request.model, request.revision)
        so_far = PullResult(str(asked.ids[0]), "unknown", "", _expanded(request.model, asked.ids[0]), None, 0)
        try:
            try:
                info = self._describe(asked)
            except MlxkError as error:
                if error.kind is not ErrorKind.NETWORK:
                    raise
                return self._offline(request, asked, error)
            so_far = replace(
                so_far,
                model=str(info.repo_id),
                expanded_name=_expanded(request.model, info.repo_id),
                commit_hash=info.commit,
            )
            return self._bring(info, request, so_far, progress, confirm)
        except MlxkError as error:
            status: Literal["failed", "error"] = "error" if error.kind in _NO_DOWNLOAD else "failed"
            error.data = replace(so_far, download_status=status, message=error.message)
            raise

    def _describe(self, asked: Wanted) -> RepoInfo:
        """Ask for each id in turn; of several errors the first, which is about the likelier id."""
        first: MlxkError | None = None
        for repo_id in asked.ids:
            try:
                return self._hub.describe(repo_id, asked.revision)
            except MlxkError as error:
                if error.kind not in _NOT_THERE:
                    raise (first or error) from None
                first = first or error
        assert first is not None
        raise first

    def _bring(
        self,
        info: RepoInfo,
        request: PullRequest,
        so_far: PullResult,
        progress: FileProgress,
        confirm: Confirmer,
    ) -> PullResult:
        left = self._fetcher.missing(info)
        if left.files and info.gated:
            self._hub.check_access(info.repo_id)
        if request.dry_run:
            return self._would_fetch(left, so_far)
        if shortage := space_shortage(left.bytes, self._fetcher.free_bytes()):
            raise shortage
        command = _command(request)
        if question := self._question(info, left):
            if confirm(question) is not Consent.GIVEN:
                return _unconfirmed(so_far, left, command)
            command += _CONSENT
        fetched = self._fetch(info, left, command, progress)
        if left.complete:
            return _already_here(so_far)
        return _done(so_far, fetched)

    def _question(self, info: RepoInfo, left: Missing) -> str | None:
        """What the user must agree to; a process that is at it at this moment is waited for instead."""
        if left.replaced:
            return f"Replace {_names(left.replaced)} in '{info.repo_id}', put there by hand, by the Hub's?"
        if is_half_done(info, left) and not self._fetcher.is_fetching(info):
            return f"'{info.repo_id}' is here in part; download the other {_size(left)}?"
        return None

    def _snapshots(self, repo_id: RepoId) -> list[ModelRecord]:
        found = []
        for record in self._cache.records():
            if record.name == str(repo_id) and record.revision is not None:
                found += [record, *self._cache.revisions(record)]
        return found

    def _fetch(self, info: RepoInfo, left: Missing, command: str, progress: FileProgress) -> FetchResult:
        progress.expect({file.path: file.size for file in left.files})
        try:
            fetched = self._fetcher.fetch(info, left.files, progress)
        except KeyboardInterrupt:
            raise Interrupted(
                f"Interrupted; what has come of '{info.repo_id}' is kept.",
                hint=f"`{command}` goes on where it stopped",
            ) from None
        if not fetched.complete:
            raise MlxkError(
                ErrorKind.DOWNLOAD_FAILED,
                f"'{info.repo_id}' is still not complete: another program changes the cache.",
                hint=f"repeat `{_command_with_consent(command)}`",
            )
        return fetched

    def _would_fetch(self, left: Missing, so_far: PullResult) -> PullResult:
        files = tuple(FileToFetch(file.path, file.size) for file in left.files)
        free = self._fetcher.free_bytes()
        message = f"Would fetch {_count(left)}, {_size(left)}."
        if left.complete:
            message = "Nothing to fetch: it is here in full."
        elif left.bytes > free:
            message = f"{message[:-1]}; the volume has only {human_size(free)} free."
        return replace(
            so_far,
            download_status="already_exists" if left.complete else "unknown",
            message=message,
            files_to_fetch=files,
            bytes_to_fetch=left.bytes,
        )

    def _offline(self, request: PullRequest, asked: Wanted, error: MlxkError) -> PullResult:
        """A model that is here in full needs no Hub.

        Raises:
            MlxkError: the one that came of asking, when no such model is here in full.
        """
        for repo_id in asked.ids:
            if (commit := self._complete_commit(repo_id, asked.revision)) is not None:
                return PullResult(
                    model=str(repo_id),
                    download_status="already_exists",
                    message=f"'{repo_id}' is here in full; the Hub could not be asked for a newer one.",
                    expanded_name=_expanded(request.model, repo_id),
                    commit_hash=commit,
                    bytes_downloaded=0,
                )
        raise error

    def _complete_commit(self, repo_id: RepoId, revision: str) -> str | None:
        """The commit of a snapshot that is here in full: by the Hub's file list if that was kept."""
        info = self._fetcher.remembered(repo_id, revision)
        if info is not None:
            return info.commit if self._fetcher.missing(info).complete else None
        record = self._record(repo_id, revision)
        return record.revision if record is not None and self._inspector(record).health.healthy else None

    def _record(self, repo_id: RepoId, revision: str) -> ModelRecord | None:
        here = self._snapshots(repo_id)
        if not here:
            return None
        try:
            return self._cache.at_revision(here[0], revision)
        except MlxkError:  # not here under that name; without a ref the current one is as good as `main`
            return here[0] if revision == DEFAULT_REVISION else None


def _expanded(typed: str, repo_id: RepoId) -> str | None:
    return str(repo_id) if typed.partition("@")[0] != str(repo_id) else None


def _size(left: Missing) -> str:
    return human_size(left.bytes)


def _count(left: Missing) -> str:
    return "1 file" if len(left.files) == 1 else f"{len(left.files)} files"


def _command(request: PullRequest) -> str:
    revision = f" --revision {request.revision}" if request.revision else ""
    return f"mlxk pull {request.model}{revision}"


def _command_with_consent(command: str) -> str:
    return f"{command.removesuffix(_CONSENT)}{_CONSENT}"


def _names(paths: Sequence[str]) -> str:
    return paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"


def _unconfirmed(so_far: PullResult, left: Missing, command: str) -> PullResult:
    message = (
        f"'{so_far.model}' is here in part, {_size(left)} are missing: "
        f"`{_command_with_consent(command)}` downloads them, "
        f"`mlxk rm {so_far.model}` deletes what is here."
    )
    if left.replaced:
        message = (
            f"In '{so_far.model}', {_names(left.replaced)} was changed by hand and is kept: "
            f"`mlxk clone {so_far.model}` makes a copy to change, "
            f"`{_command_with_consent(command)}` replaces it by the Hub's."
        )
    return replace(so_far, download_status="requires_confirmation", message=message)


def _already_here(so_far: PullResult) -> PullResult:
    return replace(so_far, download_status="already_exists", message=f"'{so_far.model}' is here in full.")


def _done(so_far: PullResult, fetched: FetchResult) -> PullResult:
    resumed = f"; {human_size(fetched.bytes_resumed)} were here already" if fetched.bytes_resumed else ""
    return replace(
        so_far,
        download_status="success",
        message=f"Downloaded '{so_far.model}' ({human_size(fetched.bytes_downloaded)}{resumed}), verified.",
        bytes_downloaded=fetched.bytes_downloaded,
    )
