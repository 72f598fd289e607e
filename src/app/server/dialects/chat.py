"""OpenAI chat completions: from the body to work."""

from collections.abc import Mapping
from dataclasses import replace

from pydantic import JsonValue

from mlxk.app.server.dialects.chat_answers import ChatRenderer
from mlxk.app.server.dialects.chat_body import ChatBody, JsonSchemaFormat, NamedChoice
from mlxk.app.server.dialects.conversation import conversation
from mlxk.app.server.dialects.dialect import Ask
from mlxk.app.server.dialects.fields import sampling_with, stop_texts, tool_definition
from mlxk.app.server.dialects.thinking import thinking_settings
from mlxk.app.server.work import Work
from mlxk.domain.errors import InvalidInput
from mlxk.domain.generation import (
    GenerationRequest,
    JsonFormat,
    NamedTool,
    ToolChoice,
    ToolDefinition,
)
from mlxk.domain.keep_alive import parse_keep_alive
from mlxk.domain.sampling import MAX_SEED, Sampling

__all__ = ["choices_of", "read_chat"]


def read_chat(body: ChatBody) -> Ask:
    """What a chat request asks for.

    Raises:
        InvalidInput: fields contradict each other, or the conversation is none; `param` names the field.
        MlxkError: (`UNSUPPORTED_MULTIMODAL`) there is an image, audio or a file.
    """
    options = body.stream_options
    if options is not None and not body.stream:
        raise InvalidInput("Stream options are for streams.", param="stream_options")
    work = Work(
        model=body.model,
        requests=choices_of(_generation(body), body.n or 1),
        keep_alive=None if body.keep_alive is None else parse_keep_alive(body.keep_alive),
    )
    renderer = ChatRenderer(
        choices=body.n or 1,
        usage_in_stream=bool(options and options.include_usage),
        with_logprobs=bool(body.logprobs),
    )
    return Ask((work,), stream=bool(body.stream), renderer=renderer)


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
    tools = _tools(body)
    thinking, settings = thinking_settings(body.reasoning_effort, body.chat_template_kwargs)
    return GenerationRequest(
        prompt=conversation(body.messages),
        sampling=_sampling(body),
        max_tokens=_max_tokens(body),
        stop=stop_texts(body.stop),
        tools=tools,
        tool_choice=_tool_choice(body, tools),
        parallel_tool_calls=body.parallel_tool_calls is not False,
        thinking=thinking,
        template_settings=settings,
        response_format=_response_format(body),
        top_logprobs=_top_logprobs(body),
    )


def _sampling(body: ChatBody) -> Sampling:
    return sampling_with(
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        min_p=body.min_p,
        repetition_penalty=body.repetition_penalty,
        presence_penalty=body.presence_penalty,
        frequency_penalty=body.frequency_penalty,
        logit_bias=body.logit_bias,
        seed=body.seed,
    )


def _max_tokens(body: ChatBody) -> int | None:
    old, new = body.max_tokens, body.max_completion_tokens
    if old is not None and new is not None and old != new:
        raise InvalidInput(
            f"max_tokens is {old:,} and max_completion_tokens {new:,}: give one of them.",
            param="max_completion_tokens",
        )
    return old if new is None else new


def _tools(body: ChatBody) -> tuple[ToolDefinition, ...]:
    names: set[str] = set()
    for place, tool in enumerate(body.tools or ()):
        if tool.function.name in names:
            raise InvalidInput(
                f"Two tools are called '{tool.function.name}'.", param=f"tools[{place}].function.name"
            )
        names.add(tool.function.name)
    return tuple(
        tool_definition(tool.function.name, tool.function.description, tool.function.parameters)
        for tool in body.tools or ()
    )


def _tool_choice(body: ChatBody, tools: tuple[ToolDefinition, ...]) -> ToolChoice | NamedTool:
    choice = body.tool_choice
    if isinstance(choice, NamedChoice):
        name = choice.function.name
        if name not in {tool.name for tool in tools}:
            raise InvalidInput(
                f"The tool choice names '{name}', which is not among the tools.", param="tool_choice"
            )
        return NamedTool(name)
    if choice == "required" and not tools:
        raise InvalidInput("A tool call is required, but there are no tools.", param="tool_choice")
    return ToolChoice(choice or "auto")


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
