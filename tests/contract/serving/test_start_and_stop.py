"""Starting and ending: ports, keys, preloading, signals."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import httpx
import psutil
import pytest

from tests.contract.serving.conftest import PARROT
from tests.contract.serving.raw_http import HOST, JSON, post
from tests.contract.serving.running import LIMIT, MLXK, Served, serving
from tests.isolation import Place
from tests.waiting import until


def failing(place: Place, *flags: str, environ: dict[str, str] | None = None) -> tuple[int, str, str, str]:
    """How a server that cannot start ends: code, error type, stderr, hint."""
    done = subprocess.run(
        [*MLXK, *flags],
        env={**place.environment(), **(environ or {})},
        cwd=place.work,
        capture_output=True,
        check=False,
        timeout=LIMIT,
    )
    error = json.loads(done.stdout)["error"]
    assert b"Traceback" not in done.stderr
    return done.returncode, error["type"], done.stderr.decode(), error.get("hint") or ""


def test_it_says_where_it_is_and_is_ready(served: Served) -> None:
    with served.client() as http:
        assert http.get("/health").json()["status"] == "ok"
        assert http.get("/ready").status_code == 200


def test_a_port_in_use_is_named_before_any_model_loads(served: Served, served_place: Place) -> None:
    code, kind, err, hint = failing(served_place, "--port", str(served.port), "--model", "no-such-model")
    assert (code, kind) == (1, "OperationError")
    assert f"Port {served.port}" in err
    assert "--port" in hint


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_other_machines_are_let_in_only_with_a_key(served_place: Place, host: str) -> None:
    code, kind, err, hint = failing(served_place, "--host", host)
    assert (code, kind) == (1, "ValidationError")
    assert "no API key" in err
    assert "--insecure" in hint
    with serving(served_place, "--host", host, "--insecure") as server, server.client() as http:
        assert http.get("/health").status_code == 200


def test_keys_come_from_a_file(served_place: Place, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("first-key\n\nsecond-key\n")
    with serving(served_place, "--api-key-file", str(keys)) as server, server.client() as http:
        assert http.get("/health").status_code == 200
        assert http.get("/v1/models").status_code == 401
        for key in ("first-key", "second-key"):
            answer = http.get("/v1/models", headers={"Authorization": f"Bearer {key}"})
            assert answer.status_code == 200
        assert "first-key" not in server.logged()


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        (["--host", "no.such.host.invalid"], "no.such.host.invalid"),
        (["--port", "70000"], "70000"),
        (["--max-models", "0"], "max-models"),
        (["--max-tokens", "0"], "max-tokens"),
        (["--memory-budget", "plenty"], "plenty"),
        (["--memory-budget", "0"], "memory budget"),
        (["--keep-alive", "soon"], "soon"),
        (["--log-level", "loud"], "loud"),
        (["--grace", "-1"], "grace"),
        (["--api-key-file", "no-such-file"], "no-such-file"),
        (["--api-key", ""], "API key is empty"),
        (["--allowed-host", "localhost:8000"], "localhost:8000"),
        (["--allowed-host", "http://mac.local"], "http://mac.local"),
        (["--cors-origin", "localhost:3000"], "localhost:3000"),
        (["--cors-origin", "http://app.example/page"], "app.example/page"),
        (["--model", "plain", "--model", "large", "--max-models", "1"], "--max-models"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_setting_that_means_nothing_is_named(served_place: Place, flags: list[str], names: str) -> None:
    code, kind, err, _ = failing(served_place, *flags)
    assert (code, kind) == (1, "ValidationError")
    assert names in err


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [("MLXK_PORT", "no-port", "ValidationError"), ("MLXK_MODEL", "no-such-model", "model_not_found")],
)
def test_the_environment_is_heard(served_place: Place, name: str, text: str, expected: str) -> None:
    code, kind, err, _ = failing(served_place, environ={name: text})
    assert (code, kind) == (1, expected)
    assert text in err


def test_a_model_that_cannot_be_loaded_ends_it_at_once(served_place: Place) -> None:
    broken = served_place.workspaces / "broken"
    broken.mkdir()
    (broken / "config.json").write_text("{}")
    code, _, err, _ = failing(served_place, "--model", "./" + os.path.relpath(broken, served_place.work))
    assert code == 1
    assert "damaged" in err


def test_a_preloaded_model_comes_first_and_is_warm(served_place: Place) -> None:
    with serving(served_place, "--model", PARROT) as server, server.client() as http:
        first = http.get("/v1/models").json()["data"][0]
        assert first["loaded"]
        assert PARROT in first["id"]


def test_two_models_that_do_not_fit_together_are_not_both_promised(served_place: Place) -> None:
    sizes = [path.stat().st_size for path in served_place.workspaces.glob("*/model.safetensors")]
    flags = ["--model", "plain", "--model", "large", "--memory-budget", f"{max(sizes) + 100_000}"]
    code, kind, err, hint = failing(served_place, *flags)
    assert (code, kind) == (1, "insufficient_memory")
    assert "plain" in err
    assert "--memory-budget" in hint


def test_two_models_of_one_name_are_refused(served_place: Place, tmp_path: Path) -> None:
    shutil.copytree(served_place.workspaces / "large", tmp_path / "plain")
    code, kind, err, _ = failing(served_place, "--model", "plain", "--model", str(tmp_path / "plain"))
    assert (code, kind) == (1, "ValidationError")
    assert "'plain'" in err


def test_preloaded_models_are_listed_in_their_order(served_place: Place, tmp_path: Path) -> None:
    shutil.copytree(served_place.workspaces / "plain", tmp_path / "zebra")
    flags = ["--model", str(tmp_path / "zebra"), "--model", "plain"]
    with serving(served_place, *flags) as server, server.client() as http:
        models = http.get("/v1/models").json()["data"]
    assert [model["id"] for model in models[:2]] == ["zebra", "plain"]
    assert [model["loaded"] for model in models] == [True, True, *[False] * (len(models) - 2)]


def test_an_origin_is_known_however_it_was_written(served_place: Place) -> None:
    origin = {"Origin": "http://app.example:3000"}
    flags = ["--cors-origin", "HTTP://App.example:3000/"]
    with serving(served_place, *flags) as server, server.client() as http:
        answer = http.get("/health", headers=origin)
    assert answer.headers["access-control-allow-origin"] == "http://app.example:3000"


def test_the_alias_serves_too(served_place: Place) -> None:
    command = [word if word != "serve" else "server" for word in MLXK]
    with serving(served_place, command=command) as server, server.client() as http:
        assert http.get("/health").status_code == 200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_idle_server_ends_at_the_first_signal(served_place: Place, number: signal.Signals) -> None:
    with serving(served_place, "--model", PARROT) as server:
        started = psutil.Process(server.process.pid).children(recursive=True)
        with socket.create_connection(("127.0.0.1", server.port)):
            assert server.stop(number) == 0
        assert not any(child.is_running() for child in started)


def endless(server: Served, **fields: object) -> "contextlib.AbstractContextManager[httpx.Response]":
    """A streamed answer that takes a while."""
    return httpx.stream("POST", f"{server.base_url}/v1/completions", timeout=LIMIT, json={
        "model": "plain", "prompt": "one two", "max_tokens": 480, "temperature": 0, "stream": True, **fields,
    })  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_body_half_sent_is_not_waited_for(served_place: Place, number: signal.Signals) -> None:
    head = ("POST /v1/completions HTTP/1.1", HOST, JSON, "Content-Length: 100", "", "{")
    with (
        serving(served_place) as server,
        socket.create_connection(("127.0.0.1", server.port), LIMIT) as client,
        server.client() as http,
    ):
        client.sendall("\r\n".join(head).encode())
        until(lambda: "mlxk_requests_in_flight 2.0" in http.get("/metrics").text)
        assert server.stop(number) == 0
        assert client.recv(1) == b""


def test_a_client_that_does_not_read_is_given_up(served_place: Place) -> None:
    large = {
        "model": "plain", "prompt": "one", "max_tokens": 400, "temperature": 0, "stream": True,
        "n": 8, "logprobs": 20,
    }  # fmt: skip
    with serving(served_place) as server, socket.socket() as deaf, server.client() as http:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        deaf.connect(("127.0.0.1", server.port))
        deaf.sendall(post(large))
        assert deaf.recv(1)
        until(lambda: http.post("/v1/models/plain/unload").status_code != 503)
        assert server.stop() == 0


def test_a_running_answer_is_finished_first(served_place: Place) -> None:
    with serving(served_place, "--model", "plain") as server, endless(server) as answer:
        lines = answer.iter_lines()
        next(lines)
        server.process.send_signal(signal.SIGTERM)
        rest = [line for line in lines if line]
        assert rest[-1] == "data: [DONE]"
        assert server.process.wait(LIMIT) == 0


def test_all_prompts_of_a_running_answer_are_finished_first(served_place: Place) -> None:
    prompts = [f"one {number}" for number in range(32)]
    with (
        serving(served_place, "--model", "plain") as server,
        endless(server, prompt=prompts, n=2, max_tokens=100) as answer,  # more choices than a batch holds
    ):
        lines = answer.iter_lines()
        next(lines)
        server.process.send_signal(signal.SIGTERM)
        rest = [line.removeprefix("data: ") for line in lines if line]
        assert rest.pop() == "[DONE]"
        choices = [json.loads(event)["choices"][0] for event in rest]
        assert {choice["index"] for choice in choices if choice["finish_reason"]} == set(range(64))
        assert server.process.wait(LIMIT) == 0


def test_after_the_grace_its_stream_ends_with_an_error(served_place: Place) -> None:
    with serving(served_place, "--model", "plain", "--grace", "0") as server, endless(server) as answer:
        lines = answer.iter_lines()
        next(lines)
        server.process.send_signal(signal.SIGINT)
        rest = [line for line in lines if line]
        assert any("server_shutdown" in line for line in rest)
        assert "data: [DONE]" not in rest
        assert server.process.wait(LIMIT) == 0
