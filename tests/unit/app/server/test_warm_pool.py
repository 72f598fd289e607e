"""Which models are in memory, over the service."""

import asyncio
import threading
from pathlib import Path

import pytest

from mlxk.app.server.engine.limits import ServiceLimits
from mlxk.domain.errors import ErrorKind, MlxkError, ModelNotFound
from mlxk.domain.keep_alive import KeepAlive
from tests.memory_engine import says
from tests.unit.app.server.serving import WEIGHTS, ask, rig, until, work


def test_a_server_keeps_at_least_one_model() -> None:
    with pytest.raises(ValueError, match="max_models"):
        ServiceLimits(max_models=0)


def test_many_who_come_at_once_load_once() -> None:
    async def run() -> None:
        async with rig() as r:
            await asyncio.gather(*[ask(r.service, work(says("a"))) for _ in range(30)])
            assert r.loaded() == ["org/a"]

    asyncio.run(run())


def test_a_failed_load_is_told_to_all_who_wait_and_not_remembered() -> None:
    async def run() -> None:
        async with rig() as r:
            gate = threading.Event()

            def fail(_: Path) -> None:
                assert gate.wait(60)
                raise MlxkError(ErrorKind.OPERATION, "The weights do not fit.")

            r.runtime.before = fail
            tasks = [asyncio.create_task(ask(r.service, work(says("a")))) for _ in range(5)]
            await until(lambda: r.service.state().waiting == 5)
            gate.set()
            failures = await asyncio.gather(*tasks, return_exceptions=True)
            assert {str(failure) for failure in failures} == {"The weights do not fit."}
            assert r.service.state().lost is None
            r.runtime.before = None
            await ask(r.service, work(says("a")))
            assert r.warm() == ["org/a"]

    asyncio.run(run())


def test_an_unforeseen_failure_of_a_load_names_the_model_and_tells_no_more() -> None:
    async def run() -> None:
        async with rig() as r:

            def fail(path: Path) -> None:
                raise ZeroDivisionError(str(path))

            r.runtime.before = fail
            with pytest.raises(MlxkError, match=r"^Model 'org/a' cannot be loaded \(ZeroDivisionError\).$"):
                await r.service.load("org/a")

    asyncio.run(run())


def test_a_client_that_leaves_during_a_load_does_not_end_it_for_others() -> None:
    async def run() -> None:
        async with rig() as r:
            gate = threading.Event()
            r.runtime.before = lambda _: gate.wait(60)
            leaves, stays = (asyncio.create_task(ask(r.service, work(says("a")))) for _ in range(2))
            await until(lambda: r.service.state().waiting == 2)
            leaves.cancel()
            await asyncio.wait([leaves])
            gate.set()
            assert len(await stays) == 1
            assert r.loaded() == ["org/a"]

    asyncio.run(run())


def test_the_least_recently_used_model_goes_and_a_hit_makes_most_recent() -> None:
    async def run() -> None:
        async with rig("org/a", "org/b", "org/c", max_models=2) as r:
            for name in ("org/a", "org/b", "org/a", "org/c"):
                r.clock.now += 1
                await ask(r.service, work(says("x"), model=name))
            assert sorted(r.warm()) == ["org/a", "org/c"]
            assert [engine.closed for _, engine in r.engines] == [False, True, False]

    asyncio.run(run())


def test_models_that_do_not_fit_together_take_turns() -> None:
    async def run() -> None:
        async with rig("org/a", "org/b", memory_budget=WEIGHTS + 500) as r:
            for name in ("org/a", "org/b", "org/a"):
                await ask(r.service, work(says("x", max_tokens=9), model=name))
                assert r.warm() == [name]
            assert r.loaded() == ["org/a", "org/b", "org/a"]

    asyncio.run(run())


