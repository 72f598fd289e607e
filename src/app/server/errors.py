"""The one shape of every error: OpenAI's clients find `error.message`, ours `status` and `request_id`."""

import re
from collections.abc import Callable
from typing import Literal

from typing_extensions import TypedDict

from mlxk.domain.errors import MlxkError

__all__ = ["MAX_MESSAGE", "ErrorBody", "ErrorDetail", "describe"]

MAX_MESSAGE = 2000
"""Characters of a message; what a client sent is repeated no longer than this."""


_PATH = re.compile(r"(?<![\w/.:~#-])~?/(?!v1/|docs\b|dev/)(?:[\w.@+~-]+/)+[\w.@+~-]*")
_QUOTED_PATH = re.compile(r"(['\"`])~?/(?!v1/|docs\b)[^'\"`\n]+\1")
_HIDDEN = "[path]"


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


def describe(error: MlxkError, request_id: str | None, redact: Callable[[str], str]) -> ErrorBody:
    """The body for an error; the hint and close names are part of the message.

    Args:
        redact: takes secrets out of text; paths are taken out besides.
    """
    message = _without_paths(redact(_message(error)))
    return {
        "status": "error",
        "error": {
            "message": message[:MAX_MESSAGE],
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


def _without_paths(text: str) -> str:
    """Clients need not know where files lie."""
    return _PATH.sub(_HIDDEN, _QUOTED_PATH.sub(rf"\1{_HIDDEN}\1", text))
