"""Threads that die or do not come back: noticed, told, and replaced."""

import asyncio
import threading

import pytest

from mlxk.domain.errors import ErrorKind, MlxkError
from tests.memory_engine import BLOCK, BLOCK_PROMPT, DIE, says
from tests.unit.app.server.serving import WEIGHTS, Rig, ask, rig, until, work


async def lost(task: "asyncio.Task[object]") -> MlxkError:
    with pytest.raises(MlxkError) as caught:
        await task
    assert caught.value.kind is ErrorKind.RUNTIME_LOST
    assert caught.value.retry_after
    return caught.value


async def block(r: Rig, others: int) -> "list[asyncio.Task[object]]":
    """A generation that blocks the thread in a step, and more that run or wait besides."""

    def start(words: str) -> "asyncio.Task[object]":
        return asyncio.create_task(ask(r.service, work(says(words, max_tokens=9))))

    tasks = [start(f"a {BLOCK} b")]
    await until(r.faults.blocked.is_set)
    tasks += [start("a b c d") for _ in range(others)]
    await until(lambda: r.service.state().active + r.service.state().waiting == 1 + others)
    return tasks


def test_a_dead_thread_fails_all_who_wait_and_the_next_request_loads_anew() -> None:
    async def run() -> None:
        async with rig(max_batch=2) as r:
            tasks: list[asyncio.Task[object]] = [
                asyncio.create_task(ask(r.service, work(says(f"a b {DIE}")))) for _ in range(6)
            ]
            for task in tasks:
                assert "SystemError" in (await lost(task)).message
            state = r.service.state()
            assert "SystemError" in (state.lost or "")
            assert (state.models, state.active, state.waiting) == ((), 0, 0)
            assert [a.text for a in await ask(r.service, work(says("back again")))] == ["back again "]
            assert r.service.state().lost is None
            assert r.engines[0][1].closed, "a dead model leaves the memory"

    asyncio.run(run())


def test_a_stuck_thread_fails_all_who_wait_and_the_next_request_loads_anew() -> None:
    async def run() -> None:
        async with rig(max_batch=2, step_limit=10) as r:
            tasks = await block(r, others=5)
            r.pass_time(9)
            assert r.service.state().lost is None
            r.pass_time(60)
            for task in tasks:
                assert "stuck" in (await lost(task)).message
            state = r.service.state()
            assert "org/a" in (state.lost or "")
            assert (state.models, state.active, state.waiting) == ((), 0, 0)
            assert [a.text for a in await ask(r.service, work(says("back")))] == ["back "]
            assert r.service.state().lost is None
            assert r.service.state().left_behind == 1
            r.faults.release.set()
            await until(lambda: r.engines[0][1].closed)
            await until(lambda: r.service.state().left_behind == 0)
            assert [a.text for a in await ask(r.service, work(says("still")))] == ["still "]
            assert len(r.engines) == 2

    asyncio.run(run())


def test_a_failed_reload_leaves_the_server_unwell() -> None:
    async def run() -> None:
        async with rig() as r:
            await lost(asyncio.create_task(ask(r.service, work(says(DIE)))))

            def fail(_: object) -> None:
                raise MlxkError(ErrorKind.OPERATION, "The disk is gone.")

            r.runtime.before = fail
            with pytest.raises(MlxkError, match="disk"):
                await ask(r.service, work(says("a")))
            assert r.service.state().lost is not None
            await r.service.unload("org/a")
            assert r.service.state().lost is None

    asyncio.run(run())


def test_the_memory_of_a_stuck_model_counts_until_its_thread_comes_back() -> None:
    async def run() -> None:
        async with rig(step_limit=10, memory_budget=2 * WEIGHTS - 1) as r:
            (task,) = await block(r, others=0)
            r.pass_time(100)
            await lost(task)
            again = asyncio.create_task(ask(r.service, work(says("back", max_tokens=9))))
            await until(lambda: r.service.state().waiting == 1)
            assert len(r.engines) == 1
            assert r.service.state().lost is not None
            r.faults.release.set()
            assert [a.text for a in await again] == ["back "]
            assert r.service.state().lost is None

    asyncio.run(run())


def test_other_models_go_on() -> None:
    async def run() -> None:
        async with rig("org/a", "org/b", step_limit=10) as r:
            (task,) = await block(r, others=0)
            assert len(await ask(r.service, work(says("fine"), model="org/b"))) == 1
            r.pass_time(100)
            await lost(task)
            assert r.warm() == ["org/b"]
            assert len(await ask(r.service, work(says("fine"), model="org/b"))) == 1
            assert "org/a" in (r.service.state().lost or "")

    asyncio.run(run())


def test_a_load_that_never_ends_is_noticed() -> None:
    async def run() -> None:
        async with rig(step_limit=10) as r:
            gate = threading.Event()
            r.runtime.before = lambda _: gate.wait(60)
            task: asyncio.Task[object] = asyncio.create_task(ask(r.service, work(says("a"))))
            await until(lambda: r.service.state().waiting == 1)
            await until(lambda: bool([t for t in threading.enumerate() if t.name == "mlxk-model-org/a"]))
            r.pass_time(1000)
            await lost(task)
            r.runtime.before = None
            assert len(await ask(r.service, work(says("a")))) == 1
            gate.set()
            await until(lambda: len(r.engines) == 2 and r.engines[1][1].closed)

    asyncio.run(run())


def test_a_prompt_that_is_never_rendered_stalls_no_batch_and_is_noticed() -> None:
    async def run() -> None:
        async with rig(step_limit=10) as r:
            gate = r.faults.gate = threading.Event()
            async with r.service.answer(work(says("w w w"))) as answering:
                stuck: asyncio.Task[object] = asyncio.create_task(ask(r.service, work(says(BLOCK_PROMPT))))
                await until(r.faults.blocked.is_set)
                gate.set()
                assert [delta async for batch in answering for delta in batch]
            r.pass_time(100)
            assert "rendering a prompt" in (await lost(stuck)).message
            r.faults.release.set()
            assert len(await ask(r.service, work(says("a")))) == 1

    asyncio.run(run())


def test_an_idle_model_is_not_stuck() -> None:
    async def run() -> None:
        async with rig(step_limit=10) as r:
            await ask(r.service, work(says("a"), stay=float("inf")))
            r.pass_time(1e6)
            assert r.service.state().lost is None
            assert len(await ask(r.service, work(says("a")))) == 1

    asyncio.run(run())


def test_a_close_that_never_ends_is_noticed_and_left_behind() -> None:
    async def run() -> None:
        async with rig("org/a", "org/b", step_limit=10) as r:
            gate = r.faults.close_gate = threading.Event()
            await ask(r.service, work(says("x")))
            unloading: asyncio.Task[object] = asyncio.create_task(r.service.unload("org/a"))
            await until(r.faults.closing.is_set)
            r.pass_time(9)
            assert not unloading.done()
            r.pass_time(10)
            assert "closing" in (await lost(unloading)).message
            assert (r.service.state().left_behind, r.service.state().lost) == (1, None)
            assert len(await ask(r.service, work(says("x"), model="org/b"))) == 1
            assert len(await ask(r.service, work(says("x")))) == 1
            gate.set()
            await until(lambda: r.service.state().left_behind == 0)

    asyncio.run(run())


def test_a_server_that_cannot_look_after_its_models_says_so() -> None:
    async def run() -> None:
        async with rig() as r:
            r.service.start()
            r.clock.broken = True
            await until(lambda: "checks" in (r.service.state().lost or ""))
            r.clock.broken = False
            await until(lambda: r.service.state().lost is None)

    asyncio.run(run())