def test_a_model_that_exceeds_the_budget_is_refused() -> None:
    async def run() -> None:
        async with rig(memory_budget=WEIGHTS - 1) as r:
            with pytest.raises(MlxkError, match="org/a") as caught:
                await ask(r.service, work(says("x")))
            assert caught.value.kind is ErrorKind.INSUFFICIENT_MEMORY

    asyncio.run(run())


def test_a_busy_model_is_waited_for_and_not_evicted() -> None:
    async def run() -> None:
        async with rig("org/a", "org/b", max_models=1) as r:
            r.faults.gate = threading.Event()
            first = asyncio.create_task(ask(r.service, work(says("a b c"))))
            await until(lambda: r.service.state().active == 1)
            second = asyncio.create_task(ask(r.service, work(says("x"), model="org/b")))
            await until(lambda: r.service.state().waiting == 1)
            assert r.warm() == ["org/a"]
            r.faults.gate.set()
            assert (await first)[0].text == "a b c "
            assert (await second)[0].text == "x "
            assert r.warm() == ["org/b"]

    asyncio.run(run())


def test_waiting_for_room_has_an_end() -> None:
    async def run() -> None:
        async with rig("org/a", "org/b", max_models=1, load_wait=60) as r:
            r.faults.gate = threading.Event()
            first = asyncio.create_task(ask(r.service, work(says("a"))))
            await until(lambda: r.service.state().active == 1)
            second = asyncio.create_task(ask(r.service, work(says("x"), model="org/b")))
            await until(lambda: r.service.state().waiting == 1)
            r.pass_time(61)
            with pytest.raises(MlxkError, match="org/b") as caught:
                await second
            assert caught.value.kind is ErrorKind.MODELS_BUSY
            assert caught.value.retry_after
            r.faults.gate.set()
            await first

    asyncio.run(run())


def test_a_steady_stream_of_requests_for_one_model_does_not_keep_another_out() -> None:
    async def run() -> None:
        async with rig("org/a", "org/b", max_models=1, load_wait=60) as r:
            r.faults.gate = threading.Event()
            first = asyncio.create_task(ask(r.service, work(says("a"))))
            await until(lambda: r.service.state().active == 1)
            second = asyncio.create_task(ask(r.service, work(says("x"), model="org/b")))
            await until(lambda: r.service.state().waiting == 1)
            r.pass_time(20)
            third = asyncio.create_task(ask(r.service, work(says("y"))))
            await until(lambda: r.service.state().waiting == 2)
            r.faults.gate.set()
            await asyncio.gather(first, second, third)
            assert r.loaded() == ["org/a", "org/b", "org/a"]

    asyncio.run(run())


@pytest.mark.parametrize(("stay", "gone_after"), [(None, 300), (0, 0), (20, 20)])
def test_an_idle_model_goes_after_its_keep_alive(stay: float | None, gone_after: float) -> None:
    async def run() -> None:
        async with rig() as r:
            await ask(r.service, work(says("x"), stay=stay))
            if gone_after:
                r.pass_time(gone_after - 1)
                assert r.warm() == ["org/a"]
            r.pass_time(1)
            await until(lambda: r.engines[0][1].closed)
            assert r.warm() == []

    asyncio.run(run())


def test_a_model_may_stay_for_ever() -> None:
    async def run() -> None:
        async with rig() as r:
            await r.service.load("org/a", KeepAlive(float("inf")))
            r.pass_time(1e9)
            assert r.warm() == ["org/a"]

    asyncio.run(run())


def test_a_preloaded_model_stays_until_its_place_is_needed() -> None:
    async def run() -> None:
        async with rig("org/a", "org/b", max_models=1) as r:
            await r.service.preload("org/a")
            await ask(r.service, work(says("x")))
            r.pass_time(1e9)
            assert r.warm() == ["org/a"]
            await ask(r.service, work(says("x"), model="org/b"))
            assert r.warm() == ["org/b"]
            await ask(r.service, work(says("x")))
            r.pass_time(1e9)
            assert r.warm() == ["org/a"]

    asyncio.run(run())


