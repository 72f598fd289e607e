"""Turns of any dialect, put together to what chat templates expect."""

import json
from collections.abc import Iterable, Sequence, Set
from itertools import groupby

from mlxk.domain.errors import ErrorKind, InvalidInput, MlxkError
from mlxk.domain.generation import Message, Role

__all__ = ["assembled", "check_asked", "checked_arguments", "media_refusal"]


def assembled(turns: Iterable[Message]) -> tuple[Message, ...]:
    """The conversation with neighbouring turns of one speaker joined by blank lines.

    Most templates know one system message, at the beginning, and many want user and assistant to take turns.
    Results of tools stay apart.
    """
    messages: list[Message] = []
    for role, neighbours in groupby(turns, key=lambda turn: turn.role):
        if role is Role.TOOL:
            messages.extend(neighbours)
        else:
            messages.append(_joined(role, tuple(neighbours)))
    return tuple(messages)


def _joined(role: Role, turns: Sequence[Message]) -> Message:
    content = "\n\n".join(turn.content for turn in turns if turn.content)
    return Message(role, content, tuple(call for turn in turns for call in turn.tool_calls))


def checked_arguments(arguments: str, param: str) -> str:
    """The arguments of an earlier call, if they are a JSON object; none at all are an empty one.

    Raises:
        InvalidInput: they are not; `param` names them.
    """
    if not arguments.strip():
        return "{}"
    try:
        value = json.loads(arguments)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise InvalidInput("The arguments of a function call must be the text of a JSON object.", param=param)
    return arguments


def media_refusal(kind: str, param: str) -> MlxkError:
    """The error for a part that is not text."""
    return MlxkError(
        ErrorKind.UNSUPPORTED_MULTIMODAL,
        f"'{kind}' is not supported here: this server reads text.",
        param=param,
    )


def check_asked(call_id: str, asked: Set[str], param: str) -> None:
    """Refuse the result of a call that nobody made.

    Raises:
        InvalidInput: no earlier call has this id.
    """
    if call_id not in asked:
        raise InvalidInput(f"No earlier function call has the id '{call_id[:64]}'.", param=param)
