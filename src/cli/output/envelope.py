"""The JSON envelope: four keys around every command's result, and its published schema."""

import json
import sys
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Generic, Literal, TypeVar

from mlxk.domain.errors import MlxkError

__all__ = ["Envelope", "ErrorView", "error_envelope", "plain", "success_envelope", "write_json"]

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class ErrorView:
    """An error as scripts see it; `matches` holds the candidates of a name, `hint` the way out."""

    type: str
    message: str
    hint: str | None = None
    matches: tuple[str, ...] = ()
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class Envelope(Generic[Result]):
    """What every command prints with `--json`, exactly these four keys."""

    status: Literal["success", "error"]
    command: str
    data: Result | None
    error: ErrorView | None


def success_envelope(command: str, result: Result) -> Envelope[Result]:
    """The envelope of a result."""
    return Envelope("success", command, result, None)


def error_envelope(command: str, error: MlxkError) -> Envelope[None]:
    """The envelope of an error."""
    view = ErrorView(error.kind.type, error.message, error.hint, error.matches, error.kind.retryable)
    return Envelope("error", command, None, view)


def plain(value: object) -> object:
    """A result as JSON types; fields with a default are left out while they hold it.

    Raises:
        TypeError: a value has no JSON form.
    """
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Mapping():
            return {str(key): plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [plain(inner) for inner in value]
    if is_dataclass(value):
        held = ((field, getattr(value, field.name)) for field in fields(value))
        return {
            field.name: plain(inner)
            for field, inner in held
            if field.default is MISSING or inner != field.default
        }
    raise TypeError(f"no JSON form for {type(value).__name__}")


def write_json(value: object) -> None:
    """Print JSON on stdout, one line when piped and indented on a terminal.

    Always UTF-8, whatever the locale; what UTF-8 cannot hold (undecodable file names) is escaped, and NaN
    and infinities, which JSON lacks, become null.
    """
    indent = 2 if sys.stdout.isatty() else None
    text = json.dumps(_finite(plain(value)), ensure_ascii=False, indent=indent, allow_nan=False)
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace") + b"\n")
    sys.stdout.buffer.flush()


def _finite(value: object) -> object:
    match value:
        case float() if value != value or value in (float("inf"), float("-inf")):
            return None
        case dict():
            return {key: _finite(inner) for key, inner in value.items()}
        case list():
            return [_finite(inner) for inner in value]
    return value
