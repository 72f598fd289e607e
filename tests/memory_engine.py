"""A batching text model in memory: it answers with the words it was asked to say, one per step.

It passes the same contract as the real engine (`tests/contract/ports/test_batching_text_model.py`), and has
what tests of the server need besides: prompts that block the thread, end it, or fail.
"""

import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mlxk.domain.errors import ErrorKind, InvalidInput, MlxkError
from mlxk.domain.generation import (
    Delta,
    Finish,
    FinishReason,
    GenerationRequest,
    Prompt,
    TextDelta,
    Usage,
)
from mlxk.domain.ports import Prepared
from mlxk.domain.tokens import completion_limit

__all__ = [
    "BLOCK",
    "BLOCK_PROMPT",
    "DIE",
    "FAIL",
    "KV_BYTES",
    "Faults",
    "MemoryEngine",
    "MemoryEngineRuntime",
    "says",
]

BLOCK, DIE, FAIL = "BLOCK", "DIE", "FAIL"
"""Prompts with this word block the step, end the thread, or make the step fail as a model does."""

BLOCK_PROMPT = "BLOCK_PROMPT"
"""A prompt with this word blocks where it is rendered."""

KV_BYTES = 10
"""Bytes that the cache of one token takes."""


@dataclass
class Faults:
    """What a test holds in its hand.

    Attributes:
        blocked: set when a step blocks; it goes on when `release` is set.
        gate: each step waits for it.
        close_gate: closing waits for it.
        pause_at: the step that sets `paused` and goes on when `resume` is set.
    """

    blocked: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)
    gate: threading.Event | None = None
    pause_at: int | None = None
    paused: threading.Event = field(default_factory=threading.Event)
    resume: threading.Event = field(default_factory=threading.Event)
    close_fails: bool = False
    close_gate: threading.Event | None = None
    closing: threading.Event = field(default_factory=threading.Event)


@dataclass
class PreparedWords:
    """A prompt of words."""

    words: list[str]
    max_tokens: int

    @property
    def prompt_tokens(self) -> int:
        return len(self.words)


@dataclass
class _Running:
    prepared: PreparedWords
    said: int = 0

    def usage(self) -> Usage:
        return Usage(self.prepared.prompt_tokens, self.said)

    def tokens(self) -> int:
        return self.prepared.prompt_tokens + self.said


