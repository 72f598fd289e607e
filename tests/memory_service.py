"""A service without models: answers are scripted, and what happens to them is recorded."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from mlxk.app.server.service import Answering
from mlxk.app.server.work import LoadedModelState, ServedModel, ServerState, Work
from mlxk.domain.errors import MlxkError, ModelNotFound
from mlxk.domain.generation import Delta, Finish, FinishReason, TextDelta, Usage
from mlxk.domain.keep_alive import KeepAlive

MODEL = "mlx-community/tiny"
PROMPT_TOKENS = 7

Script = Callable[[Work], Sequence[tuple[int, Delta]]]


def finish(reason: FinishReason = FinishReason.STOP, completion: int = 3, cached: int = 0) -> Finish:
    return Finish(reason, Usage(PROMPT_TOKENS, completion, cached))


def saying(*texts: str) -> Script:
    """Every choice says the same texts, token by token, side by side."""

    def script(work: Work) -> Sequence[tuple[int, Delta]]:
        choices = range(len(work.requests))
        said: list[tuple[int, Delta]] = [(index, TextDelta(text)) for text in texts for index in choices]
        return [*said, *((index, finish(completion=len(texts) + 1)) for index in choices)]

    return script


@dataclass(slots=True)
class MemoryAnswering:
    """Gives its script, one delta a batch, then fails or hangs if it was told to."""

    model: str
    prompt_tokens: int
    script: Sequence[tuple[int, Delta]]
    failure: Exception | None = None
    hangs: bool = False

    async def __aiter__(self) -> AsyncIterator[Sequence[tuple[int, Delta]]]:
        for index, delta in self.script:
            await asyncio.sleep(0)
            yield [(index, delta)]
        if self.hangs:
            await asyncio.Event().wait()
        if self.failure is not None:
            raise self.failure


@dataclass(slots=True)
class MemoryService:
    """Answers by a script.

    Attributes:
        refusal: raised instead of admitting work.
        failure: raised after the script.
        hangs: answers never end after the script.
        admission_hangs: work is never admitted.
        works: what was asked for.
        left: how many answers were left, finished or not.
    """

    script: Script = field(default_factory=lambda: saying("Hello", " there", "!"))
    refusal: Exception | None = None
    failure: Exception | None = None
    hangs: bool = False
    admission_hangs: bool = False
    lost: str | None = None
    stopping: bool = False
    waiting: int = 0
    loaded: set[str] = field(default_factory=set)
    keep_alives: list[KeepAlive | None] = field(default_factory=list)
    works: list[Work] = field(default_factory=list)
    entered: int = 0
    left: int = 0

    @asynccontextmanager
    async def answer(self, work: Work) -> AsyncIterator[Answering]:
        self.works.append(work)
        if self.refusal is not None:
            raise self.refusal
        self._check(work.model)
        self.entered += 1
        try:
            if self.admission_hangs:
                await asyncio.Event().wait()
            yield MemoryAnswering(
                MODEL, PROMPT_TOKENS * work.prompts, self.script(work), self.failure, self.hangs
            )
        finally:
            await asyncio.sleep(0)
            self.left += 1

    async def models(self) -> Sequence[ServedModel]:
        return [self._served()]

    async def model(self, name: str) -> ServedModel:
        self._check(name)
        return self._served()

    async def load(self, name: str, keep_alive: KeepAlive | None = None) -> ServedModel:
        self._check(name)
        self.keep_alives.append(keep_alive)
        self.loaded.add(MODEL)
        return self._served()

    async def unload(self, name: str) -> ServedModel:
        self._check(name)
        self.loaded.discard(MODEL)
        return self._served()

    async def prompt_tokens(self, work: Work) -> int:
        self._check(work.model)
        return PROMPT_TOKENS

    def state(self) -> ServerState:
        models = [LoadedModelState(MODEL, 100, 10, 1, self.entered - self.left, self.waiting)]
        return ServerState(tuple(models), 64, self.lost, self.stopping)

    def _served(self) -> ServedModel:
        return ServedModel(
            MODEL, 1_700_000_000, "mlx-community", 4096, ("text", "chat"), MODEL in self.loaded
        )

    def _check(self, name: str) -> None:
        if name not in (MODEL, "tiny"):
            raise ModelNotFound(f"No model here answers to '{name}'.", matches=[MODEL])


def refusing(error: MlxkError) -> MemoryService:
    """A service that admits nothing."""
    return MemoryService(refusal=error)
