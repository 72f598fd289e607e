"""Works answered side by side as if they were one; a request of several prompts is that."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias

from mlxk.app.server.service import Answering, Service
from mlxk.app.server.work import Work
from mlxk.domain.generation import Delta

__all__ = ["answer_all"]

_Batches: TypeAlias = "asyncio.Queue[Sequence[tuple[int, Delta]] | Exception | None]"
"""None: one answering has ended."""


@asynccontextmanager
async def answer_all(service: Service, works: Sequence[Work]) -> AsyncIterator[Answering]:
    """Admit all works, in order; the choices of each follow those of the one before.

    Raises:
        MlxkError: as `Service.answer`; works that were admitted before are cancelled.
    """
    async with AsyncExitStack() as admitted:
        answerings = [await admitted.enter_async_context(service.answer(work)) for work in works]
        if len(answerings) == 1:
            yield answerings[0]
        else:
            yield _Several(tuple(answerings), tuple(len(work.requests) for work in works))


@dataclass(frozen=True, slots=True)
class _Several:
    """Answerings merged as their deltas come."""

    answerings: tuple[Answering, ...]
    choices: tuple[int, ...]

    @property
    def model(self) -> str:
        """The model's full name."""
        return self.answerings[0].model

    @property
    def prompt_tokens(self) -> int:
        """Tokens of all prompts."""
        return sum(answering.prompt_tokens for answering in self.answerings)

    async def __aiter__(self) -> AsyncIterator[Sequence[tuple[int, Delta]]]:
        """The deltas of all of them, each with its choice."""
        batches: _Batches = asyncio.Queue(maxsize=1)
        offsets = [sum(self.choices[:place]) for place in range(len(self.choices))]
        tasks = [
            asyncio.ensure_future(_forward(answering, offset, batches))
            for answering, offset in zip(self.answerings, offsets, strict=True)
        ]
        try:
            running = len(tasks)
            while running:
                batch = await batches.get()
                if isinstance(batch, Exception):
                    raise batch
                if batch is None:
                    running -= 1
                else:
                    yield batch
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _forward(answering: Answering, offset: int, batches: _Batches) -> None:
    end = None
    try:
        async for batch in answering:
            await batches.put([(offset + index, delta) for index, delta in batch])
    except Exception as error:  # noqa: BLE001 - raised where the batches are read
        end = error
    await batches.put(end)