class MemoryEngine:
    """Answers a prompt with its own words, one per step, for all running generations at once."""

    def __init__(
        self,
        *,
        context_length: int | None = 4096,
        max_batch: int = 8,
        faults: Faults | None = None,
        cache_limit: int = 10_000,
    ) -> None:
        self._context_length = context_length
        self._max_batch = max_batch
        self._faults = faults or Faults()
        self._cache_limit = cache_limit
        self._running: dict[int, _Running] = {}
        self._waiting: deque[int] = deque()
        self._cached: deque[int] = deque()
        self._last = 0
        self._steps = 0
        self._thread = threading.get_ident()
        self.closed = False
        self.most_at_once = 0

    @property
    def context_length(self) -> int | None:
        return self._context_length

    @property
    def has_chat_template(self) -> bool:
        return True

    @property
    def max_batch(self) -> int:
        return self._max_batch

    @property
    def active(self) -> int:
        return len(self._running)

    @property
    def prompt_cache_nbytes(self) -> int:
        return sum(self._cached)

    @property
    def running_nbytes(self) -> int:
        return sum(
            KV_BYTES * running.tokens()
            for handle, running in self._running.items()
            if handle not in self._waiting
        )

    def kv_bytes(self, tokens: int) -> int:
        return KV_BYTES * tokens

    def count_prompt_tokens(self, request: GenerationRequest) -> int:
        return len(_words(request))

    def prepare(self, request: GenerationRequest, *, default_limit: int | None) -> PreparedWords:
        words = _words(request)
        if BLOCK_PROMPT in words:
            self._faults.blocked.set()
            self._faults.release.wait(60)
        if "UNRENDERABLE" in words:
            raise InvalidInput("The template refuses the conversation.")
        limit = completion_limit(
            len(words), self._context_length, requested=request.max_tokens, default=default_limit
        )
        return PreparedWords(words, limit)

    def submit(self, prepared: Prepared) -> int:
        self._check()
        assert isinstance(prepared, PreparedWords)
        self._last += 1
        self._running[self._last] = _Running(prepared)
        self._waiting.append(self._last)
        return self._last

    def step(self) -> Sequence[tuple[int, Delta]]:
        self._check()
        while self._waiting and len(self._running) - len(self._waiting) < self._max_batch:
            self._waiting.popleft()
        now = [handle for handle in self._running if handle not in self._waiting]
        self.most_at_once = max(self.most_at_once, len(now))
        self._pause()
        deltas: list[tuple[int, Delta]] = []
        for handle in now:
            deltas.extend((handle, delta) for delta in self._say(handle))
        return deltas

    def cancel(self, handle: int) -> Finish | None:
        self._check()
        running = self._running.pop(handle, None)
        if running is None:
            return None
        if handle in self._waiting:
            self._waiting.remove(handle)
        return Finish(FinishReason.CANCELLED, running.usage())

    def trim_prompt_cache(self, max_bytes: int) -> None:
        self._check()
        while sum(self._cached) > max_bytes:
            self._cached.popleft()

    def generate(self, request: GenerationRequest) -> Generator[Delta, None, None]:
        handle = self.submit(self.prepare(request, default_limit=None))
        try:
            while True:
                for owner, delta in self.step():
                    if owner == handle:
                        yield delta
                        if isinstance(delta, Finish):
                            return
        finally:
            self.cancel(handle)

    def close(self) -> None:
        self._running.clear()
        self._waiting.clear()
        self._cached.clear()
        self._faults.closing.set()
        if self._faults.close_gate is not None:
            self._faults.close_gate.wait(60)
        self.closed = True
        if self._faults.close_fails:
            raise RuntimeError("cannot let go")

    def _check(self) -> None:
        assert threading.get_ident() == self._thread, "called from another thread"
        if self.closed:
            raise MlxkError(ErrorKind.OPERATION, "The model was closed.")

    def _pause(self) -> None:
        faults = self._faults
        self._steps += 1
        if faults.gate is not None:
            faults.gate.wait(60)
        if self._steps == faults.pause_at:
            faults.paused.set()
            faults.resume.wait(60)

    def _say(self, handle: int) -> list[Delta]:
        running = self._running[handle]
        words, limit = running.prepared.words, running.prepared.max_tokens
        word = words[running.said]
        if word in (BLOCK, DIE, FAIL):
            self._fault(word)
        running.said += 1
        deltas: list[Delta] = [TextDelta(word + " ")]
        if running.said in (len(words), limit):
            reason = FinishReason.STOP if running.said == len(words) else FinishReason.LENGTH
            deltas.append(Finish(reason, running.usage()))
            del self._running[handle]
            self._cached.append(KV_BYTES * running.tokens())
            self.trim_prompt_cache(self._cache_limit)
        return deltas

    def _fault(self, word: str) -> None:
        match word:
            case "BLOCK":
                self._faults.blocked.set()
                self._faults.release.wait(60)
            case "DIE":
                raise SystemError("the device is gone")
            case "FAIL":
                self._running.clear()
                self._waiting.clear()
                raise MlxkError(ErrorKind.INSUFFICIENT_MEMORY, "The model failed while generating: no memory")


@dataclass
class MemoryEngineRuntime:
    """Loads memory engines; keeps every one it has loaded.

    Attributes:
        before: called with the path before each load, on the loading thread; may block or raise.
    """

    make: Callable[[], MemoryEngine] = MemoryEngine
    before: Callable[[Path], object] | None = None
    loaded: list[tuple[str, MemoryEngine]] = field(default_factory=list)

    def load(self, path: Path) -> MemoryEngine:
        if self.before is not None:
            self.before(path)
        engine = self.make()
        self.loaded.append((str(path), engine))
        return engine


def says(words: str, **settings: object) -> GenerationRequest:
    """A request whose answer will be these words."""
    return GenerationRequest(Prompt(words), **settings)  # type: ignore[arg-type]


def _words(request: GenerationRequest) -> list[str]:
    if isinstance(request.prompt, Prompt):
        return request.prompt.text.split()
    return request.prompt[-1].content.split()
