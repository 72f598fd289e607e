"""OpenAI text completions: from the body to work."""

from mlxk.app.server.dialects.chat import choices_of
from mlxk.app.server.dialects.completion_answers import CompletionRenderer
from mlxk.app.server.dialects.completion_body import CompletionBody
from mlxk.app.server.dialects.dialect import Ask
from mlxk.app.server.dialects.fields import stop_texts
from mlxk.app.server.work import Work
from mlxk.domain.errors import InvalidInput
from mlxk.domain.generation import GenerationRequest, Prompt

__all__ = ["read_completion"]


def read_completion(body: CompletionBody) -> Ask:
    """What a completion request asks for; several prompts are one work, with one place in the queue.

    Raises:
        InvalidInput: fields contradict each other; `param` names one.
    """
    if body.echo and body.logprobs is not None:
        raise InvalidInput(
            "The log-probabilities of an echoed prompt are not known.", hint="drop echo", param="logprobs"
        )
    prompts = (body.prompt,) if isinstance(body.prompt, str) else body.prompt
    count = body.n or 1
    work = Work(
        body.model,
        tuple(each for prompt in prompts for each in choices_of(_generation(body, prompt), count)),
        body.staying(),
        prompts=len(prompts),
    )
    echoes = tuple(prompt if body.echo else "" for prompt in prompts for _ in range(count))
    renderer = CompletionRenderer(
        choices=count,
        echoes=echoes,
        usage_in_stream=body.with_usage(),
        with_logprobs=body.logprobs is not None,
    )
    return Ask(work, stream=bool(body.stream), renderer=renderer)


def _generation(body: CompletionBody, prompt: str) -> GenerationRequest:
    return GenerationRequest(
        prompt=Prompt(prompt),
        sampling=body.sampling(),
        max_tokens=body.max_tokens,
        stop=stop_texts(body.stop),
        top_logprobs=body.logprobs,
    )
