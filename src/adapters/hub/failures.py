"""What can go wrong on the way to the Hub, as `MlxkError`: the place that knows the client's exceptions.

What they mean for a push is in `upload_failures`.

The client raises its own HTTP errors, bare `httpx2` errors (no `OSError`s) and plain `ValueError`s, and its
messages quote URLs, which for large files are signed. Messages here are made from what was asked, never from
those texts, and errors of a download are raised without their cause.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlxk.adapters.bounded_read import describe
from mlxk.domain.errors import ErrorKind, InvalidInput, MlxkError, ModelNotFound
from mlxk.domain.naming import RepoId
from mlxk.domain.system_errors import kind_of_system_error

if TYPE_CHECKING:
    import httpx2

__all__ = [
    "LOG_IN_AGAIN",
    "TRANSIENT_STATUS",
    "Asked",
    "as_mlxk_error",
    "is_logged_in",
    "is_token_rejected",
    "is_worth_retrying",
    "raise_for_status",
    "retry_after",
    "what_happened",
]

TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers after which the same request may succeed."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of the Hub, for the words of an error.

    Attributes:
        path: the file, or None when it was about the repository.
        logged_in: whether a token went along.
    """

    repo_id: RepoId
    revision: str
    path: str | None = None
    logged_in: bool = False

    def __str__(self) -> str:
        return f"'{self.path}' of '{self.repo_id}'" if self.path else f"'{self.repo_id}'"


def raise_for_status(response: "httpx2.Response") -> None:
    """Raise the client's error for an answer that is one.

    The client reads the body for its message and stumbles over one that is no JSON object, which would hide
    the status.

    Raises:
        HfHubHTTPError: the answer is an error.
    """
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import hf_raise_for_status

    try:
        hf_raise_for_status(response)
    except (HfHubHTTPError, httpx2.HTTPError):
        raise
    except Exception as unreadable:
        raise HfHubHTTPError(f"{response.status_code}", response=response) from unreadable


def is_logged_in(token: str | bool | None) -> bool:  # noqa: FBT001 - as the client takes it
    """Whether requests carry a token: the given one, or the user's for None.

    Raises:
        MlxkError: (`PERMISSION`) the user's cannot be looked for.
    """
    from huggingface_hub import constants, get_token

    try:
        return bool(get_token() if token is None else token)
    except OSError as error:
        raise MlxkError(
            ErrorKind.PERMISSION,
            f"The Hub token cannot be read from {constants.HF_TOKEN_PATH}: {describe(error)}.",
            hint="check that HF_HOME (or HF_TOKEN_PATH) leads to a folder of yours",
        ) from error


def is_worth_retrying(error: Exception) -> bool:
    """Whether the same request may succeed in a moment."""
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in TRANSIENT_STATUS
    return _is_lost_connection(error)


def _is_lost_connection(error: Exception) -> bool:
    """Whether the network, not an answer of the Hub, ended the request."""
    import httpx2

    if isinstance(error, httpx2.ProxyError):
        return False
    return isinstance(error, httpx2.TimeoutException | httpx2.NetworkError | httpx2.RemoteProtocolError)


def retry_after(error: Exception) -> float | None:
    """Seconds that the Hub asks to wait (`Retry-After`, else the reset of its `RateLimit`), or None."""
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import parse_ratelimit_headers

    if not isinstance(error, HfHubHTTPError):
        return None
    value = error.response.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    limit = parse_ratelimit_headers(error.response.headers) if error.response.status_code == 429 else None
    return float(limit.reset_in_seconds) if limit is not None and limit.remaining == 0 else None


