"""Many clients at once, clients that leave, clients that do nothing: right answers, and nothing kept."""

import asyncio
import contextlib
import json
import random
import resource
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.contract.serving.conftest import PLAIN
from tests.contract.serving.running import LIMIT, Served, serving
from tests.isolation import Place
from tests.waiting import until

CLIENTS = 64
REQUESTS = 500
WORDS = ("one", "two", "three", "four", "five")


@pytest.fixture(scope="module")
def loaded(served_place: Place) -> Iterator[Served]:
    """A server of its own: what it holds in memory is looked at."""
    with serving(served_place, "--model", PLAIN, "--log-level", "warning") as server:
        yield server


def _body(prompt: str, tokens: int, **more: Any) -> dict[str, Any]:
    return {"model": PLAIN, "prompt": prompt, "max_tokens": tokens, "temperature": 0, **more}


def _prompts() -> list[tuple[str, int]]:
    draw = random.Random(7)
    return [
        (" ".join(draw.choice(WORDS) for _ in range(draw.randint(1, 60))), draw.choice([1, 3, 8, 20]))
        for _ in range(CLIENTS)
    ]


def _alone(server: Served, prompts: list[tuple[str, int]]) -> list[str]:
    with server.client() as http:
        answers = [http.post("/v1/completions", json=_body(*prompt)).json() for prompt in prompts]
    return [answer["choices"][0]["text"] for answer in answers]


def _ready(server: Served) -> dict[str, Any]:
    with server.client() as http:
        found: dict[str, Any] = http.get("/ready").json()
        return found


def _await_idle(server: Served) -> None:
    until(lambda: not ((state := _ready(server))["active"] or state["waiting"]))


def test_each_of_many_clients_gets_the_answer_it_would_get_alone(loaded: Served) -> None:
    prompts = _prompts()
    expected = _alone(loaded, prompts)
    draw = random.Random(8)
    leaving = set(draw.sample(range(CLIENTS), CLIENTS // 3))

    async def ask(http: httpx.AsyncClient, number: int) -> str | None:
        body = _body(*prompts[number], stream=number % 2 == 0)
        if number in leaving:
            with contextlib.suppress(httpx.TimeoutException):
                await http.post("/v1/completions", json=body, timeout=draw.uniform(0.001, 0.2))
            return None
        answer = await http.post("/v1/completions", json=body)
        assert answer.status_code == 200, answer.text
        return _streamed(answer.text) if body["stream"] else str(answer.json()["choices"][0]["text"])

    async def ask_all() -> list[str | None]:
        limits = httpx.Limits(max_connections=CLIENTS)
        async with httpx.AsyncClient(base_url=loaded.base_url, timeout=LIMIT, limits=limits) as http:
            return list(await asyncio.gather(*(ask(http, number) for number in range(CLIENTS))))

    answers = asyncio.run(ask_all())
    for number, (answer, alone) in enumerate(zip(answers, expected, strict=True)):
        assert number in leaving or answer == alone
    _await_idle(loaded)


def _streamed(text: str) -> str:
    chunks = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    return "".join(chunk["choices"][0]["text"] for chunk in chunks if chunk["choices"])


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
def test_a_client_that_leaves_stops_its_generation(loaded: Served, streamed: bool) -> None:
    _await_idle(loaded)
    with socket.create_connection(("127.0.0.1", loaded.port)) as connection:
        connection.sendall(_request_bytes(loaded, _body("one two", 480, stream=streamed)))
        until(lambda: bool(_ready(loaded)["active"]))
    _await_idle(loaded)


def _request_bytes(server: Served, body: dict[str, Any]) -> bytes:
    content = json.dumps(body).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
    return (
        f"{head}Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content
    )


def test_memory_stays_what_it_is(loaded: Served) -> None:
    draw = random.Random(9)
    prompts = [" ".join(draw.choice(WORDS) for _ in range(40)) for _ in range(20)]

    async def ask(count: int) -> None:
        async with httpx.AsyncClient(base_url=loaded.base_url, timeout=LIMIT) as http:
            for start in range(0, count, 8):
                bodies = [_body(prompts[(start + i) % len(prompts)], 4) for i in range(8)]
                answers = await asyncio.gather(*(http.post("/v1/completions", json=body) for body in bodies))
                assert {answer.status_code for answer in answers} == {200}

    asyncio.run(ask(REQUESTS // 5))
    rss, kept = loaded.rss, _cache_bytes(loaded)
    asyncio.run(ask(REQUESTS))
    assert loaded.rss <= rss * 1.05 + 4_000_000
    assert _cache_bytes(loaded) <= kept * 1.05 + 100_000


def _cache_bytes(server: Served) -> float:
    with server.client() as http:
        lines = http.get("/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if 'use="prompt_cache"' in line)


def test_connections_that_send_nothing_disturb_nobody(loaded: Served) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 1000 if hard == resource.RLIM_INFINITY or hard >= 1300 else hard - 300
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted + 300), hard))
    with contextlib.ExitStack() as connections:
        for _ in range(wanted):
            connections.enter_context(socket.create_connection(("127.0.0.1", loaded.port)))
        with loaded.client() as http:
            assert http.get("/health").status_code == 200
            assert http.post("/v1/completions", json=_body("one", 2)).status_code == 200
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    _await_idle(loaded)


def test_a_client_that_reads_a_byte_a_second_disturbs_nobody(loaded: Served) -> None:
    expected = _alone(loaded, [("one two three", 8)])
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        slow.connect(("127.0.0.1", loaded.port))
        slow.sendall(_request_bytes(loaded, _body("one two", 480, stream=True)))
        for _ in range(4):
            assert slow.recv(1)
            assert _alone(loaded, [("one two three", 8)]) == expected
            time.sleep(1)
    _await_idle(loaded)
