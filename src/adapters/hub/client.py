"""Asking the Hub what a model holds, through the `huggingface_hub` client, with a time limit on every call.

The client's metadata calls have no time limit, and some retry for minutes: here each request has one, answers
that say "later" are asked for again a few times, and a Hub that does not answer is given up at once, since
the cache may hold what is needed.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeVar

from mlxk.adapters.hub.failures import (
    Asked,
    as_mlxk_error,
    is_logged_in,
    is_worth_retrying,
    raise_for_status,
    retry_after,
)
from mlxk.domain.errors import ErrorKind, InvalidInput, MlxkError
from mlxk.domain.hub import (
    HubFile,
    RepoInfo,
    RetryPolicy,
    check_file_names,
    hub_file,
    is_commit,
    revision_problem,
)
from mlxk.domain.naming import RepoId

if TYPE_CHECKING:
    import httpx2

__all__ = ["METADATA_RETRIES", "HuggingFaceHub", "endpoint_in"]

METADATA_RETRIES = RetryPolicy(attempts=3, first_wait=0.5, longest_wait=2.0, longest_retry_after=5.0)
"""For questions that a person waits for."""

_MAX_PAGES = 1000
"""Of 1000 entries each: far beyond any model, and an end for a server whose pages have none."""

_T = TypeVar("_T")


def endpoint_in(environ: Mapping[str, str]) -> str | None:
    """The Hub's address in an environment, or None where the client knows it itself.

    The client takes an empty `HF_ENDPOINT` for an address; here it counts as unset, as everywhere.
    """
    named = environ.get("HF_ENDPOINT")
    if named is None:
        return None
    from huggingface_hub import constants

    return (named or constants._HF_DEFAULT_ENDPOINT).rstrip("/")


class HuggingFaceHub:
    """The Hub that `HF_ENDPOINT` names, with the user's token, as `huggingface_hub` finds both.

    Args:
        endpoint: another Hub; None for the configured one.
        token: another token; None for the user's, False for none.
        timeout: seconds for one request; None for the client's own (`HF_HUB_ETAG_TIMEOUT`, else 10).
        retries: how often an answer that says "later" is asked for again.
    """

    def __init__(
        self,
        *,
        endpoint: str | None = None,
        token: str | bool | None = None,
        timeout: float | None = None,
        retries: RetryPolicy = METADATA_RETRIES,
    ) -> None:
        self._endpoint = endpoint
        self._token = token
        self._timeout = timeout
        self._retries = retries

    def describe(self, repo_id: RepoId, revision: str) -> RepoInfo:
        """What a branch, tag or commit of a model holds: one request for the commit, one for its files.

        Raises:
            InvalidInput: the revision cannot be one.
            ModelNotFound: the model has no such revision.
            MlxkError: as the port says.
        """
        if problem := revision_problem(revision):
            raise InvalidInput(f"The revision '{revision}' cannot be used: {problem}.")
        asked = self._asked(repo_id, revision)

        def ask() -> RepoInfo:
            from huggingface_hub import HfApi

            info = HfApi(endpoint=self._endpoint, token=self._token).model_info(
                str(repo_id), revision=revision, timeout=self._seconds()
            )
            commit = _commit(info.sha)
            files = tuple(
                _file(entry) for entry in self._tree(repo_id, commit) if entry.get("type") == "file"
            )
            return RepoInfo(repo_id, revision, commit, files, bool(info.private), bool(info.gated))

        found = self._persistently(ask, asked)
        check_file_names([file.path for file in found.files])
        return found

    def check_access(self, repo_id: RepoId) -> None:
        """See that this user may download a model's files.

        Raises:
            MlxkError: (`ACCESS_DENIED`) gated, and the terms are not accepted under this login; and what
                `describe` raises.
        """

        def ask() -> None:
            self._get(f"{self._base()}/api/models/{repo_id}/auth-check", {})

        self._persistently(ask, self._asked(repo_id, "main"))

    def _asked(self, repo_id: RepoId, revision: str) -> Asked:
        return Asked(repo_id, revision, logged_in=is_logged_in(self._token))

    def _persistently(self, ask: Callable[[], _T], asked: Asked) -> _T:
        failures = 0
        while True:
            try:
                return ask()
            except MlxkError:
                raise
            except Exception as error:
                failures += 1
                wait = None
                if is_worth_retrying(error) and not _is_silence(error):
                    wait = self._retries.wait(failures, retry_after(error))
                if wait is None:
                    raise as_mlxk_error(error, asked) from error
                time.sleep(wait)

    def _tree(self, repo_id: RepoId, commit: str) -> Iterator[Mapping[str, object]]:
        """The entries of a commit's tree, page by page (`Link: rel=next`)."""
        url: str | None = f"{self._base()}/api/models/{repo_id}/tree/{commit}"
        parameters: dict[str, str] = {"recursive": "true", "expand": "false"}
        for _ in range(_MAX_PAGES):
            assert url is not None
            response = self._get(url, parameters)
            page = response.json()
            if not isinstance(page, list) or not all(isinstance(entry, Mapping) for entry in page):
                raise TypeError("a tree that is no list of objects")
            yield from page
            url = response.links.get("next", {}).get("url")
            if url is None:
                return
            parameters = {}
        raise ValueError("a tree without an end")

    def _get(self, url: str, parameters: Mapping[str, str]) -> "httpx2.Response":
        from huggingface_hub.utils import build_hf_headers, get_session

        response = get_session().get(
            url,
            params=dict(parameters) or None,
            headers=build_hf_headers(token=self._token),
            timeout=self._seconds(),
        )
        raise_for_status(response)
        return response

    def _base(self) -> str:
        from huggingface_hub import constants

        return (self._endpoint or constants.ENDPOINT).rstrip("/")

    def _seconds(self) -> float:
        from huggingface_hub import constants

        return constants.HF_HUB_ETAG_TIMEOUT if self._timeout is None else self._timeout


def _is_silence(error: Exception) -> bool:
    """Whether nobody is there, which another try would only find out again, slowly."""
    import httpx2

    return isinstance(error, httpx2.TimeoutException | httpx2.ConnectError)


def _commit(sha: str | None) -> str:
    if sha is None or not is_commit(sha):
        raise MlxkError(
            ErrorKind.NETWORK,
            "The Hub does not say which commit the model is at.",
            hint="check that HF_ENDPOINT is a Hub",
        )
    return sha


def _file(entry: Mapping[str, object]) -> HubFile:
    """A file of a tree listing: `{path, oid, size, lfs: {oid, size, pointerSize}, xetHash}`."""
    match entry:
        case {"path": str(path), "oid": str(oid), "lfs": {"oid": str(sha256), "size": int(size)}}:
            xet_hash = entry.get("xetHash")
            return hub_file(path, size, oid, sha256, xet_hash if isinstance(xet_hash, str) else None)
        case {"path": str(path), "oid": str(oid), "size": int(size)}:
            return hub_file(path, size, oid)
    raise ValueError("a tree entry that is no file")
