"""From the body of `POST /v1/messages` to work."""

import json
from collections.abc import Iterator, Mapping, Sequence

from mlxk.app.server.dialects.fields import sampling_with, stop_texts, tool_definition
from mlxk.app.server.dialects.messages_body import (
    AnyToolUse,
    AutoToolUse,
    ContentBlock,
    CountTokensBody,
    MediaBlock,
    MessagesBody,
    NamedToolUse,
    NoToolUse,
    PromptFields,
    SchemaFormat,
    TextBlock,
    ToolResultBlock,
    ToolUseBlock,
    Turn,
)
from mlxk.app.server.dialects.offered_tools import check_tools
from mlxk.app.server.dialects.turns import assembled, check_asked, media_refusal
from mlxk.app.server.work import Work
from mlxk.domain.errors import InvalidInput
from mlxk.domain.generation import (
    GenerationRequest,
    JsonFormat,
    Message,
    NamedTool,
    Role,
    ToolCall,
    ToolChoice,
    ToolDefinition,
)
from mlxk.domain.keep_alive import KeepAlive, parse_keep_alive
from mlxk.domain.model import JsonValue

__all__ = ["counting_work", "messages_work"]

FAILED = "Error: "
"""What the model reads before the result of a tool that failed."""


def messages_work(body: MessagesBody) -> Work:
    """What the client wants.

    Raises:
        InvalidInput: it cannot be meant; `param` names the field.
        MlxkError: (`UNSUPPORTED_MULTIMODAL`) an image or a document.
    """
    tools, tool_choice = _tools(body)
    thinking, template_settings = _thinking(body)
    output = body.output_config.format if body.output_config else None
    if body.stop_sequences:
        _check_uncut(tool_choice, output)
    request = GenerationRequest(
        prompt=_prompt(body),
        sampling=sampling_with(
            temperature=body.temperature, top_p=body.top_p, top_k=body.top_k, seed=body.seed
        ),
        max_tokens=body.max_tokens,
        stop=stop_texts(body.stop_sequences),
        tools=tools,
        tool_choice=tool_choice,
        parallel_tool_calls=_parallel(body),
        thinking=thinking,
        template_settings=template_settings,
        response_format=JsonFormat(output.schema_) if output else None,
    )
    return Work(body.model, (request,), _keep_alive(body))


def counting_work(body: CountTokensBody) -> Work:
    """The prompt that the client wants counted.

    Raises:
        InvalidInput: as `messages_work`.
        MlxkError: as `messages_work`.
    """
    tools, tool_choice = _tools(body)
    thinking, template_settings = _thinking(body)
    request = GenerationRequest(
        prompt=_prompt(body),
        tools=tools,
        tool_choice=tool_choice,
        thinking=thinking,
        template_settings=template_settings,
    )
    return Work(body.model, (request,), _keep_alive(body))


def _prompt(body: PromptFields) -> tuple[Message, ...]:
    if body.messages[-1].role == "assistant":
        raise InvalidInput(
            "The last message is the assistant's: continuing an answer is not supported.",
            hint="end with a user message",
            param=f"messages[{len(body.messages) - 1}]",
        )
    spoken = tuple(_turns(body.messages))
    if not spoken:
        raise InvalidInput("The messages have no content.", param="messages")
    return assembled([*_system(body), *spoken])


def _system(body: PromptFields) -> list[Message]:
    if not body.system:
        return []
    if isinstance(body.system, str):
        return [Message(Role.SYSTEM, body.system)]
    return [Message(Role.SYSTEM, block.text) for block in body.system]


def _turns(turns: Sequence[Turn]) -> Iterator[Message]:
    asked: set[str] = set()
    for index, turn in enumerate(turns):
        role = Role(turn.role)
        if isinstance(turn.content, str):
            yield Message(role, turn.content)
            continue
        for place, block in enumerate(turn.content):
            param = f"messages[{index}].content[{place}]"
            yield from _block(role, block, asked, param)


def _block(role: Role, block: ContentBlock, asked: set[str], param: str) -> Iterator[Message]:
    match block:
        case TextBlock():
            yield Message(role, block.text)
        case MediaBlock():
            raise media_refusal(block.type, param)
        case ToolUseBlock():
            _check_speaker(role, Role.ASSISTANT, block.type, param)
            asked.add(block.id)
            call = ToolCall(block.id, block.name, json.dumps(block.input, ensure_ascii=False))
            yield Message(Role.ASSISTANT, "", tool_calls=(call,))
        case ToolResultBlock():
            _check_speaker(role, Role.USER, block.type, param)
            check_asked(block.tool_use_id, asked, f"{param}.tool_use_id")
            yield Message(Role.TOOL, _result(block, param), tool_call_id=block.tool_use_id)
        case _:
            _check_speaker(role, Role.ASSISTANT, block.type, param)


def _check_speaker(role: Role, allowed: Role, kind: str, param: str) -> None:
    if role is not allowed:
        raise InvalidInput(f"A '{kind}' block belongs in a message of the {allowed.value}.", param=param)


def _result(block: ToolResultBlock, param: str) -> str:
    if block.content is None or isinstance(block.content, str):
        text = block.content or ""
    else:
        parts = []
        for place, part in enumerate(block.content):
            if isinstance(part, MediaBlock):
                raise media_refusal(part.type, f"{param}.content[{place}]")
            parts.append(part.text)
        text = "\n\n".join(parts)
    return f"{FAILED}{text}" if block.is_error else text


def _tools(body: PromptFields) -> tuple[tuple[ToolDefinition, ...], ToolChoice | NamedTool]:
    tools = tuple(
        tool_definition(tool.name, tool.description, tool.input_schema) for tool in body.tools or ()
    )
    choice = _tool_choice(body)
    check_tools(tools, choice)
    return tools, choice


def _check_uncut(choice: ToolChoice | NamedTool, output: SchemaFormat | None) -> None:
    """As the runtime would of stop texts, by the name that they have here."""
    forced = choice not in (ToolChoice.AUTO, ToolChoice.NONE)
    if forced or output:
        held = "a forced tool call" if forced else "a JSON answer"
        raise InvalidInput(
            f"Stop sequences could cut {held}, so the two cannot be combined.",
            hint=f"leave out stop_sequences, or {'use the tool choice auto' if forced else 'the format'}",
            param="stop_sequences",
        )


def _tool_choice(body: PromptFields) -> ToolChoice | NamedTool:
    match body.tool_choice:
        case AnyToolUse():
            return ToolChoice.REQUIRED
        case NamedToolUse(name=name):
            return NamedTool(name)
        case NoToolUse():
            return ToolChoice.NONE
        case _:
            return ToolChoice.AUTO


def _parallel(body: PromptFields) -> bool:
    match body.tool_choice:
        case AutoToolUse() | AnyToolUse() | NamedToolUse() as choice:
            return choice.disable_parallel_tool_use is not True
        case _:
            return True


def _thinking(body: PromptFields) -> tuple[bool | None, Mapping[str, JsonValue]]:
    """Whether to think, and how hard, for templates that know degrees.

    Clients that do not ask for thinking expect the text in the first block, and get it there.
    """
    match body.thinking.type if body.thinking else "disabled":
        case "enabled":
            thinking: bool | None = True
        case "disabled":
            return False, {}
        case _:
            thinking = None
    effort = body.output_config.effort if body.output_config else None
    return thinking, {"reasoning_effort": effort} if effort else {}


def _keep_alive(body: PromptFields) -> KeepAlive | None:
    return None if body.keep_alive is None else parse_keep_alive(body.keep_alive)