def as_mlxk_error(error: Exception, asked: Asked) -> MlxkError:
    """The error to show for an exception of the Hub's client."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    match error:
        case MlxkError():
            return error
        case OfflineModeIsEnabled():
            return MlxkError(
                ErrorKind.NETWORK,
                f"Offline: the Hub was not asked for {asked} (HF_HUB_OFFLINE is set).",
                hint="unset HF_HUB_OFFLINE to allow the network",
            )
        case HfHubHTTPError():
            return _refusal(error, asked)
        case HFValidationError():
            return InvalidInput(f"'{asked.repo_id}' is not a valid model id for the Hub.")
        case UnicodeEncodeError() | httpx2.LocalProtocolError():
            return MlxkError(
                ErrorKind.AUTH, "The Hub token contains characters that no token has.", hint=LOG_IN_AGAIN
            )
        case httpx2.HTTPError() | httpx2.InvalidURL():
            return _no_connection(error, asked)
        case OSError():
            return _disk_error(error, asked)
    return MlxkError(
        ErrorKind.NETWORK,
        f"The answer about {asked} is none that a Hub gives.",
        hint="check HF_ENDPOINT, and whether a proxy or a login page of your network answers instead",
    )


def _disk_error(error: OSError, asked: Asked) -> MlxkError:
    """The error to show when the cache could not be read or written."""
    kind = kind_of_system_error(error) or ErrorKind.OPERATION
    if kind is ErrorKind.INSUFFICIENT_DISK:
        return MlxkError(
            kind,
            f"The volume is full: {asked} could not be written to its end.",
            hint="free some space (`mlxk rm`) and repeat the command; it continues where it stopped",
        )
    where = f" {error.filename}" if isinstance(error.filename, str) else ""
    return MlxkError(
        kind,
        f"The model cache{where} cannot be written: {describe(error)}.",
        hint="check its permissions, or point HF_HOME at a directory you can write",
    )


LOG_IN_AGAIN = "log in again with `hf auth login`, or correct HF_TOKEN"
"""What helps against a token that the Hub refuses."""


def _refusal(error: Exception, asked: Asked) -> MlxkError:
    """For an answer of the Hub that is an error. Gated comes first: the client derives it from not found."""
    from huggingface_hub.errors import (
        DisabledRepoError,
        GatedRepoError,
        HfHubHTTPError,
        RemoteEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    assert isinstance(error, HfHubHTTPError)
    status = error.response.status_code
    match error:
        case GatedRepoError():
            return _gated(asked)
        case DisabledRepoError():
            return MlxkError(ErrorKind.ACCESS_DENIED, f"The Hub has disabled access to '{asked.repo_id}'.")
        case RevisionNotFoundError():
            return ModelNotFound(
                f"'{asked.repo_id}' has no revision '{asked.revision}' on the Hub.",
                hint="leave the revision out for the current one; the model's page lists branches and tags",
            )
        case RemoteEntryNotFoundError():
            return MlxkError(ErrorKind.DOWNLOAD_FAILED, f"The Hub lists {asked} but does not have it.")
    if status in (401, 403, 404) and _was_sent_elsewhere(error.response):
        return MlxkError(
            ErrorKind.DOWNLOAD_FAILED,
            f"The Hub's storage refused {asked} ({status}).",
            hint="repeat the command; if it stays so, check this machine's clock",
        )
    if is_token_rejected(error):
        return MlxkError(ErrorKind.AUTH, "The Hub does not know this token.", hint=LOG_IN_AGAIN)
    if isinstance(error, RepositoryNotFoundError) or status in (401, 404):
        return _not_found(asked, status)
    if status == 403:
        return MlxkError(
            ErrorKind.ACCESS_DENIED,
            f"The Hub denies this token access to {asked}.",
            hint="use a token that may read it: `hf auth login`, or HF_TOKEN",
        )
    return _out_of_order(error, status, asked)


def _gated(asked: Asked) -> MlxkError:
    from huggingface_hub import constants

    page = f"{constants.ENDPOINT}/{asked.repo_id}"
    if asked.logged_in:
        hint = f"accept its terms on {page} with the account of your token, or wait to be let in"
    else:
        hint = f"accept its terms on {page}, then log in with `hf auth login`"
    return MlxkError(
        ErrorKind.ACCESS_DENIED, f"'{asked.repo_id}' is gated: its owner grants access.", hint=hint
    )


def _was_sent_elsewhere(response: "httpx2.Response") -> bool:
    return bool(response.history) and response.url.host != response.history[0].url.host


def is_token_rejected(error: Exception) -> bool:
    """Whether the Hub does not know the token, rather than what was asked for."""
    from huggingface_hub.errors import HfHubHTTPError

    if not isinstance(error, HfHubHTTPError) or error.response.status_code != 401:
        return False
    told = error.response.headers.get("X-Error-Message", "")
    return "invalid credentials" in told.lower() or "user access token" in told.lower()


def _not_found(asked: Asked, status: int) -> MlxkError:
    """The Hub hides private models: without a token it answers 401 for hidden and missing ones alike."""
    if status == 401 and not asked.logged_in:
        return MlxkError(
            ErrorKind.ACCESS_DENIED,
            f"The Hub has no public model '{asked.repo_id}'.",
            hint="check the spelling; if the model is private, log in with `hf auth login`",
        )
    return MlxkError(
        ErrorKind.REPO_NOT_FOUND,
        f"The Hub has no model '{asked.repo_id}' that you can see.",
        hint="check the spelling; if the model is private, your token needs access to it"
        if asked.logged_in
        else "check the spelling",
    )


def _out_of_order(error: Exception, status: int, asked: Asked) -> MlxkError:
    wait = retry_after(error)
    later = f"try again in {wait:.0f} seconds" if wait else "try again later"
    if status == 429:
        return MlxkError(
            ErrorKind.NETWORK,
            f"The Hub has had too many requests to answer one about {asked} (429).",
            hint=later if asked.logged_in else f"{later}; logged-in users may ask more: `hf auth login`",
        )
    if status in TRANSIENT_STATUS:
        return MlxkError(
            ErrorKind.NETWORK,
            f"The Hub is out of order and did not answer about {asked} ({status}).",
            hint=later,
        )
    return MlxkError(ErrorKind.DOWNLOAD_FAILED, f"The Hub refused the request for {asked} ({status}).")


def _no_connection(error: Exception, asked: Asked) -> MlxkError:
    what = what_happened(error)
    again = "check the network, proxy settings and HF_ENDPOINT, then repeat the command"
    if asked.path:
        message, again = (
            f"The download of {asked} stopped: {what}.",
            f"{again}; it continues where it stopped",
        )
    else:
        message = f"The Hub could not be asked for {asked}: {what}."
    return MlxkError(ErrorKind.NETWORK, message, hint=again)


def what_happened(error: Exception) -> str:
    """How a connection failed, as the second half of a sentence."""
    import httpx2

    host = _host_of(error)
    match error:
        case httpx2.ProxyError():
            return "the proxy did not let the request through"
        case httpx2.TimeoutException():
            return f"{host} did not answer in time"
        case httpx2.ConnectError():
            return f"no connection to {host}"
        case httpx2.NetworkError() | httpx2.RemoteProtocolError():
            return f"the connection to {host} was lost"
    return f"{host} does not speak HTTP as it should ({type(error).__name__})"


def _host_of(error: Exception) -> str:
    """Only the host: the rest of an URL may be signed."""
    import httpx2

    if isinstance(error, httpx2.RequestError):
        try:
            return error.request.url.host or "the server"
        except RuntimeError:  # raised before a request was made
            pass
    return "the server"
