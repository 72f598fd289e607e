"""Work in, answers out: what the service gives, refuses and cancels."""

import asyncio
import threading

import pytest

from mlxk.app.server.engine import runtime_thread
from mlxk.app.server.work import Work
from mlxk.domain.errors import AmbiguousMatch, ErrorKind, InvalidInput, MlxkError, ModelNotFound
from mlxk.domain.generation import Finish, FinishReason
from tests.memory_engine import DIE, FAIL, KV_BYTES, says
from tests.unit.app.facts import MLX, facts_of, weights
from tests.unit.app.server.serving import WEIGHTS, Rig, ask, rig, until, work


def test_an_answer_comes_whole_with_its_usage() -> None:
    async def run() -> None:
        async with rig() as r, r.service.answer(work(says("one two three"))) as answering:
            assert (answering.model, answering.prompt_tokens) == ("org/a", 3)
            deltas = [delta async for batch in answering for _, delta in batch]
            assert deltas[-1].usage.completion_tokens == 3  # type: ignore[union-attr]

    asyncio.run(run())


def test_several_prompts_are_one_request() -> None:
    async def run() -> None:
        async with rig(max_batch=1, queue=1) as r:
            r.faults.gate = threading.Event()
            several = Work("org/a", (says("a b"), says("a b"), *[says("c")] * 2, *[says("d")] * 2), prompts=3)
            async with asyncio.timeout(60), r.service.answer(several) as answering:
                assert answering.prompt_tokens == 4
                assert r.service.state().waiting == 0
                r.faults.gate.set()
                last = [
                    choice async for batch in answering for choice, delta in batch if type(delta) is Finish
                ]
            assert sorted(last) == [0, 1, 2, 3, 4, 5]

    asyncio.run(run())


def test_what_can_never_fit_is_refused_though_another_prompt_has_begun() -> None:
    async def run() -> None:
        async with rig(memory_budget=WEIGHTS + 20 * KV_BYTES) as r:
            r.faults.gate = threading.Event()
            several = Work("org/a", (says("a", max_tokens=1), says("w " * 21, max_tokens=1)), prompts=2)
            with pytest.raises(MlxkError) as caught:
                await ask(r.service, several)
            assert caught.value.kind is ErrorKind.INSUFFICIENT_MEMORY
            r.faults.gate.set()
            await until(lambda: r.service.state().active == 0)

    asyncio.run(run())


def test_choices_are_generations_that_run_together() -> None:
    async def run() -> None:
        async with rig() as r:
            answers = await ask(r.service, work(*[says("one two three")] * 3))
            assert [answer.text for answer in answers] == ["one two three "] * 3
            assert len(r.engines) == 1
            assert r.engines[0][1].most_at_once == 3

    asyncio.run(run())


@pytest.mark.parametrize(
    ("requested", "server_wide", "tokens"), [(7, 5, 7), (None, 5, 5), (None, None, 10), (3, None, 3)]
)
def test_an_explicit_limit_wins_over_the_servers_and_that_over_half_the_context(
    requested: int | None, server_wide: int | None, tokens: int
) -> None:
    async def run() -> None:
        async with rig(max_tokens=server_wide, context_length=20) as r:
            (answer,) = await ask(r.service, work(says("w " * 10 + "x", max_tokens=requested)))
            assert answer.finish.usage.completion_tokens == min(tokens, 9)
            assert answer.finish.reason is FinishReason.LENGTH

    asyncio.run(run())


def test_an_idle_model_waits_for_requests_on_their_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_thread, "_GATHERING_SECONDS", 60.0)

    async def run() -> None:
        async with rig() as r:
            await ask(r.service, work(says("one")))
            await asyncio.gather(*[ask(r.service, work(says("one"))) for _ in range(5)])
            assert r.engines[0][1].most_at_once == 5

    asyncio.run(run())


def test_more_than_the_batch_holds_waits_and_all_are_answered() -> None:
    async def run() -> None:
        async with rig(max_batch=3) as r:
            asked = [ask(r.service, work(says(f"{n} " * (n % 7 + 1)))) for n in range(40)]
            answers = await asyncio.gather(*asked)
            assert [answer.text for (answer,) in answers] == [f"{n} " * (n % 7 + 1) for n in range(40)]
            assert r.engines[0][1].most_at_once == 3
            assert r.service.state().waiting == 0
            assert r.service.state().active == 0

    asyncio.run(run())


def test_the_queue_is_bounded_and_drains() -> None:
    async def run() -> None:
        async with rig(max_batch=1, queue=3) as r:
            r.faults.gate = threading.Event()
            tasks = [asyncio.create_task(ask(r.service, work(says("a b")))) for _ in range(2)]
            await until(lambda: r.service.state().active == 2)
            tasks += [asyncio.create_task(ask(r.service, work(says("a b")))) for _ in range(3)]
            await until(lambda: r.service.state().waiting == 3)
            with pytest.raises(MlxkError) as caught:
                await ask(r.service, work(says("a b")))
            assert caught.value.kind is ErrorKind.QUEUE_FULL
            assert caught.value.retry_after
            r.faults.gate.set()
            await asyncio.gather(*tasks)
            assert [a.text for a in await ask(r.service, work(says("a b")))] == ["a b "]

    asyncio.run(run())


def test_leaving_stops_the_generation_and_gives_its_place_back() -> None:
    async def run() -> None:
        async with rig(max_batch=1) as r:
            async with r.service.answer(work(says("word " * 2000))) as answering:
                await anext(aiter(answering))
            (_, engine) = r.engines[0]
            await until(lambda: r.service.state().active == 0)
            assert engine.active == 0
            await ask(r.service, work(says("next")))

    asyncio.run(run())


