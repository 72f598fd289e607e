"""Streams and whole answers: what is on the wire, who hangs up, what fails on the way."""

import json
import socket

import httpx
import pytest

from mlxk.app.server.http.options import HttpOptions
from mlxk.domain.errors import ErrorKind, MlxkError
from mlxk.domain.generation import TextDelta
from tests.contract.server.asking import CHAT, HELLO, chat, error_of, serving
from tests.memory_service import MemoryService, saying
from tests.waiting import until

HANGING = {"script": lambda work: [(0, TextDelta("Hel"))], "hangs": True}


def _post(address: str, stream: bool) -> bytes:
    body = json.dumps({**HELLO, "stream": stream}).encode()
    return (
        f"POST {CHAT} HTTP/1.1\r\nHost: {address.removeprefix('http://')}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def test_a_stream_is_data_events_with_the_role_first_and_done_last() -> None:
    response = chat(MemoryService(), stream=True)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"
    events = response.text.split("\n\n")
    assert events.pop() == ""
    assert all(event.startswith("data: ") for event in events)
    assert events[-1] == "data: [DONE]"
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-1]]
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == "Hello there!"


@pytest.mark.parametrize("stream", [False, True])
def test_work_ends_when_the_client_hangs_up(stream: bool) -> None:
    service = MemoryService(**HANGING)  # type: ignore[arg-type]
    with serving(service) as address:
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(_post(address, stream))
            until(lambda: service.entered == 1)
            if stream:
                client.recv(10_000)
        until(lambda: service.left == 1)
        service.hangs, service.script = False, saying("x")
        assert (
            httpx.post(address + "/v1/completions", json={"model": "tiny", "prompt": "x"}).status_code == 200
        )
        metrics = httpx.get(address + "/metrics").text
    assert f'mlxk_requests_total{{route="{CHAT}",status="499"}} 1.0' in metrics
    assert 'mlxk_requests_total{route="/v1/completions",status="200"} 1.0' in metrics


def test_work_ends_when_the_client_hangs_up_while_it_waits_to_be_admitted() -> None:
    service = MemoryService(admission_hangs=True)
    with serving(service) as address:
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(_post(address, stream=True))
            until(lambda: service.entered == 1)
        until(lambda: service.left == 1)


def test_a_silent_stream_gives_signs_of_life() -> None:
    service = MemoryService(**HANGING)  # type: ignore[arg-type]
    with (
        serving(service, HttpOptions(keep_alive_interval=0.02)) as address,
        httpx.stream("POST", address + CHAT, json={**HELLO, "stream": True}, timeout=60) as response,
    ):
        seen = ""
        for text in response.iter_text():
            seen += text
            if seen.count(": keep-alive\n\n") >= 3:
                break
    assert "Hel" in seen
    assert [line for line in seen.splitlines() if line and not line.startswith(("data: ", ": keep"))] == []


def test_a_failure_after_the_stream_began_is_its_last_event() -> None:
    service = MemoryService(failure=MlxkError(ErrorKind.SERVER_SHUTDOWN, "The server is shutting down."))
    service.script = lambda work: [(0, TextDelta("Hel"))]
    response = chat(service, stream=True)
    assert response.status_code == 200
    name, data = response.text.split("\n\n")[-2].split("\n")
    assert name == "event: error"
    error = json.loads(data.removeprefix("data: "))
    assert error["error"]["type"] == "server_shutdown"
    assert error["error"]["retryable"] is True
    assert error["request_id"] == response.headers["x-request-id"]
    assert "[DONE]" not in response.text


@pytest.mark.parametrize("stream", [False, True])
def test_an_unexpected_error_tells_nothing(stream: bool) -> None:
    service = MemoryService(failure=RuntimeError("secret of /home/someone/model"))
    response = chat(service, stream=stream)
    assert "secret" not in response.text
    assert "someone" not in response.text
    assert "Traceback" not in response.text
    assert "InternalError" in response.text
    if not stream:
        assert response.status_code == 500
        error_of(response)
    assert chat(MemoryService()).status_code == 200


def test_a_failure_of_a_whole_answer_has_its_status() -> None:
    service = MemoryService(failure=MlxkError(ErrorKind.RUNTIME_LOST, "Lost.", retry_after=5))
    response = chat(service)
    assert response.status_code == 503
    assert response.headers["retry-after"] == "5"
    assert error_of(response)["retryable"] is True
    assert service.left == 1


def test_many_streams_side_by_side_are_each_complete() -> None:
    texts = [f" w{number}" for number in range(200)]
    service = MemoryService(script=saying(*texts))
    response = chat(service, stream=True, n=8)
    said = dict.fromkeys(range(8), "")
    for event in response.text.split("\n\n")[:-2]:
        choice = json.loads(event.removeprefix("data: "))["choices"][0]
        said[choice["index"]] += choice["delta"].get("content", "")
    assert set(said.values()) == {"".join(texts)}
