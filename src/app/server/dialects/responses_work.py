"""From the body of `POST /v1/responses` to work."""

from collections.abc import Iterator, Sequence

from mlxk.app.server.dialects.fields import sampling_with, tool_definition
from mlxk.app.server.dialects.offered_tools import check_tools
from mlxk.app.server.dialects.responses_body import (
    CallInputItem,
    CallOutputItem,
    InputItem,
    InputMessage,
    InputText,
    JsonObjectFormat,
    MediaPart,
    NamedFunction,
    OutputText,
    Part,
    ReasoningItem,
    ResponsesBody,
    SchemaTextFormat,
)
from mlxk.app.server.dialects.thinking import thinking_settings
from mlxk.app.server.dialects.turns import assembled, check_asked, checked_arguments, media_refusal
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
)
from mlxk.domain.keep_alive import parse_keep_alive

__all__ = ["responses_work"]

LOGPROBS = "message.output_text.logprobs"

_ROLES = {
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
}


def responses_work(body: ResponsesBody) -> Work:
    """What the client wants.

    Raises:
        InvalidInput: it cannot be meant; `param` names the field.
        MlxkError: (`UNSUPPORTED_MULTIMODAL`) an image, a file or audio.
    """
    tools = tuple(tool_definition(tool.name, tool.description, tool.parameters) for tool in body.tools or ())
    tool_choice = _tool_choice(body.tool_choice)
    check_tools(tools, tool_choice)
    thinking, template_settings = thinking_settings(body.reasoning.effort if body.reasoning else None, None)
    request = GenerationRequest(
        prompt=_prompt(body),
        sampling=sampling_with(temperature=body.temperature, top_p=body.top_p, seed=body.seed),
        max_tokens=body.max_output_tokens,
        tools=tools,
        tool_choice=tool_choice,
        parallel_tool_calls=body.parallel_tool_calls is not False,
        thinking=thinking,
        template_settings=template_settings,
        response_format=_response_format(body),
        top_logprobs=_top_logprobs(body),
    )
    keep_alive = None if body.keep_alive is None else parse_keep_alive(body.keep_alive)
    return Work(body.model, (request,), keep_alive)


def _prompt(body: ResponsesBody) -> tuple[Message, ...]:
    spoken = tuple(_turns(body.input))
    if not spoken:
        raise InvalidInput("The input has no messages.", param="input")
    system = [Message(Role.SYSTEM, body.instructions)] if body.instructions else []
    return assembled([*system, *spoken])


def _turns(items: str | Sequence[InputItem]) -> Iterator[Message]:
    if isinstance(items, str):
        yield Message(Role.USER, items)
        return
    asked: set[str] = set()
    for index, item in enumerate(items):
        param = f"input[{index}]"
        match item:
            case InputMessage():
                yield Message(_ROLES[item.role], _text(item.content, f"{param}.content"))
            case CallInputItem():
                asked.add(item.call_id)
                arguments = checked_arguments(item.arguments, f"{param}.arguments")
                call = ToolCall(item.call_id, item.name, arguments)
                yield Message(Role.ASSISTANT, "", tool_calls=(call,))
            case CallOutputItem():
                check_asked(item.call_id, asked, f"{param}.call_id")
                text = _text(item.output, f"{param}.output")
                yield Message(Role.TOOL, text, tool_call_id=item.call_id)
            case ReasoningItem():
                pass


def _text(content: str | Sequence[Part], param: str) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(_part_text(part, f"{param}[{index}]") for index, part in enumerate(content))


def _part_text(part: Part, param: str) -> str:
    match part:
        case InputText() | OutputText():
            return part.text
        case MediaPart():
            raise media_refusal(part.type, param)
        case _:
            return part.refusal


def _tool_choice(choice: str | NamedFunction | None) -> ToolChoice | NamedTool:
    match choice:
        case None:
            return ToolChoice.AUTO
        case str():
            return ToolChoice(choice)
        case _:
            return NamedTool(choice.name)


def _response_format(body: ResponsesBody) -> JsonFormat | None:
    match body.text.format if body.text else None:
        case JsonObjectFormat():
            return JsonFormat()
        case SchemaTextFormat(schema_=schema):
            return JsonFormat(schema)
        case _:
            return None


def _top_logprobs(body: ResponsesBody) -> int | None:
    """Log-probabilities are given when either field asks for them."""
    if body.top_logprobs is None and LOGPROBS not in (body.include or ()):
        return None
    return body.top_logprobs or 0
