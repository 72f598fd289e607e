"""The service over tiny real models on real MLX."""

import asyncio
import json
import random
import shutil
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mlxk.adapters.bundled import BundledModels
from mlxk.adapters.hf_cache import HuggingFaceCache
from mlxk.adapters.host import ThisMachine
from mlxk.adapters.runtimes.text import MlxTextRuntime
from mlxk.adapters.snapshot_facts import SnapshotReader
from mlxk.adapters.workspace_integrity import DiskIntegrity
from mlxk.adapters.workspaces import WorkspaceHome
from mlxk.app.catalog import Catalog
from mlxk.app.inspection import Inspector
from mlxk.app.server.engine.limits import ServiceLimits
from mlxk.app.server.engine.text_service import TextService
from mlxk.app.server.work import Work
from mlxk.domain.errors import ErrorKind, MlxkError
from mlxk.domain.generation import Answer, Delta, Finish, GenerationRequest, collect
from tests.contract.runtimes.asking import ask as ask_alone
from tests.contract.runtimes.asking import chat
from tests.contract.runtimes.conftest import models
from tests.contract.tiny_models import CHATS

__all__ = ["models"]

PATIENCE = 120.0


@asynccontextmanager
async def serving(tmp_path: Path, **limits: object) -> AsyncGenerator[TextService, None]:
    host = ThisMachine(tmp_path / "remembered")
    catalog = Catalog(
        HuggingFaceCache(tmp_path / "hub"), WorkspaceHome(None, DiskIntegrity()), BundledModels()
    )
    service = TextService(
        catalog,
        Inspector(SnapshotReader(), host),
        host,
        MlxTextRuntime(),
        ServiceLimits(**limits),  # type: ignore[arg-type]
    )
    service.start()
    try:
        async with asyncio.timeout(PATIENCE):
            yield service
    finally:
        await service.shutdown(0)


async def ask(service: TextService, model: str, request: GenerationRequest) -> Answer:
    deltas: list[Delta] = []
    async with service.answer(Work(model, (request,))) as answering:
        async for batch in answering:
            deltas.extend(delta for _, delta in batch)
    return collect(deltas)


async def leave(service: TextService, model: str, request: GenerationRequest, after: int) -> None:
    """Hang up after so many batches of deltas, or before the first."""
    async with service.answer(Work(model, (request,))) as answering:
        batches = aiter(answering)
        for _ in range(after):
            batch = await anext(batches)
            if isinstance(batch[-1][1], Finish):
                return


def test_every_answer_among_many_is_the_one_the_model_gives_alone(
    models: Callable[[str], Path], tmp_path: Path
) -> None:
    chance = random.Random(7)
    asked = [
        chat(exchange.user, thinking=exchange.thinking, max_tokens=chance.choice([1, 3, 8, None]))
        for exchange in chance.choices([each for each in CHATS if not each.with_tools], k=64)
    ]
    path = models("overfitted")
    engine = MlxTextRuntime().load(path)
    alone = [ask_alone(engine, request) for request in asked]
    engine.close()

    async def run() -> list[Answer | None]:
        async with serving(tmp_path, queue=64) as service:
            name = (await service.preload(str(path))).id
            stays = [chance.random() > 1 / 3 for _ in asked]
            found = await asyncio.gather(
                *[
                    ask(service, name, request)
                    if stay
                    else leave(service, name, request, after=chance.randrange(3))
                    for request, stay in zip(asked, stays, strict=True)
                ]
            )
            while service.state().active or service.state().waiting:
                await asyncio.sleep(0.01)
            (state,) = service.state().models
            assert state.running_bytes == 0
            return found

    answers = asyncio.run(run())
    finished = [(answer, own) for answer, own in zip(answers, alone, strict=True) if answer is not None]
    assert len(finished) > 30
    for answer, own in finished:
        assert (answer.text, answer.reasoning) == (own.text, own.reasoning)
        assert answer.finish.reason is own.finish.reason
        assert answer.finish.usage.completion_tokens == own.finish.usage.completion_tokens


def test_two_real_models_that_do_not_fit_together_take_turns(
    models: Callable[[str], Path], tmp_path: Path
) -> None:
    async def run() -> None:
        async with serving(tmp_path, max_models=1) as service:
            one = (await service.preload(str(models("overfitted")))).id
            two = (await service.preload(str(models("llama")))).id
            for name in (one, two, one):
                await ask(service, name, chat("Count.", max_tokens=3))
                assert [model.id for model in service.state().models] == [name]

    asyncio.run(run())


def test_a_prompt_over_the_context_is_refused_and_the_next_request_works(
    models: Callable[[str], Path], tmp_path: Path
) -> None:
    async def run() -> None:
        async with serving(tmp_path) as service:
            name = (await service.preload(str(models("overfitted")))).id
            with pytest.raises(MlxkError, match="512") as caught:
                await ask(service, name, chat("word " * 600))
            assert caught.value.kind is ErrorKind.VALIDATION
            answer = await ask(service, name, chat("Count."))
            assert answer.text == "one two three four five six seven eight nine ten"

    asyncio.run(run())


def test_a_model_that_does_not_load_is_called_by_its_name_and_not_by_its_path(
    models: Callable[[str], Path], tmp_path: Path
) -> None:
    path = Path(shutil.copytree(models("llama"), tmp_path / "mine"))
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | {"hidden_size": 2 * config["hidden_size"]}))

    async def run() -> None:
        async with serving(tmp_path) as service:
            with pytest.raises(MlxkError, match=r"^Model 'mine' cannot be loaded") as caught:
                await service.preload(str(path))
            assert caught.value.kind is ErrorKind.OPERATION
            assert caught.value.hint
            assert "mlxk health mine " in caught.value.hint
            assert str(path) not in f"{caught.value.message} {caught.value.hint}"

    asyncio.run(run())


def test_a_preloaded_model_whose_link_is_gone_is_unloaded(
    models: Callable[[str], Path], tmp_path: Path
) -> None:
    link = tmp_path / "mine"
    link.symlink_to(models("llama"))

    async def run() -> None:
        async with serving(tmp_path) as service:
            await service.preload(str(link))
            link.unlink()
            assert not (await service.unload("mine")).loaded
            assert not service.state().models

    asyncio.run(run())