def test_a_preloaded_model_goes_after_the_time_that_was_asked_for() -> None:
    async def run() -> None:
        async with rig(keep_alive_preloaded=KeepAlive(20)) as r:
            await r.service.preload("org/a")
            r.pass_time(19)
            assert r.warm() == ["org/a"]
            r.pass_time(1)
            assert r.warm() == []

    asyncio.run(run())


def test_a_keep_alive_holds_until_a_request_has_another() -> None:
    async def run() -> None:
        async with rig() as r:
            await r.service.load("org/a", KeepAlive(1000))
            await ask(r.service, work(says("x")))
            r.pass_time(999)
            assert r.warm() == ["org/a"]
            await ask(r.service, work(says("x"), stay=5))
            r.pass_time(5)
            assert r.warm() == []
            await ask(r.service, work(says("x")))
            r.pass_time(299)
            assert r.warm() == ["org/a"]

    asyncio.run(run())


def test_a_model_is_not_loaded_into_the_place_that_an_answer_has_reserved() -> None:
    async def run() -> None:
        async with rig("org/a", "org/b", memory_budget=2 * WEIGHTS + 1000) as r:
            r.faults.gate = threading.Event()
            first = asyncio.create_task(ask(r.service, work(says("x " * 20, max_tokens=120))))
            await until(lambda: r.service.state().active == 1)
            second = asyncio.create_task(ask(r.service, work(says("x", max_tokens=1), model="org/b")))
            await until(lambda: r.service.state().waiting == 1)
            assert r.loaded() == ["org/a"]
            r.faults.gate.set()
            await asyncio.gather(first, second)
            assert r.loaded() == ["org/a", "org/b"]

    asyncio.run(run())


def test_a_model_that_answers_does_not_expire() -> None:
    async def run() -> None:
        async with rig() as r:
            r.faults.gate = threading.Event()
            task = asyncio.create_task(ask(r.service, work(says("x"), stay=1)))
            await until(lambda: r.service.state().active == 1)
            r.pass_time(100)
            assert r.warm() == ["org/a"]
            r.faults.gate.set()
            await task

    asyncio.run(run())


def test_unloading_drops_an_idle_model_and_refuses_a_busy_one() -> None:
    async def run() -> None:
        async with rig() as r:
            assert not (await r.service.unload("org/a")).loaded
            assert (await r.service.load("org/a")).loaded
            assert not (await r.service.unload("org/a")).loaded
            assert r.engines[0][1].closed
            r.faults.gate = threading.Event()
            task = asyncio.create_task(ask(r.service, work(says("x"))))
            await until(lambda: r.service.state().active == 1)
            with pytest.raises(MlxkError) as caught:
                await r.service.unload("org/a")
            assert caught.value.kind is ErrorKind.MODELS_BUSY
            r.faults.gate.set()
            await task

    asyncio.run(run())


@pytest.mark.parametrize("others", [[], ["org/a-big"], ["org/a-big", "org/a-small"]], ids=len)
def test_a_model_whose_folder_is_gone_is_still_unloaded_by_its_name(others: list[str]) -> None:
    async def run() -> None:
        async with rig("org/a", *others, max_models=3) as r:
            for name in ("org/a", *others):
                await r.service.load(name)
            r.store.remove("org/a")
            r.pass_time(6)
            dropped = await r.service.unload("org/a")
            assert (dropped.id, dropped.loaded) == ("org/a", False)
            assert r.warm() == others
            if not others:
                with pytest.raises(ModelNotFound):
                    await r.service.unload("org/a")

    asyncio.run(run())


def test_a_close_that_fails_breaks_nothing() -> None:
    async def run() -> None:
        async with rig("org/a", "org/b", max_models=1) as r:
            r.faults.close_fails = True
            for name in ("org/a", "org/b", "org/a"):
                assert len(await ask(r.service, work(says("x"), model=name))) == 1
            assert r.service.state().lost is None

    asyncio.run(run())
