"""Pushing to the Hub through `huggingface_hub`: looking, making repositories and branches, uploading.

The client chooses the way (Xet, LFS, or in the commit itself) and leaves out what the Hub has already. Which
files go is said to it name by name, so that its own rules for folders do not add any.
"""

import glob
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from mlxk.adapters.hub.failures import LOG_IN_AGAIN, Asked, as_mlxk_error, raise_for_status
from mlxk.adapters.hub.interruptible import interruptible
from mlxk.adapters.hub.upload_failures import as_upload_error
from mlxk.domain.errors import ErrorKind, MlxkError
from mlxk.domain.hub import DEFAULT_REVISION, is_commit
from mlxk.domain.naming import RepoId
from mlxk.domain.push_plan import PushPlan, RemoteRepo, Uploaded, Visibility

__all__ = ["HuggingFaceUploads"]

_CLIENT = "huggingface_hub"

_T = TypeVar("_T")


class HuggingFaceUploads:
    """Uploads to the Hub that `HF_ENDPOINT` names, with the user's token, as `huggingface_hub` finds both.

    Args:
        endpoint: another Hub; None for the configured one.
        token: another token; None for the user's, False for none.
        timeout: seconds for one question; None for the client's own (`HF_HUB_ETAG_TIMEOUT`, else 10).
            Uploads themselves have no limit.
    """

    def __init__(
        self,
        *,
        endpoint: str | None = None,
        token: str | bool | None = None,
        timeout: float | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._token = token
        self._timeout = timeout

    def check_token(self, repo_id: RepoId) -> None:
        """See that there is a token to push with: one the Hub knows, and not for reading only.

        A token for single repositories says nothing of them here.

        Raises:
            MlxkError: (`AUTH`) none, or one the Hub does not know; (`ACCESS_DENIED`) one for reading only;
                (`NETWORK`) the Hub could not be asked.
        """
        if not self._has_token():
            raise MlxkError(
                ErrorKind.AUTH,
                "Pushing needs a Hub token, and there is none.",
                hint="log in with `hf auth login`, or set HF_TOKEN; --check-only needs none",
            )
        try:
            answer = self._get("/api/whoami-v2")
        except Exception as error:
            if _status(error) in (401, 403):
                raise MlxkError(
                    ErrorKind.AUTH, "The Hub does not know this token.", hint=LOG_IN_AGAIN
                ) from error
            raise as_mlxk_error(error, self._asked(repo_id, DEFAULT_REVISION)) from error
        match answer:
            case {"auth": {"accessToken": {"role": "read"}}}:
                raise MlxkError(
                    ErrorKind.ACCESS_DENIED,
                    "This token is for reading only.",
                    hint="make one with write access in your settings on the Hub, then `hf auth login`",
                )

    def url(self, repo_id: RepoId) -> str:
        """Address of a repository's page."""
        return f"{self._base()}/{repo_id}"

    def look(self, repo_id: RepoId) -> RemoteRepo | None:
        """A repository and its branches as they are now; None if there is none that this token may see.

        Raises:
            MlxkError: see the port.
        """
        from huggingface_hub.errors import RepositoryNotFoundError

        asked = self._asked(repo_id, DEFAULT_REVISION)
        try:
            info = self._get(f"/api/models/{repo_id}")
            refs = self._get(f"/api/models/{repo_id}/refs")
            private = info["private"] if isinstance(info, Mapping) else None
            if not isinstance(private, bool):
                raise TypeError("an answer that does not say whether the repository is private")
            visibility = Visibility.PRIVATE if private else Visibility.PUBLIC
            return RemoteRepo(repo_id, visibility, _branches(refs))
        except RepositoryNotFoundError as error:
            if _status(error) == 404:
                return None
            raise as_mlxk_error(error, asked) from error
        except Exception as error:
            raise as_mlxk_error(error, asked) from error

    def create_repo(self, repo_id: RepoId, visibility: Visibility) -> None:
        """Make a repository with a branch `main`; one that exists already stays as it is.

        Raises:
            MlxkError: see the port.
        """
        from huggingface_hub import HfApi

        api = HfApi(endpoint=self._endpoint, token=self._token)
        self._write(
            lambda: api.create_repo(str(repo_id), private=visibility is Visibility.PRIVATE, exist_ok=True),
            self._asked(repo_id, DEFAULT_REVISION),
        )

    def create_branch(self, repo_id: RepoId, branch: str) -> None:
        """Make a branch that begins where `main` is; one that exists already stays as it is.

        Raises:
            MlxkError: see the port.
        """
        from huggingface_hub import HfApi

        api = HfApi(endpoint=self._endpoint, token=self._token)
        self._write(
            lambda: api.create_branch(str(repo_id), branch=branch, exist_ok=True),
            self._asked(repo_id, branch),
        )

    def upload(
        self, folder: Path, repo_id: RepoId, branch: str, plan: PushPlan, parent: str | None, message: str
    ) -> Uploaded:
        """Carry out a plan on a branch.

        Raises:
            ModelNotFound: the Hub knows no such branch (yet).
            MlxkError: see the port.
        """
        from huggingface_hub import HfApi

        api = HfApi(endpoint=self._endpoint, token=self._token)
        with _client_log() as log:
            made = self._write(
                lambda: api.upload_folder(
                    folder_path=folder,
                    repo_id=str(repo_id),
                    revision=branch,
                    commit_message=message,
                    parent_commit=parent,
                    allow_patterns=[glob.escape(path) for path in plan.uploaded],
                    delete_patterns=[glob.escape(path) for path in plan.deleted] or None,
                ),
                self._asked(repo_id, branch),
            )
        if not made.oid or not is_commit(made.oid):
            raise MlxkError(
                ErrorKind.PUSH_FAILED,
                "The Hub does not say which commit the push became.",
                hint="check that HF_ENDPOINT is a Hub, and look at the repository's page",
            )
        return Uploaded(made.oid, made.commit_url, tuple(log))

    def _write(self, write: Callable[[], _T], asked: Asked) -> _T:
        import warnings

        from huggingface_hub.utils import disable_progress_bars

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # hints at the model card, meant for its author
                if not sys.stderr.isatty():  # the client draws its bars into pipes, too
                    disable_progress_bars()
                return interruptible(write)
        except Exception as error:  # noqa: BLE001 - sorted by what the client means by it
            # Without its cause: the client's messages quote signed URLs.
            raise as_upload_error(error, asked) from None

    def _asked(self, repo_id: RepoId, revision: str) -> Asked:
        return Asked(repo_id, revision, logged_in=self._has_token())

    def _has_token(self) -> bool:
        from huggingface_hub import get_token

        return bool(self._token if self._token is not None else get_token())

    def _get(self, path: str) -> object:
        from huggingface_hub import constants
        from huggingface_hub.utils import build_hf_headers, get_session

        seconds = constants.HF_HUB_ETAG_TIMEOUT if self._timeout is None else self._timeout
        headers = build_hf_headers(token=self._token)
        response = get_session().get(f"{self._base()}{path}", headers=headers, timeout=seconds)
        raise_for_status(response)
        return response.json()

    def _base(self) -> str:
        from huggingface_hub import constants

        return (self._endpoint or constants.ENDPOINT).rstrip("/")


def _status(error: Exception) -> int | None:
    from huggingface_hub.errors import HfHubHTTPError

    return error.response.status_code if isinstance(error, HfHubHTTPError) else None


def _branches(refs: object) -> dict[str, str]:
    """The branches of `GET /api/models/{id}/refs`: `{branches: [{name, ref, targetCommit}], tags, …}`."""
    match refs:
        case {"branches": list(entries)}:
            pass
        case _:
            raise TypeError("refs that are no list")
    found = {}
    for entry in entries:
        match entry:
            case {"name": str(name), "targetCommit": str(commit)} if is_commit(commit):
                found[name] = commit
            case _:
                raise TypeError("a branch without a commit")
    return found


class _Collecting(logging.Handler):
    """Keeps what the client logs."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        if record.name.partition(".")[0] == _CLIENT:
            self._lines.append(f"{record.levelname}: {record.getMessage()}")


@contextmanager
def _client_log() -> Iterator[list[str]]:
    """What the client logs inside the block.

    The handler sits at the root: the client's own logger takes none once our logging is set up.
    """
    lines: list[str] = []
    handler = _Collecting(lines)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield lines
    finally:
        root.removeHandler(handler)
