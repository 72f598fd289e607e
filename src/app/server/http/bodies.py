"""From the bytes of a request to its body: bounded, strict, and refused with the field's name."""

import json
import re
from collections.abc import Sequence
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mlxk.app.server.dialects.fields import UNKNOWN_FIELD
from mlxk.domain.errors import ErrorKind, InvalidInput, MlxkError

__all__ = ["MAX_VALUES", "parse_body", "refuse_invalid"]

MAX_VALUES = 250_000
"""JSON values in one body: small ones take a hundred times their bytes once they are objects, or errors."""

_MAX_LISTED = 1000
"""Problems that are looked at one by one."""

# A string without an end goes to the end, so that each byte is looked at once.
_STRING_OR_VALUE = re.compile(rb'"(?:[^"\\]++|\\.)*+["\\]?|[,\[{]', re.DOTALL)
_KEY = "[key]"
"""What pydantic calls a name in a mapping, after the name itself."""

_QUOTE = ord('"')

BodyT = TypeVar("BodyT", bound=BaseModel)
_LONGEST_FIELD = 100


def parse_body(raw: bytes, model: type[BodyT]) -> BodyT:
    """Read a JSON body.

    Raises:
        InvalidInput: it is empty, no UTF-8, no JSON (NaN is none), nested too deeply, has a name twice in one
            object, or a field that is unknown or wrong; `param` names the field as a path.
        MlxkError: (`PAYLOAD_TOO_LARGE`) it has more than `MAX_VALUES` values.
    """
    if not raw.strip():
        raise InvalidInput("The request has no body.", hint="send a JSON object")
    _refuse_too_many_values(raw)
    try:
        body = model.model_validate_json(raw)
    except ValidationError as error:
        raise refuse_invalid(error) from None
    _refuse_repeated_names(raw)
    return body


def refuse_invalid(error: ValidationError) -> InvalidInput:
    """What is wrong with a body, in one sentence that names the field."""
    if error.error_count() > _MAX_LISTED:
        return InvalidInput(f"The body has {error.error_count():,} unknown or wrong fields.")
    problems = error.errors(include_url=False, include_context=True, include_input=False)
    unknown = [problem for problem in problems if problem["type"] == UNKNOWN_FIELD]
    if unknown:
        return _unknown_fields(unknown)
    problem = problems[0]
    if problem["type"] == "json_invalid":
        return InvalidInput(f"The body is no valid JSON: {_reason(problem)}.")
    path = _path(problem["loc"])
    more = f" (problems in all: {len(problems)})" if len(problems) > 1 else ""
    if not path:
        return InvalidInput(f"The body must be a JSON object: {_sentence(problem)}{more}.")
    if problem["type"] == "missing":
        return InvalidInput(f"The field '{path}' is missing{more}.", param=path)
    return InvalidInput(f"The field '{path}' cannot be used: {_sentence(problem)}{more}.", param=path)


def _unknown_fields(problems: Sequence[ErrorDetails]) -> InvalidInput:
    paths = [_field(problem["loc"][:-1], problem["loc"][-1]) for problem in problems]
    named = ", ".join(f"'{path}'" for path in paths[:5])
    more = f" and {len(paths) - 5} more" if len(paths) > 5 else ""
    noun = "field" if len(paths) == 1 else "fields"
    return InvalidInput(
        f"Unknown or unsupported {noun}: {named}{more}.",
        hint="nothing is ignored silently; leave it out",
        param=paths[0],
    )


def _field(location: tuple[int | str, ...], name: int | str) -> str:
    """The path of a field whose name the client made up."""
    outer = _path(location)
    return f"{outer}.{_shown(str(name))}" if outer else _shown(str(name))


def _path(location: tuple[int | str, ...]) -> str:
    """`messages[0].content`; the names of alternatives, which begin with '#', are ours and left out."""
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif not step.startswith("#") and step != _KEY:
            path += f".{_shown(step)}" if path else _shown(step)
    return path


def _shown(name: str) -> str:
    printable = "".join(letter if letter.isprintable() else "�" for letter in name[:_LONGEST_FIELD])
    return printable + ("…" if len(name) > _LONGEST_FIELD else "")


def _sentence(problem: ErrorDetails) -> str:
    message = problem["msg"].removeprefix("Value error, ").rstrip(".").replace("Tuple", "List")
    return message[:1].lower() + message[1:]


def _reason(problem: ErrorDetails) -> str:
    """jiter's words, without what pydantic puts before them."""
    return problem["msg"].removeprefix("Invalid JSON: ").rstrip(".")


def _refuse_too_many_values(raw: bytes) -> None:
    """Every value but the first comes after one of three signs; those inside of strings do not count."""
    if len(raw) <= MAX_VALUES or raw.count(b",") + raw.count(b"[") + raw.count(b"{") <= MAX_VALUES:
        return
    count = 0
    for found in _STRING_OR_VALUE.finditer(raw):
        count += raw[found.start()] != _QUOTE
        if count > MAX_VALUES:
            raise MlxkError(
                ErrorKind.PAYLOAD_TOO_LARGE, f"The body has more than the {MAX_VALUES:,} JSON values allowed."
            )


def _refuse_repeated_names(raw: bytes) -> None:
    """Two values under one name: one of them would be dropped."""
    json.loads(
        raw, object_pairs_hook=_once, parse_int=_skip, parse_float=_skip, parse_constant=_refuse_constant
    )


def _skip(_number: str) -> None:
    """Numbers were checked before; a huge one would take long to convert."""


def _refuse_constant(name: str) -> None:
    raise InvalidInput(f"JSON has no {name}.")


def _once(pairs: list[tuple[str, object]]) -> None:
    if len({name for name, _ in pairs}) == len(pairs):
        return
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise InvalidInput(f"The name '{_shown(name)}' stands twice in one object.", param=_shown(name))
        seen.add(name)
