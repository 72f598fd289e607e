"""What the exceptions of the Hub's client mean for a push; the counterpart of `failures`.

The client wraps what failed on the way to the storage in `RuntimeError`s, and has plain `ValueError`s for
what the Hub refuses. Its messages quote signed URLs, so no text of it is passed on with an URL in it.
"""

import re

from mlxk.adapters.bounded_read import describe
from mlxk.adapters.hub.failures import (
    LOG_IN_AGAIN,
    TRANSIENT_STATUS,
    Asked,
    as_mlxk_error,
    is_token_rejected,
    what_happened,
)
from mlxk.domain.errors import ErrorKind, InvalidInput, MlxkError, ModelNotFound

__all__ = ["as_upload_error"]

_URL = re.compile(r"https?://\S+")
_NAMED = re.compile(r"Error while uploading '(.+)' to the Hub\.", re.DOTALL)
_BAD_CARD = "Invalid metadata in README.md."
_MAX_TOLD = 300
_WITHOUT_XET = "repeat the command; for a Hub without Xet set HF_HUB_DISABLE_XET=1"
_AGAIN = "repeat the command: what has arrived is not sent again"


def as_upload_error(error: Exception, asked: Asked) -> MlxkError:
    """The error to show for an exception of the client during a push."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    error, asked = _innermost(error, asked)
    match error:
        case MlxkError():
            return error
        case (
            OfflineModeIsEnabled() | HFValidationError() | UnicodeEncodeError() | httpx2.LocalProtocolError()
        ):
            return as_mlxk_error(error, asked)
        case HfHubHTTPError():
            return _refusal(error, asked)
        case httpx2.HTTPError() | httpx2.InvalidURL():
            return _stopped(asked, what_happened(error))
        case UnicodeDecodeError():
            return InvalidInput(
                "README.md is not UTF-8 text, which the Hub needs it to be.",
                hint="save it as UTF-8, or list it in .hfignore",
            )
        case ConnectionError() | TimeoutError() | OSError(errno=None):  # hf_xet has these for the network
            return _stopped(asked, "the Hub's Xet storage was not to be reached", _WITHOUT_XET)
        case OSError():
            return _unreadable(error, asked)
        case ValueError() if _BAD_CARD in str(error):
            return InvalidInput(
                f"The Hub refuses README.md: {_told(str(error).replace(_BAD_CARD, ''))}.",
                hint="correct the YAML between the two lines of dashes at its beginning",
            )
    return _stopped(asked, "the Hub's client failed" + (f" ({told})" if (told := _told(str(error))) else ""))


def _innermost(error: Exception, asked: Asked) -> tuple[Exception, Asked]:
    """What the client's wrappers hold, and the file that they name."""
    while isinstance(error, RuntimeError) and isinstance(error.__cause__, Exception):
        if named := _NAMED.fullmatch(str(error)):
            asked = Asked(asked.repo_id, asked.revision, named[1], asked.logged_in)
        error = error.__cause__
    return error, asked


def _stopped(asked: Asked, what: str, hint: str = _AGAIN) -> MlxkError:
    subject = f"'{asked.path}'" if asked.path else "the files"
    return MlxkError(
        ErrorKind.UPLOAD_FAILED,
        f"The upload of {subject} to '{asked.repo_id}' stopped: {what}.",
        hint=hint,
    )


def _unreadable(error: OSError, asked: Asked) -> MlxkError:
    kind = ErrorKind.PERMISSION if isinstance(error, PermissionError) else ErrorKind.PUSH_FAILED
    name = asked.path or (error.filename if isinstance(error.filename, str) else "a file")
    return MlxkError(
        kind,
        f"The push stopped, since '{name}' cannot be read: {describe(error)}.",
        hint="the branch is as it was; correct that and repeat the command",
    )


def _refusal(error: Exception, asked: Asked) -> MlxkError:
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    assert isinstance(error, HfHubHTTPError)
    status = error.response.status_code
    told = _told(error.response.headers.get("X-Error-Message", ""))
    if isinstance(error, RevisionNotFoundError):
        return ModelNotFound(f"'{asked.repo_id}' has no branch '{asked.revision}' on the Hub.")
    if asked.path and status in (400, 401, 403, 404):
        return _stopped(asked, f"the Hub's storage refused it ({status})")
    if is_token_rejected(error):
        return MlxkError(ErrorKind.AUTH, "The Hub does not know this token.", hint=LOG_IN_AGAIN)
    if isinstance(error, RepositoryNotFoundError) or status in (401, 404):
        return MlxkError(
            ErrorKind.REPO_NOT_FOUND,
            f"The Hub has no repository '{asked.repo_id}' that this token can see.",
            hint="check the spelling, or add --create to make it",
        )
    if status == 403:
        return MlxkError(
            ErrorKind.ACCESS_DENIED,
            f"This token may not write to '{asked.repo_id}'.",
            hint="use a token with write access to it: `hf auth login`, or HF_TOKEN",
        )
    if status in (409, 412):
        return MlxkError(
            ErrorKind.PUSH_FAILED,
            f"The branch '{asked.revision}' of '{asked.repo_id}' was changed meanwhile; it is left as it is.",
            hint="repeat the command to compare with what is there now",
        )
    if status in TRANSIENT_STATUS:
        return _stopped(asked, f"the Hub is out of order ({status})")
    return MlxkError(
        ErrorKind.PUSH_FAILED,
        f"The Hub refuses the push to '{asked.repo_id}' ({status}){f': {told}' if told else ''}.",
        hint="the branch is as it was; correct what the Hub objects to and repeat the command",
    )


def _told(text: str) -> str:
    """A text of the client's or the Hub's on one line, short and without addresses."""
    line = " ".join(_URL.sub("…", text).split()).rstrip(".")
    return line if len(line) <= _MAX_TOLD else f"{line[: _MAX_TOLD - 1]}…"
