"""The one shape of every error: OpenAI's clients find `error.message`, ours `status` and `request_id`."""

from typing import Literal

from typing_extensions import TypedDict

from mlxk.domain.errors import MlxkError

__all__ = ["MAX_MESSAGE", "ErrorBody", "ErrorDetail", "describe"]

MAX_MESSAGE = 2000
"""Characters of a message; what a client sent is repeated no longer than this."""


class ErrorDetail(TypedDict):
    """What went wrong.

    `type` is a name of `mlxk`'s closed list and `code` the same as one lower-case word; `param` names the
    field of the request; `retryable` says whether the same request may succeed later.
    """

    message: str
    type: str
    code: str
    param: str | None
    retryable: bool


class ErrorBody(TypedDict):
    """The body of every answer that is no success."""

    status: Literal["error"]
    error: ErrorDetail
    request_id: str | None


def describe(error: MlxkError, request_id: str | None) -> ErrorBody:
    """The body for an error; the hint and close names are part of the message."""
    return {
        "status": "error",
        "error": {
            "message": _message(error)[:MAX_MESSAGE],
            "type": error.kind.type,
            "code": error.kind.name.lower(),
            "param": error.param,
            "retryable": error.kind.retryable,
        },
        "request_id": request_id,
    }


def _message(error: MlxkError) -> str:
    hint = error.hint
    unnamed = [name for name in error.matches if name not in error.message and name not in (hint or "")]
    if unnamed:
        names = "close names: " + ", ".join(unnamed)
        hint = f"{hint}; {names}" if hint else names
    return f"{error.message} Hint: {hint}" if hint else error.message
