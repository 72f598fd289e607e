"""OpenAI chat completions: from the body to work."""

from collections.abc import Mapping
from dataclasses import replace

from pydantic import JsonValue

from mlxk.app.server.dialects.chat_answers import ChatRenderer
from mlxk.app.server.dialects.chat_body import ChatBody, JsonSchemaFormat, NamedChoice
from mlxk.app.server.dialects.conversation import conversation
from mlxk.app.server.dialects.dialect import Ask
from mlxk.app.server.dialects.fields import stop_texts, tool_definition
from mlxk.app.server.dialects.offered_tools import check_tools
from mlxk.app.server.dialects.thinking import thinking_settings
from mlxk.app.server.work import Work
from mlxk.domain.errors import InvalidInput
from mlxk.domain.generation import (
    GenerationRequest,
    JsonFormat,
    NamedTool,
    ToolChoice,
)
from mlxk.domain.sampling import MAX_SEED

__all__ = ["choices_of", "read_chat"]


def read_chat(body: ChatBody) -> Ask:
    """What a chat request asks for.

    Raises:
        InvalidInput: fields contradict each other, or the conversation is none; `param` names the field.
        MlxkError: (`UNSUPPORTED_MULTIMODAL`) there is an image, audio or a file.
    """
    work = Work(
        model=body.model,
        requests=choices_of(_generation(body), body.n or 1),
        keep_alive=body.staying(),
    )
    renderer = ChatRenderer(
        choices=body.n or 1,
        usage_in_stream=body.with_usage(),
        with_logprobs=bool(body.logprobs),
    )
    return Ask(work, stream=bool(body.stream), renderer=renderer)


def choices_of(request: GenerationRequest, count: int) -> tuple[GenerationRequest, ...]:
    """One generation per choice; with a seed, each choice has the next one."""
    seed = request.sampling.seed
    if seed is None or count == 1:
        return (request,) * count
    return tuple(
        replace(request, sampling=replace(request.sampling, seed=(seed + place) % (MAX_SEED + 1)))
        for place in range(count)
    )


def _generation(body: ChatBody) -> GenerationRequest:
    tools = tuple(
        tool_definition(tool.function.name, tool.function.description, tool.function.parameters)
        for tool in body.tools or ()
    )
    tool_choice = _tool_choice(body.tool_choice)
    check_tools(tools, tool_choice, name="function.name")
    thinking, settings = thinking_settings(body.reasoning_effort, body.chat_template_kwargs)
    return GenerationRequest(
        prompt=conversation(body.messages),
        sampling=body.sampling(),
        max_tokens=_max_tokens(body),
        stop=stop_texts(body.stop),
        tools=tools,
        tool_choice=tool_choice,
        parallel_tool_calls=body.parallel_tool_calls is not False,
        thinking=thinking,
        template_settings=settings,
        response_format=_response_format(body),
        top_logprobs=_top_logprobs(body),
    )


def _max_tokens(body: ChatBody) -> int | None:
    old, new = body.max_tokens, body.max_completion_tokens
    if old is not None and new is not None and old != new:
        raise InvalidInput(
            f"max_tokens is {old:,} and max_completion_tokens {new:,}: give one of them.",
            param="max_completion_tokens",
        )
    return old if new is None else new


def _tool_choice(choice: str | NamedChoice | None) -> ToolChoice | NamedTool:
    return (
        NamedTool(choice.function.name) if isinstance(choice, NamedChoice) else ToolChoice(choice or "auto")
    )


def _response_format(body: ChatBody) -> JsonFormat | None:
    wanted = body.response_format
    if wanted is None or wanted.type == "text":
        return None
    if isinstance(wanted, JsonSchemaFormat):
        schema: Mapping[str, JsonValue] = wanted.json_schema.schema_
        return JsonFormat(schema)
    return JsonFormat()


def _top_logprobs(body: ChatBody) -> int | None:
    if body.top_logprobs is not None and not body.logprobs:
        raise InvalidInput("top_logprobs needs logprobs to be true.", param="top_logprobs")
    return (body.top_logprobs or 0) if body.logprobs else None
