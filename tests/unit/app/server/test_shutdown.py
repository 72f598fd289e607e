"""Shutting down: answers in progress may finish, for a while."""

import asyncio
import threading

import pytest

from mlxk.app.server.work import Work
from mlxk.domain.errors import ErrorKind, MlxkError
from tests.memory_engine import BLOCK, says
from tests.unit.app.server.serving import ask, rig, until, work


async def refused(waiting: "asyncio.Task[object]") -> None:
    with pytest.raises(MlxkError) as caught:
        await waiting
    assert caught.value.kind is ErrorKind.SERVER_SHUTDOWN


def test_running_answers_finish_and_those_that_wait_are_refused() -> None:
    async def run() -> None:
        async with rig("org/a", "org/b", max_batch=1, max_models=1) as r:
            r.faults.gate = threading.Event()
            running = [asyncio.create_task(ask(r.service, work(says("a b c")))) for _ in range(2)]
            await until(lambda: r.service.state().active == 2)
            asked = [work(says("x")), work(says("x"), model="org/b")]
            waiting: list[asyncio.Task[object]] = [asyncio.create_task(ask(r.service, w)) for w in asked]
            await until(lambda: r.service.state().waiting == 2)
            stopping = asyncio.create_task(r.service.shutdown(60))
            for task in waiting:
                await refused(task)
            assert r.service.state().stopping
            await refused(asyncio.create_task(ask(r.service, work(says("late")))))
            r.faults.gate.set()
            assert [(await task)[0].text for task in running] == ["a b c "] * 2
            await stopping
            assert r.engines[0][1].closed
            assert r.warm() == []
            await r.service.shutdown(60)

    asyncio.run(run())


def test_all_prompts_of_a_request_that_has_begun_are_answered() -> None:
    async def run() -> None:
        async with rig(max_batch=1) as r:
            r.faults.gate = threading.Event()
            several = Work("org/a", tuple(says(word) for word in "abcdef"), prompts=6)
            task = asyncio.create_task(ask(r.service, several))
            await until(lambda: r.service.state().active > 0)
            stopping = asyncio.create_task(r.service.shutdown(60))
            await until(lambda: r.service.state().stopping)
            r.faults.gate.set()
            assert [answer.text for answer in await task] == ["a ", "b ", "c ", "d ", "e ", "f "]
            await stopping

    asyncio.run(run())


def test_answers_that_outlast_the_grace_period_are_ended() -> None:
    async def run() -> None:
        async with rig() as r:
            r.faults.gate = threading.Event()
            task: asyncio.Task[object] = asyncio.create_task(ask(r.service, work(says("a b c"))))
            await until(lambda: r.service.state().active == 1)
            stopping = asyncio.create_task(r.service.shutdown(0))
            await refused(task)
            r.faults.gate.set()
            await stopping
            await until(lambda: r.engines[0][1].closed)

    asyncio.run(run())


def test_a_thread_that_does_not_come_back_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlxk.app.server.engine.text_service._CLOSE_SECONDS", 0.05)

    async def run() -> None:
        async with rig() as r:
            task: asyncio.Task[object] = asyncio.create_task(ask(r.service, work(says(f"a {BLOCK}"))))
            await until(r.faults.blocked.is_set)
            await r.service.shutdown(0)
            await refused(task)
            assert not r.engines[0][1].closed

    asyncio.run(run())


def test_a_service_that_loaded_nothing_shuts_down() -> None:
    async def run() -> None:
        async with rig() as r:
            r.service.start()
            await r.service.shutdown(60)
            await r.service.shutdown(60)

    asyncio.run(run())
