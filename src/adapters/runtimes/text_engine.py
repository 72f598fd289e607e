"""The text engine: requests in, typed deltas out, many at once, on mlx-lm's `BatchGenerator`.

The command line takes `generate`; a server drives `submit`, `step` and `cancel` from the thread that owns
the model, and may call `prepare` and `kv_bytes` from one more. Requests join and leave the running batch at
any step; a sequence that runs alone costs what it costs in `mlx_lm.stream_generate`.
"""

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass

import mlx.core as mx
import mlx.nn as nn
from mlx_lm.generate import BatchGenerator, GenerationBatch, StopSequences, make_stop_sequences
from mlx_lm.models.cache import make_prompt_cache

from mlxk.adapters.runtimes.kv_sizes import measure
from mlxk.adapters.runtimes.lean_step import make_lean, release
from mlxk.adapters.runtimes.logprobs import RowLogprobs, logprobs_of
from mlxk.adapters.runtimes.lone_cache import can_be_batched, can_be_merged, make_lone
from mlxk.adapters.runtimes.preparing import PreparedText, Preparer
from mlxk.adapters.runtimes.prompt_cache import PromptCache
from mlxk.adapters.runtimes.sampling import logits_processors_for, sampler_for
from mlxk.adapters.runtimes.sequences import Handle, Sequence, Sequences
from mlxk.adapters.runtimes.tokenizer import Tokenizer
from mlxk.domain.errors import ErrorKind, MlxkError
from mlxk.domain.generation import Delta, Finish, FinishReason, GenerationRequest, LogprobDelta
from mlxk.domain.ports import Prepared

__all__ = ["LoadedModel", "TextEngine"]

PREFILL_ON_GPU = 2048
"""Prompt tokens computed at once, as mlx-lm's default: a GPU gains from long pieces."""

BESIDE_ANSWERS_ON_CPU, BESIDE_ANSWERS_ON_GPU = 64, 512
"""The same while answers are being generated: longer ones let those wait, shorter ones let the prompt wait,
as each costs it a token of all of them."""

