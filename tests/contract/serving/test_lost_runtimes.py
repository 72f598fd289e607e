"""A runtime thread that dies or hangs in the middle of answers: noticed, said, replaced."""

import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.contract.serving.conftest import LARGE, PLAIN
from tests.contract.serving.faulty_server import FADE, FAULTY, HANG, KILL
from tests.contract.serving.running import LIMIT, Served, serving
from tests.isolation import Place
from tests.waiting import until


@pytest.fixture
def faulty(served_place: Place) -> Iterator[Served]:
    with serving(served_place, command=FAULTY, may_log_tracebacks=True) as server:
        yield server


def _ask(server: Served, prompt: str, **more: Any) -> httpx.Response:
    body = {"model": PLAIN, "prompt": prompt, "max_tokens": 4, "temperature": 0, **more}
    with server.client() as http:
        return http.post("/v1/completions", json=body)


def _health(server: Served) -> int:
    with server.client() as http:
        return http.get("/health").status_code


@pytest.mark.parametrize("fault", [KILL, HANG])
def test_all_its_requests_fail_at_once_and_the_next_one_is_answered(faulty: Served, fault: str) -> None:
    expected = _ask(faulty, "one two").json()["choices"][0]["text"]
    with ThreadPoolExecutor(4) as clients:
        running = [clients.submit(_ask, faulty, "one two three", max_tokens=400) for _ in range(3)]
        # One that came after the fault would load the model anew.
        until(lambda: sum(each.done() for each in running) + _active(faulty) >= len(running))
        lost = clients.submit(_ask, faulty, fault)
        assert lost.result(LIMIT).status_code == 503
        for answer in running:
            assert answer.result(LIMIT).status_code in (200, 503)  # 200 where it was faster than the fault
    assert lost.result().json()["error"]["type"] == "runtime_lost"
    assert lost.result().json()["error"]["retryable"] is True
    assert int(lost.result().headers["retry-after"]) >= 1
    assert _health(faulty) == 503
    again = _ask(faulty, "one two")
    assert again.status_code == 200
    assert again.json()["choices"][0]["text"] == expected
    assert _health(faulty) == 200


def test_a_stream_that_loses_its_runtime_ends_with_an_error(faulty: Served) -> None:
    body = {"model": PLAIN, "prompt": FADE, "max_tokens": 480, "temperature": 0, "stream": True}
    with httpx.stream("POST", f"{faulty.base_url}/v1/completions", json=body, timeout=LIMIT) as answer:
        lines = [line for line in answer.iter_lines() if line]
    *chunks, event, last = lines
    assert answer.status_code == 200
    assert len(chunks) > 1
    assert all('"text_completion"' in chunk for chunk in chunks)
    assert event == "event: error"
    assert json.loads(last.removeprefix("data: "))["error"]["type"] == "runtime_lost"


def test_another_model_does_not_notice(faulty: Served) -> None:
    expected = _ask(faulty, "one two", model=LARGE).json()["choices"][0]["text"]
    assert _ask(faulty, HANG).status_code == 503
    answer = _ask(faulty, "one two", model=LARGE)
    assert answer.status_code == 200
    assert answer.json()["choices"][0]["text"] == expected


def test_a_second_signal_ends_a_server_that_waits_for_an_answer(served_place: Place) -> None:
    patient = {"STEP_LIMIT": "600"}
    with (
        serving(served_place, command=FAULTY, environ=patient) as server,
        ThreadPoolExecutor(1) as client,
    ):
        client.submit(_suppressed, server)
        until(lambda: _active(server) > 0)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: not _listens(server))
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(LIMIT) == 128 + signal.SIGTERM


def _suppressed(server: Served) -> None:
    try:
        _ask(server, HANG)
    except httpx.HTTPError:
        return


def _listens(server: Served) -> bool:
    try:
        httpx.get(f"{server.base_url}/health", timeout=5)
    except httpx.HTTPError:
        return False
    return True


def _active(server: Served) -> int:
    with server.client() as http:
        return int(http.get("/ready").json()["active"])
