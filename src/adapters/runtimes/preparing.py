"""What can be done for a request before the model is needed: rendering, checks, decoders' parts.

Nothing here touches mlx, so it may run on another thread than the model, and a prompt of 100,000 tokens
stalls nobody's answer. Of what both threads use, the tokenizer is only read (its Rust part lets go of the
interpreter's lock while it works), and every decoder gets a detokenizer of its own.
"""

from dataclasses import dataclass, replace

from mlx_lm.generate import TextStateMachine

from mlxk.adapters.runtimes.constraints import Constraints
from mlxk.adapters.runtimes.decoding import (
    Channels,
    SequenceDecoder,
    TextDecoder,
    TokenText,
    channels_of,
    stop_machine,
)
from mlxk.adapters.runtimes.grammars import Grammar
from mlxk.adapters.runtimes.logprobs import TokenNames
from mlxk.adapters.runtimes.prompts import PromptRenderer, RenderedPrompt
from mlxk.adapters.runtimes.tokenizer import Tokenizer
from mlxk.domain.errors import InvalidInput
from mlxk.domain.generation import GenerationRequest, Prompt
from mlxk.domain.tokens import completion_limit

__all__ = ["PreparedText", "Preparer"]

TOKENS_OF_A_CHARACTER = 4
"""At most: no character has more bytes in UTF-8, and no token fewer than one."""


@dataclass(frozen=True, slots=True)
class PreparedText:
    """A request ready to run (the port `Prepared`); it can be submitted more than once.

    Attributes:
        max_tokens: most tokens this generation can have.
    """

    request: GenerationRequest
    prompt: RenderedPrompt
    max_tokens: int
    channels: Channels
    stops: TextStateMachine | None
    grammar: Grammar | None = None

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the rendered prompt."""
        return len(self.prompt.tokens)


class Preparer:
    """Prepares the requests of one model.

    Args:
        tokenizer: its `eos_token_ids` are all end tokens of the model.
        family: the config's `model_type`, for error messages.
        context_length: tokens, or None when the config does not say.
        vocabulary: columns of the model's logits.
    """

    def __init__(
        self, tokenizer: Tokenizer, family: str, *, context_length: int | None, vocabulary: int
    ) -> None:
        self._tokenizer = tokenizer
        self.names = TokenNames(tokenizer)
        """What the model's tokens stand for."""
        self._renderer = PromptRenderer(tokenizer, family, context_length)
        self._constraints = Constraints(tokenizer, family, vocabulary)
        self._context_length = context_length
        self._known_tokens = min(len(tokenizer), vocabulary)

    def count_prompt_tokens(self, request: GenerationRequest) -> int:
        """Tokens of the rendered prompt.

        Raises:
            InvalidInput: the chat template refuses the conversation.
        """
        return len(self._renderer.render(request).tokens)

    def prepare(self, request: GenerationRequest, default_limit: int | None) -> PreparedText:
        """Render and check a request; see the port `BatchingTextModel`."""
        try:
            return self._prepare(request, default_limit)
        except RecursionError as error:
            raise InvalidInput("A JSON value in the request is nested too deeply.") from error

    def _prepare(self, request: GenerationRequest, default_limit: int | None) -> PreparedText:
        self._check_bias(request)
        prompt = self._renderer.render(request)
        limit = completion_limit(
            len(prompt.tokens), self._context_length, requested=request.max_tokens, default=default_limit
        )
        constraint = self._constraints.of(request, prompt)
        if constraint is not None:
            return PreparedText(request, prompt, limit, constraint[1], None, constraint[0])
        channels = channels_of(self._tokenizer, prompt.tools, initial=prompt.initial)
        if not request.parallel_tool_calls:
            channels = replace(channels, max_calls=1)
        return PreparedText(request, prompt, limit, channels, stop_machine(request.stop))

    def decoder(self, prepared: PreparedText) -> SequenceDecoder:
        """A fresh decoder for a prepared request."""
        goes_on = isinstance(prepared.request.prompt, Prompt)
        after = prepared.prompt.tokens[-TOKENS_OF_A_CHARACTER:] if goes_on else ()
        text = TokenText(self._tokenizer.detokenizer, len(self._tokenizer), after)
        return SequenceDecoder(text, TextDecoder(prepared.channels, prepared.stops))

    def _check_bias(self, request: GenerationRequest) -> None:
        for token in request.sampling.logit_bias:
            if not 0 <= token < self._known_tokens:
                raise InvalidInput(
                    f"The logit-bias names token {token}; this model knows 0 to {self._known_tokens - 1}.",
                    param="logit_bias",
                )
