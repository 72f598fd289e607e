"""OpenAI text completions: from the body to work."""

from mlxk.app.server.dialects.chat import choices_of
from mlxk.app.server.dialects.completion_answers import CompletionRenderer
from mlxk.app.server.dialects.completion_body import CompletionBody
from mlxk.app.server.dialects.dialect import Ask
from mlxk.app.server.dialects.fields import sampling_with, stop_texts
from mlxk.app.server.work import Work
from mlxk.domain.errors import InvalidInput
from mlxk.domain.generation import GenerationRequest, Prompt
from mlxk.domain.keep_alive import parse_keep_alive

__all__ = ["read_completion"]


def read_completion(body: CompletionBody) -> Ask:
    """What a completion request asks for: one work for each prompt.

    Raises:
        InvalidInput: fields contradict each other; `param` names one.
    """
    options = body.stream_options
    if options is not None and not body.stream:
        raise InvalidInput("Stream options are for streams.", param="stream_options")
    if body.echo and body.logprobs is not None:
        raise InvalidInput(
            "The log-probabilities of an echoed prompt are not known.", hint="drop echo", param="logprobs"
        )
    prompts = (body.prompt,) if isinstance(body.prompt, str) else body.prompt
    count = body.n or 1
    keep_alive = None if body.keep_alive is None else parse_keep_alive(body.keep_alive)
    works = tuple(
        Work(body.model, choices_of(_generation(body, prompt), count), keep_alive) for prompt in prompts
    )
    echoes = tuple(prompt if body.echo else "" for prompt in prompts for _ in range(count))
    renderer = CompletionRenderer(
        echoes=echoes,
        usage_in_stream=bool(options and options.include_usage),
        with_logprobs=body.logprobs is not None,
    )
    return Ask(works, stream=bool(body.stream), renderer=renderer)


def _generation(body: CompletionBody, prompt: str) -> GenerationRequest:
    return GenerationRequest(
        prompt=Prompt(prompt),
        sampling=sampling_with(
            temperature=body.temperature,
            top_p=body.top_p,
            top_k=body.top_k,
            min_p=body.min_p,
            repetition_penalty=body.repetition_penalty,
            presence_penalty=body.presence_penalty,
            frequency_penalty=body.frequency_penalty,
            logit_bias=body.logit_bias,
            seed=body.seed,
        ),
        max_tokens=body.max_tokens,
        stop=stop_texts(body.stop),
        top_logprobs=body.logprobs,
    )
