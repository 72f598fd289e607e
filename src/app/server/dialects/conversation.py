"""From the messages of a chat request to the conversation a model reads."""

from collections.abc import Sequence

from mlxk.app.server.dialects.chat_body import ChatMessage, ContentPart
from mlxk.domain.errors import ErrorKind, InvalidInput, MlxkError
from mlxk.domain.generation import Message, Role, ToolCall

__all__ = ["conversation"]

_ROLES = {
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
    "tool": Role.TOOL,
}
_MULTIMODAL = {"image_url": "images", "input_audio": "audio", "file": "files"}
_PART_FIELDS = {"text", "refusal", *_MULTIMODAL}


def conversation(messages: Sequence[ChatMessage]) -> tuple[Message, ...]:
    """Read the messages.

    Raises:
        InvalidInput: a field does not belong to its role or is missing, or a tool message answers a call
            that no message before it made; `param` names it.
        MlxkError: (`UNSUPPORTED_MULTIMODAL`) there is an image, audio or a file.
    """
    called: set[str] = set()
    read: list[Message] = []
    for position, message in enumerate(messages):
        where = f"messages[{position}]"
        _check_fields(message, where, called)
        calls = tuple(
            ToolCall(call.id, call.function.name, call.function.arguments or "{}")
            for call in message.tool_calls or ()
        )
        called.update(call.id for call in calls)
        read.append(Message(_ROLES[message.role], _text(message, where), calls, message.tool_call_id))
    return tuple(read)


def _check_fields(message: ChatMessage, where: str, called: set[str]) -> None:
    if message.role == "tool":
        if message.tool_call_id is None:
            raise InvalidInput("A tool message says which call it answers.", param=f"{where}.tool_call_id")
        if message.tool_call_id not in called:
            raise InvalidInput(
                f"No message before it made the tool call '{message.tool_call_id[:100]}'.",
                param=f"{where}.tool_call_id",
            )
    elif message.tool_call_id is not None:
        raise InvalidInput(
            f"A message of role '{message.role}' answers no tool call.", param=f"{where}.tool_call_id"
        )
    if message.tool_calls and message.role != "assistant":
        raise InvalidInput("Only assistant messages call tools.", param=f"{where}.tool_calls")
    if message.refusal is not None and message.role != "assistant":
        raise InvalidInput("Only assistant messages refuse.", param=f"{where}.refusal")
    if message.content and message.refusal:
        raise InvalidInput("A message has content or a refusal, not both.", param=f"{where}.refusal")
    spoken = message.content is not None or message.refusal is not None
    if not spoken and not (message.role == "assistant" and message.tool_calls):
        raise InvalidInput(f"The message of role '{message.role}' has no content.", param=f"{where}.content")


def _text(message: ChatMessage, where: str) -> str:
    if not message.content:
        return message.refusal or ""
    if isinstance(message.content, str):
        return message.content
    return "".join(_part(part, f"{where}.content[{place}]") for place, part in enumerate(message.content))


def _part(part: ContentPart, where: str) -> str:
    if part.type in _MULTIMODAL:
        raise MlxkError(
            ErrorKind.UNSUPPORTED_MULTIMODAL,
            f"This server does not read {_MULTIMODAL[part.type]} yet.",
            hint="send text",
            param=where,
        )
    text = part.text if part.type == "text" else part.refusal
    if text is None:
        raise InvalidInput(f"The part of type '{part.type}' lacks its {part.type}.", param=where)
    others = _PART_FIELDS - {part.type}
    if any(getattr(part, name) is not None for name in others):
        raise InvalidInput(f"The part of type '{part.type}' has fields of another type.", param=where)
    return text
