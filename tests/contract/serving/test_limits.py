"""A server that has too little room: it makes room, lets clients wait, and says so when it cannot."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.contract.serving.conftest import LARGE, PARROT, PLAIN
from tests.contract.serving.running import LIMIT, Served, serving
from tests.isolation import Place
from tests.waiting import until

MANY = 64 + 32
"""Clients: as many as may wait, and enough more."""


def _body(model: str, tokens: int = 4, **more: Any) -> dict[str, Any]:
    return {"model": model, "prompt": "one two", "max_tokens": tokens, "temperature": 0, **more}


def _ask(server: Served, body: dict[str, Any]) -> httpx.Response:
    with server.client() as http:
        return http.post("/v1/completions", json=body)


def _ready(server: Served) -> dict[str, Any]:
    with server.client() as http:
        found: dict[str, Any] = http.get("/ready").json()
        return found


def _weights(server: Served) -> dict[str, int]:
    """Bytes of the loaded models, as `/metrics` tells."""
    with server.client() as http:
        lines = http.get("/metrics").text.splitlines()
    return {
        line.split('"')[1]: int(float(line.rpartition(" ")[2])) for line in lines if 'use="weights"' in line
    }


@contextmanager
def _answering(server: Served, model: str) -> Iterator[httpx.Response]:
    """A stream of many tokens."""
    body = _body(model, 200, stream=True, n=8, logit_bias=_NEVER_ENDING)
    with server.client() as http, http.stream("POST", "/v1/completions", json=body) as answer:
        assert answer.status_code == 200
        yield answer


_NEVER_ENDING = {"5": 100}
"""A token that is no end token, always chosen."""


@pytest.fixture(scope="module")
def sizes(served_place: Place) -> dict[str, int]:
    """Bytes of the models' weights."""
    with serving(served_place, "--model", PLAIN, "--model", LARGE) as server:
        return _weights(server)


@pytest.mark.parametrize("limit", ["memory", "count"])
def test_two_models_that_do_not_fit_together_take_turns(
    served_place: Place, sizes: dict[str, int], limit: str
) -> None:
    budget = str(sizes[PLAIN] + sizes[LARGE] - 1)
    flags = ("--memory-budget", budget) if limit == "memory" else ("--max-models", "1")
    with serving(served_place, *flags, "--model", LARGE) as server, ThreadPoolExecutor(1) as clients:
        assert _weights(server) == {LARGE: sizes[LARGE]}
        other: Future[httpx.Response]
        with _answering(server, LARGE) as answer:
            lines = answer.iter_lines()
            assert next(lines)
            other = clients.submit(_ask, server, _body(PLAIN))
            until(lambda: _ready(server)["waiting"] == 1 or other.done())
            for _ in lines:  # to its end: a busy model is not evicted
                pass
        assert other.result(LIMIT).status_code == 200
        assert _weights(server) == {PLAIN: sizes[PLAIN]}
        assert _ask(server, _body(LARGE)).status_code == 200
        assert _weights(server) == {LARGE: sizes[LARGE]}


def test_a_model_or_an_answer_that_can_never_fit_is_refused(
    served_place: Place, sizes: dict[str, int]
) -> None:
    budget = sizes[PLAIN] + 100_000
    assert budget < sizes[LARGE]
    with serving(served_place, "--memory-budget", str(budget), "--model", PLAIN) as server:
        for refused in (_body(LARGE), _body(PLAIN, 480)):
            answer = _ask(server, refused)
            assert answer.status_code == 507
            assert answer.json()["error"]["type"] == "insufficient_memory"
            assert f"{budget:,}" in answer.json()["error"]["message"]
        assert _weights(server) == {PLAIN: sizes[PLAIN]}


def test_who_comes_to_a_full_queue_is_told_when_to_come_again(served_place: Place) -> None:
    """Each asks for so much that the queue cannot drain meanwhile; then all who wait hang up."""
    body = _body(PLAIN, 480, n=8, logit_bias=_NEVER_ENDING)

    async def ask_until_refused(base_url: str) -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=MANY)
        async with httpx.AsyncClient(base_url=base_url, timeout=LIMIT, limits=limits) as http:
            asking = [asyncio.ensure_future(http.post("/v1/completions", json=body)) for _ in range(MANY)]
            await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
            answered = [task.result() for task in asking if task.done()]
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
            return answered

    with serving(served_place, "--model", PLAIN) as server:
        answered = asyncio.run(ask_until_refused(server.base_url))
        refused = [answer for answer in answered if answer.status_code != 200]
        assert {answer.status_code for answer in refused} == {429}
        assert {answer.json()["error"]["type"] for answer in refused} == {"queue_full"}
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
        until(lambda: _ready(server)["waiting"] == _ready(server)["active"] == 0)
        assert _ask(server, _body(PLAIN)).status_code == 200


def test_a_model_that_is_answering_is_not_unloaded(served_place: Place) -> None:
    with serving(served_place, "--model", PLAIN) as server, server.client() as http:
        with _answering(server, PLAIN) as answer:
            assert next(answer.iter_lines())
            busy = http.post(f"/v1/models/{PLAIN}/unload")
            still_answering = _ready(server)["active"] > 0
        if still_answering:
            assert busy.status_code == 503
            assert busy.json()["error"]["type"] == "models_busy"
            assert int(busy.headers["retry-after"]) >= 1
        until(lambda: http.post(f"/v1/models/{PLAIN}/unload").status_code == 200)
        assert _weights(server) == {}


def test_how_long_a_model_stays(served_place: Place) -> None:
    with serving(served_place, "--model", PLAIN, "--keep-alive", "1h") as server:
        assert _ask(server, _body(PARROT)).status_code == 200
        assert _ask(server, _body(LARGE, keep_alive=0)).status_code == 200
        until(lambda: LARGE not in _weights(server))
        assert set(_weights(server)) == {PLAIN, PARROT}
        assert _ask(server, _body(PARROT, keep_alive="10ms")).status_code == 200
        until(lambda: set(_weights(server)) == {PLAIN})


def test_a_keep_alive_of_nothing_holds_for_named_models_too(served_place: Place) -> None:
    with serving(served_place, "--model", PLAIN, "--model", LARGE, "--keep-alive", "0") as server:
        until(lambda: _weights(server) == {})
        assert _ask(server, _body(PLAIN)).status_code == 200