PREFILL_BATCH = 8
"""Prompts computed side by side (as in mlx-lm's server): more would all get their first token at the end."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """What loading gives.

    Attributes:
        tokenizer: its `eos_token_ids` are all end tokens of the model.
        family: the config's `model_type`.
        context_length: tokens, or None when the config does not say.
    """

    model: nn.Module
    tokenizer: Tokenizer
    family: str
    context_length: int | None


class TextEngine:
    """A loaded text model that generates (the port `BatchingTextModel`).

    Args:
        loaded: the model.
        prompt_cache_bytes: how much of computed prompts to keep for later requests, in bytes.
        max_batch: sequences that run at once; more wait. Families that cannot be batched run one by one.
        prefill_on_cpu: prompt tokens computed per step on a CPU while no answer is being generated.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        prompt_cache_bytes: int,
        max_batch: int,
        prefill_on_cpu: int,
    ) -> None:
        self._loaded: LoadedModel | None = loaded
        self._context_length = loaded.context_length
        self._has_chat_template = bool(loaded.tokenizer.has_chat_template)
        self._stop_sequences: StopSequences = make_stop_sequences(loaded.tokenizer)
        self._prompt_cache = PromptCache(prompt_cache_bytes if can_be_merged(loaded.model) else 0)
        self._max_batch = max_batch if can_be_batched(loaded.model) else 1
        on_cpu = mx.default_device() == mx.Device(mx.cpu)
        self._prefill_step = prefill_on_cpu if on_cpu else PREFILL_ON_GPU
        self._prefill_beside = BESIDE_ANSWERS_ON_CPU if on_cpu else BESIDE_ANSWERS_ON_GPU
        self._sizes = measure(loaded.model, max(self._prefill_step, self._prefill_beside))
        self._preparer: Preparer | None = Preparer(
            loaded.tokenizer,
            loaded.family,
            context_length=loaded.context_length,
            vocabulary=self._sizes.vocabulary,
        )
        self._generator: BatchGenerator | None = None
        self._tops: dict[int, int] = {}
        self._sequences = Sequences()
        self._inboxes: dict[Handle, deque[Delta]] = {}
        self._outbox: list[tuple[Handle, Delta]] = []
        self._last_handle = 0

    @property
    def context_length(self) -> int | None:
        """Tokens the model was made for, or None when its config does not say."""
        return self._context_length

    @property
    def has_chat_template(self) -> bool:
        """Whether conversations are rendered by a template (else they are joined as plain text)."""
        return self._has_chat_template

    @property
    def prompt_cache_nbytes(self) -> int:
        """Bytes of computed prompts kept now."""
        return self._prompt_cache.nbytes

    @property
    def running_nbytes(self) -> int:
        """Bytes of the caches of the generations in progress."""
        return 0 if self._generator is None else int(self._generator.prompt_cache_nbytes)

    @property
    def max_batch(self) -> int:
        """Generations that run at once; 1 for families that cannot be batched."""
        return self._max_batch

    @property
    def active(self) -> int:
        """Generations that have not finished, those that wait for a place in the batch among them."""
        return len(self._sequences.by_handle)

    def count_prompt_tokens(self, request: GenerationRequest) -> int:
        """Tokens of the rendered prompt.

        Raises:
            InvalidInput: the chat template refuses the conversation.
        """
        return self._open_preparer().count_prompt_tokens(request)

    def kv_bytes(self, tokens: int) -> int:
        """Bytes that the caches of one generation take once they hold this many tokens.

        See `ModelSizes.kv_bytes` for how exact it is.
        """
        return self._sizes.kv_bytes(tokens)

    def trim_prompt_cache(self, max_bytes: int) -> None:
        """Forget the least recently used computed prompts until no more than this many bytes are kept."""
        self._prompt_cache.trim(max_bytes)
        mx.clear_cache()

    def prepare(self, request: GenerationRequest, *, default_limit: int | None) -> PreparedText:
        """Render and check a request, without the model.

        Args:
            default_limit: most tokens to generate when the request does not say; None leaves it to the
                context.

        Raises:
            InvalidInput: the prompt cannot be rendered or does not fit the context, or a biased token is
                not in the vocabulary.
            MlxkError: (`NOT_IMPLEMENTED`) tools for a model that cannot call any; (`OPERATION`) the
                model was closed.
        """
        return self._open_preparer().prepare(request, default_limit)

    def submit(self, prepared: Prepared) -> Handle:
        """Accept a generation that this model prepared; `step` works on it.

        Raises:
            MlxkError: (`OPERATION`) the model was closed.
        """
        assert isinstance(prepared, PreparedText)
        decoder = self._open_preparer().decoder(prepared)
        self._last_handle += 1
        grammar = prepared.grammar.mask() if prepared.grammar else None
        sequence = Sequence(Handle(self._last_handle), prepared, decoder, grammar)
        self._sequences.by_handle[sequence.handle] = sequence
        self._sequences.waiting.append(sequence)
        return sequence.handle

    def step(self) -> list[tuple[Handle, Delta]]:
        """Compute one token of every running sequence, or one piece of prompt, and give what came of it.

        Raises:
            MlxkError: the model failed; every generation in progress is gone and the engine is clean.
        """
        self._advance()
        deltas, self._outbox = self._outbox, []
        return deltas

    def cancel(self, handle: int) -> Finish | None:
        """Stop a generation now; its last delta, or None when it had finished (or never was)."""
        sequence = self._sequences.by_handle.get(handle)
        if sequence is None:
            return None
        try:
            self._remove(sequence)
        except BaseException:
            self._reset()
            raise
        self._outbox = [(owner, delta) for owner, delta in self._outbox if owner != handle]
        return Finish(FinishReason.CANCELLED, sequence.usage())

    def generate(self, request: GenerationRequest) -> Generator[Delta, None, None]:
        """Generate one answer, delta by delta, ending with a `Finish`.

        The request is checked at once, the work begins with the first delta. Closing the iterator early,
        or an interrupt (Ctrl-C) at any point, stops within one token and leaves the engine clean.

        Raises:
            MlxkError: as `prepare` and `step`.
        """
        return self._deltas(self.prepare(request, default_limit=None))

    def close(self) -> None:
        """Free the model. Safe to call twice; generations in progress are gone."""
        self._reset()
        self._prompt_cache.clear()
        self._loaded = self._preparer = None
        mx.clear_cache()

    def _deltas(self, prepared: PreparedText) -> Generator[Delta, None, None]:
        handle = self.submit(prepared)
        inbox = self._inboxes[handle] = deque()
        try:
            while True:
                while inbox:
                    delta = inbox.popleft()
                    yield delta
                    if isinstance(delta, Finish):
                        return
                if handle not in self._sequences.by_handle:
                    raise MlxkError(
                        ErrorKind.OPERATION, "The generation was lost: its model failed or was closed."
                    )
                self._advance()
        finally:
            self._inboxes.pop(handle, None)
            self.cancel(handle)

    def _open_preparer(self) -> Preparer:
        if self._preparer is None:
            raise MlxkError(ErrorKind.OPERATION, "The model was closed.")
        return self._preparer

    def _advance(self) -> None:
        """One step of the generator; its deltas go to their iterators' inboxes, or to the outbox."""
        try:
            self._admit()
            if self._generator is None:
                return
            answering = len(self._generator._generation_batch) > 0
            self._generator.prefill_step_size = self._prefill_beside if answering else self._prefill_step
            _, responses = self._generator.next()
            for response in responses:
                sequence = self._sequences.by_uid[response.uid]
                for delta in self._take(sequence, response):
                    self._deliver(sequence.handle, delta)
        except Exception as error:
            self._reset()
            raise _failure(error) from error
        except BaseException:
            self._reset()  # an interrupt may have left a step half done
            raise

    def _deliver(self, handle: Handle, delta: Delta) -> None:
        inbox = self._inboxes.get(handle)
        if inbox is None:
            self._outbox.append((handle, delta))
        else:
            inbox.append(delta)

    def _admit(self) -> None:
        """Move waiting generations into the batch, as far as there is room.

        Not while the first token of a computed prompt is due: the prompts that join would be computed before
        it is given. It comes within two steps.
        """
        unbegun = sum(not sequence.generated for sequence in self._sequences.by_uid.values())
        if unbegun > self._unfinished_prompts():
            return
        room = min(PREFILL_BATCH - unbegun, self._max_batch - len(self._sequences.by_uid))
        for _ in range(min(room, len(self._sequences.waiting))):
            sequence = self._sequences.waiting.popleft()
            sequence.uid = self._insert(sequence)
            self._sequences.by_uid[sequence.uid] = sequence

    def _unfinished_prompts(self) -> int:
        """Prompts in the batch of which more than the last token is to be computed."""
        if self._generator is None:
            return 0
        left = (sum(map(len, segments)) for segments, *_ in self._generator._currently_processing)
        return sum(tokens > 1 for tokens in left) + len(self._generator._unprocessed_sequences)

    def _insert(self, sequence: Sequence) -> int:
        assert self._loaded is not None
        if self._generator is None:
            self._tops = {}
            self._generator = make_lean(
                BatchGenerator(
                    self._loaded.model,
                    completion_batch_size=self._max_batch,
                    prefill_batch_size=min(PREFILL_BATCH, self._max_batch),
                    prefill_step_size=self._prefill_step,
                ),
                self._tops,
            )
        tokens, sampling = sequence.prepared.prompt.tokens, sequence.prepared.request.sampling
        caches, sequence.cached = self._prompt_cache.fetch(tokens)
        if caches is None:
            caches = make_prompt_cache(self._loaded.model)
        if not self._sequences.by_uid:
            make_lone(caches)
        processors = logits_processors_for(sampling)
        if sequence.grammar is not None:
            processors.append(sequence.grammar)
        (uid,) = self._generator.insert(
            [tokens[sequence.cached :]],
            [sequence.prepared.max_tokens],
            caches=[caches],
            all_tokens=[tokens[: sequence.cached]],
            samplers=[sampler_for(sampling)],
            logits_processors=[processors],
            stop_sequences=[self._stop_sequences],
        )
        top = sequence.prepared.request.top_logprobs
        if top is not None:
            self._tops[uid] = top
        return int(uid)

    def _take(self, sequence: Sequence, response: GenerationBatch.Response) -> list[Delta]:
        """The deltas of one more token. The end token counts, but has no text."""
        sequence.generated += 1
        ended = response.finish_reason == "stop"
        deltas = [] if ended else sequence.decoder.add(response.token, self._logprob(response))
        if response.finish_reason is None and not sequence.decoder.stopped:
            return deltas
        self._finish(sequence, response)
        deltas.extend(sequence.decoder.end())
        if sequence.grammar is not None and sequence.grammar.gave_up:
            ended = False  # the end token came too early: the answer is cut off
        reason = sequence.decoder.reason(ended=ended)
        return [*deltas, Finish(reason, sequence.usage(), sequence.decoder.stopped_by)]

    def _logprob(self, response: GenerationBatch.Response) -> LogprobDelta | None:
        top = self._tops.get(response.uid)
        if top is None:
            return None
        row = response.logprobs
        if not isinstance(row, RowLogprobs):  # of a first token, which mlx-lm computes
            row = logprobs_of(row, mx.array([response.token]), top)
        return self._open_preparer().names.delta(response.token, row)

    def _finish(self, sequence: Sequence, response: GenerationBatch.Response) -> None:
        """Take a finished sequence out of the batch and keep what was computed for it."""
        self._tops.pop(response.uid, None)
        caches, tokens = response.prompt_cache, response.all_tokens
        if response.finish_reason is None:  # a stop text: the batch does not know yet
            assert self._generator is not None
            caches, tokens = self._generator.remove([response.uid], return_prompt_caches=True)[response.uid]
        self._sequences.drop(sequence)
        self._prompt_cache.keep(tokens, caches)

    def _remove(self, sequence: Sequence) -> None:
        self._sequences.drop(sequence)
        if sequence.uid is not None and self._generator is not None:
            self._tops.pop(sequence.uid, None)
            self._generator.remove([sequence.uid])

    def _reset(self) -> None:
        """Forget every generation in progress, and the batch with them."""
        generator, self._generator = self._generator, None
        self._sequences = Sequences()
        self._outbox = []
        if generator is not None:
            release(generator)
            mx.clear_cache()


def _failure(error: Exception) -> MlxkError:
    """What mlx reports as a RuntimeError, most often that memory ran out; or a fault of ours."""
    lines = str(error).strip().splitlines() if isinstance(error, RuntimeError) else []
    text = lines[0] if lines else type(error).__name__
    short = "allocate" in text or "memory" in text.lower()
    kind = ErrorKind.INSUFFICIENT_MEMORY if short else ErrorKind.OPERATION
    hint = "use a shorter prompt, a lower max-tokens or a smaller model" if short else None
    return MlxkError(kind, f"The model failed while generating: {text}", hint=hint)