def test_a_client_that_leaves_the_queue_is_forgotten() -> None:
    async def run() -> None:
        async with rig(max_batch=1) as r:
            r.faults.gate = threading.Event()
            tasks = [asyncio.create_task(ask(r.service, work(says("a")))) for _ in range(2)]
            await until(lambda: r.service.state().active == 2)
            tasks += [asyncio.create_task(ask(r.service, work(says("a")))) for _ in range(2)]
            await until(lambda: r.service.state().waiting == 2)
            for task in tasks[1:]:
                task.cancel()
            await asyncio.wait(tasks[1:])
            assert r.service.state().waiting == 0
            r.faults.gate.set()
            await tasks[0]
            await until(lambda: r.service.state().active == 0)

    asyncio.run(run())


def test_a_slow_client_slows_nobody() -> None:
    async def run() -> None:
        async with rig() as r, r.service.answer(work(says("slow " * 1500, max_tokens=1500))) as slow:
            await ask(r.service, work(says("fast " * 1800, max_tokens=1800)))
            deltas = [delta async for batch in slow for _, delta in batch]
            assert len(deltas) < 600

    asyncio.run(run())


@pytest.mark.parametrize("choices", [1, 3])
def test_a_model_that_fails_fails_what_is_running_and_goes_on(choices: int) -> None:
    async def run() -> None:
        async with rig() as r:
            with pytest.raises(MlxkError) as caught:
                await ask(r.service, work(*[says(f"a b {FAIL}")] * choices))
            assert caught.value.kind is ErrorKind.INSUFFICIENT_MEMORY
            assert [a.text for a in await ask(r.service, work(says("still here")))] == ["still here "]
            assert len(r.engines) == 1
            assert r.service.state().lost is None

    asyncio.run(run())


def test_a_prompt_that_cannot_be_rendered_or_is_too_long_fails_alone() -> None:
    async def run() -> None:
        async with rig(context_length=5) as r:
            for words in ("UNRENDERABLE", "a b c d e"):
                with pytest.raises(InvalidInput):
                    await ask(r.service, work(says(words)))
            assert len(await ask(r.service, work(says("good")))) == 1

    asyncio.run(run())


def test_prompts_are_counted_without_generating() -> None:
    async def run() -> None:
        async with rig() as r:
            assert await r.service.prompt_tokens(work(says(f"one two {DIE}"))) == 3

    asyncio.run(run())


def test_unknown_models_get_close_names_and_paths_are_no_names() -> None:
    async def run() -> None:
        async with rig("org/alpha-chat") as r:
            with pytest.raises(ModelNotFound) as caught:
                await ask(r.service, work(says("a"), model="org/alpha-chta"))
            assert caught.value.matches == ("org/alpha-chat",)
            for path in ("/etc", "./x", "~"):
                with pytest.raises(ModelNotFound, match="not a path"):
                    await r.service.model(path)

    asyncio.run(run())


def test_models_that_are_damaged_or_not_for_text_are_refused_by_name() -> None:
    facts = {
        "org/damaged": facts_of("org/damaged", weights(missing=10), card=MLX),
        "org/embed": facts_of("org/embed", card=MLX, config={"model_type": "bert"}),
    }

    async def refused(r: Rig, model: str) -> MlxkError:
        with pytest.raises(MlxkError, match=model) as caught:
            await ask(r.service, work(says("a"), model=model))
        with pytest.raises(MlxkError) as shown:
            await r.service.model(model)
        assert shown.value.message == caught.value.message
        return caught.value

    async def run() -> None:
        async with rig(*facts, facts=facts) as r:
            assert (await refused(r, "org/damaged")).kind is ErrorKind.OPERATION
            assert (await refused(r, "org/embed")).kind is ErrorKind.NOT_IMPLEMENTED
            assert r.engines == []

    asyncio.run(run())


def test_models_are_listed_preloaded_first_then_by_name_without_the_damaged() -> None:
    facts = {"org/damaged": facts_of("org/damaged", weights(missing=10), card=MLX)}

    async def run() -> None:
        async with rig("org/b", "org/z", "org/a", "org/damaged", facts=facts) as r:
            await r.service.preload("org/z")
            models = await r.service.models()
            assert [model.id for model in models] == ["org/z", "org/a", "org/b"]
            assert [model.loaded for model in models] == [True, False, False]
            assert await r.service.model("org/z") == models[0]
            assert models[0].owned_by == "org"

    asyncio.run(run())


def test_a_workspace_is_served_by_its_directory_and_never_by_its_path() -> None:
    async def run() -> None:
        async with rig("org/a", workspaces=["mine"]) as r:
            served = await r.service.preload("/workspaces/mine")
            assert served.id == "mine"
            assert [model.id for model in await r.service.models()] == ["mine", "org/a"]
            assert (await ask(r.service, work(says("x"), model="mine")))[0].text == "x "
            assert r.warm() == ["mine"]

    asyncio.run(run())


def test_an_ambiguous_name_lists_the_candidates() -> None:
    async def run() -> None:
        async with rig("org/alpha-1", "org/alpha-2") as r:
            with pytest.raises(AmbiguousMatch) as caught:
                await r.service.model("alpha")
            assert caught.value.matches == ("org/alpha-1", "org/alpha-2")

    asyncio.run(run())
