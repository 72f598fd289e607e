"""One budget of bytes: what begins, what waits, what is let go."""

import asyncio
import threading

import pytest

from mlxk.domain.errors import ErrorKind, MlxkError
from tests.memory_engine import KV_BYTES, says
from tests.unit.app.server.serving import WEIGHTS, ask, rig, until, work


def room(tokens: int, models: int = 1) -> int:
    return models * WEIGHTS + tokens * KV_BYTES


def test_a_request_that_can_never_fit_is_refused() -> None:
    async def run() -> None:
        async with rig(memory_budget=room(20)) as r:
            for request in (says("w " * 21, max_tokens=1), says("w", max_tokens=20)):
                with pytest.raises(MlxkError) as caught:
                    await ask(r.service, work(request))
                assert caught.value.kind is ErrorKind.INSUFFICIENT_MEMORY
            assert len(await ask(r.service, work(says("a b", max_tokens=18)))) == 1

    asyncio.run(run())


def test_what_does_not_fit_beside_what_runs_waits_for_it() -> None:
    async def run() -> None:
        async with rig(memory_budget=room(20)) as r:
            r.faults.gate = threading.Event()
            request = says("a b c d", max_tokens=8)
            tasks = [asyncio.create_task(ask(r.service, work(request))) for _ in range(3)]
            await until(lambda: r.service.state().active == 1 and r.service.state().waiting == 2)
            r.faults.gate.set()
            await asyncio.gather(*tasks)
            assert r.engines[0][1].most_at_once == 1

    asyncio.run(run())


def test_prompt_caches_are_let_go_before_a_request_waits() -> None:
    async def run() -> None:
        async with rig(memory_budget=room(20)) as r:
            await ask(r.service, work(says("a b c d e f g h", max_tokens=8)))
            assert r.service.state().models[0].prompt_cache_bytes == 16 * KV_BYTES
            await ask(r.service, work(says("i j", max_tokens=10)))
            assert r.service.state().models[0].prompt_cache_bytes <= 8 * KV_BYTES

    asyncio.run(run())


def test_an_idle_model_goes_when_a_request_to_another_needs_its_place() -> None:
    async def run() -> None:
        async with rig("org/a", "org/b", memory_budget=room(20, models=2)) as r:
            await r.service.load("org/a")
            await ask(r.service, work(says("w", max_tokens=30), model="org/b"))
            assert r.warm() == ["org/b"]

    asyncio.run(run())


def test_the_youngest_generation_ends_when_the_running_ones_outgrow_the_budget() -> None:
    # Without a length asked for, only the first 512 tokens of an answer have a place from the beginning.
    async def run() -> None:
        async with rig(memory_budget=room(9100), max_tokens=8000, context_length=9000) as r:
            r.faults.pause_at = 2000
            r.faults.gate = threading.Event()
            older = asyncio.create_task(ask(r.service, work(says("w " * 4000))))
            await until(lambda: r.service.state().active == 1)
            younger = asyncio.create_task(ask(r.service, work(says("w " * 4000))))
            await until(lambda: r.service.state().active == 2)
            r.faults.gate.set()
            await until(r.faults.paused.is_set)
            r.service.check()
            r.faults.resume.set()
            assert (await older)[0].finish.usage.completion_tokens == 4000
            with pytest.raises(MlxkError, match="outgrew") as caught:
                await younger
            assert caught.value.kind is ErrorKind.MODELS_BUSY
            assert caught.value.retry_after

    asyncio.run(run())


def test_a_generation_that_outgrows_the_budget_with_nothing_beside_it_can_never_fit() -> None:
    async def run() -> None:
        async with rig(memory_budget=room(5000), max_tokens=8000, context_length=9000) as r:
            r.faults.pause_at = 3000
            alone = asyncio.create_task(ask(r.service, work(says("w " * 4000))))
            await until(r.faults.paused.is_set)
            r.service.check()
            r.faults.resume.set()
            with pytest.raises(MlxkError, match="outgrew") as caught:
                await alone
            assert caught.value.kind is ErrorKind.INSUFFICIENT_MEMORY

    asyncio.run(run())


def test_two_busy_models_without_room_for_either_do_not_wait_for_ever() -> None:
    async def run() -> None:
        async with rig("org/a", "org/b", memory_budget=room(5, models=2), load_wait=60) as r:
            tasks = [
                asyncio.create_task(ask(r.service, work(says("w", max_tokens=9), model=name)))
                for name in ("org/a", "org/b")
            ]

            def one_is_done() -> bool:
                r.pass_time(61)
                return any(task.done() for task in tasks)

            await until(one_is_done)
            done = await asyncio.gather(*tasks, return_exceptions=True)
            refused = [error for error in done if isinstance(error, MlxkError)]
            assert all(error.kind is ErrorKind.MODELS_BUSY for error in refused)
            assert len(refused) < 2
            assert r.service.state().waiting == 0

    asyncio.run(run())
