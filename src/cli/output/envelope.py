"""The JSON envelope: four keys around every command's result, and its published schema."""

import json
import math
import sys
from collections.abc import Hashable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
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


def error_envelope(command: str, error: MlxkError) -> Envelope[object]:
    """The envelope of an error; `data` is null unless the error brings some."""
    view = ErrorView(error.kind.type, error.message, error.hint, error.matches, error.kind.retryable)
    return Envelope("error", command, error.data, view)


def plain(value: object) -> object:
    """A result as JSON types.

    Fields with a default are left out while they hold it; NaN and infinities, which JSON lacks, become null.

    Raises:
        TypeError: a value has no JSON form.
    """
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case dict() | Mapping():
            return {str(key): plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [plain(inner) for inner in value]
    if is_dataclass(value):
        held = ((name, getattr(value, name), default) for name, default in _fields(value.__class__))
        return {name: plain(inner) for name, inner, default in held if default is MISSING or inner != default}
    raise TypeError(f"no JSON form for {type(value).__name__}")


@cache
def _fields(kind: Hashable) -> tuple[tuple[str, object], ...]:
    """Names and defaults of a dataclass, looked up once per class."""
    return tuple((field.name, field.default) for field in fields(kind))  # type: ignore[arg-type]


def write_json(value: object) -> None:
    """Print JSON on stdout, one line when piped and indented on a terminal.

    Always UTF-8, whatever the locale; what UTF-8 cannot hold (undecodable file names) is escaped.
    """
    indent = 2 if sys.stdout.isatty() else None
    text = json.dumps(plain(value), ensure_ascii=False, indent=indent, allow_nan=False)
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace") + b"\n")
    sys.stdout.buffer.flush()
