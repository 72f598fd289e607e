"""Hostile and clumsy clients of a real server: the specified status and body, and the next request works."""

import contextlib
import http.client
import json
import pickle
import shutil
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.contract.serving.conftest import PARROT, PLAIN
from tests.contract.serving.raw_http import HOST, JSON, exchange, post, request
from tests.contract.serving.running import LIMIT, Served
from tests.isolation import Place
from tests.waiting import until

GOOD: dict[str, Any] = {"model": PLAIN, "prompt": "one", "max_tokens": 2}
USER = {"role": "user", "content": "Hi"}
CHAT = "/v1/chat/completions"
POST = "POST /v1/completions HTTP/1.1"
CHUNKED = "Transfer-Encoding: chunked"
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


@pytest.fixture(autouse=True)
def next_good_request(served: Served) -> Iterator[None]:
    yield
    with served.client() as client:
        answer = client.post("/v1/completions", json=GOOD)
    assert answer.status_code == 200, answer.text


def _schema(schema: object) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}}


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"messages": None}, 400, "messages"),
        ({"messages": []}, 400, "messages"),
        ({"messages": "Hi"}, 400, "messages"),
        ({"messages": [{"role": "robot", "content": "Hi"}]}, 400, "messages[0].role"),
        ({"messages": [{"role": "tool", "content": "1", "tool_call_id": "x"}]}, 400, "tool call"),
        ({"messages": [USER] * 10_000}, 400, "512 tokens"),
        ({"messages": [{"role": "user", "content": "word " * 5000}]}, 400, "512 tokens"),
        ({"temperature": -1}, 400, "temperature"),
        ({"temperature": "hot"}, 400, "temperature"),
        ({"max_tokens": -5}, 400, "max_tokens"),
        ({"max_tokens": 10**30}, 400, "max_tokens"),
        ({"seed": -1}, 400, "seed"),
        ({"logit_bias": {"99999999": 1}}, 400, "logit"),
        ({"n": 0}, 400, "'n'"),
        ({"n": 0, "stream": True}, 400, "'n'"),
        ({"stop": [f"stop{number}" for number in range(1000)]}, 400, "stop"),
        ({"frobnicate": 1}, 400, "frobnicate"),
        ({"trust_remote_code": True}, 400, "trust_remote_code"),
        ({"model": "plian"}, 404, "did you mean plain?"),
        ({"model": "/etc/passwd"}, 404, "not a path"),
        ({"model": "../plain"}, 404, "not a path"),
        ({"model": "pl\0ain"}, 400, "NUL"),
        ({"tools": [TOOL]}, 501, "tool calling"),
        ({"response_format": {"type": "xml"}}, 400, "'json_schema'"),
        (_schema({"type": "frog"}), 400, "frog"),
        (_schema({"properties": {"a": {"type": "frog"}}}), 400, "#/properties/a"),
        (_schema({"$ref": "http://evil.example/x"}), 400, "retriev"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_a_wrong_field_is_named(served: Served, fields: dict[str, Any], status: int, words: str) -> None:
    reply = exchange(served, post({"model": PLAIN, "messages": [USER], "max_tokens": 2, **fields}, CHAT))
    assert reply.status == status
    assert words in reply.error()["message"]


def test_roles_out_of_order_are_answered_or_refused(served: Served) -> None:
    messages = [{"role": "assistant", "content": "Ho"}, {"role": "system", "content": "Be"}, USER, USER]
    for model in (PLAIN, PARROT):
        reply = exchange(served, post({"model": model, "messages": messages, "max_tokens": 2}, CHAT))
        assert reply.status in (200, 400)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b"nonsense",
        b"\xff\xfe",
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'{"model":"plain","prompt":"\\ud800"}',
        b'{"model":"plain","prompt":"a","temperature":NaN}',
        b'{"model":"plain","prompt":"a","temperature":1e999}',
        b'{"model":"plain","prompt":"a","prompt":"b"}',
    ],
    ids=lambda body: repr(body[:50]),
)
def test_a_body_that_is_no_request(served: Served, body: bytes) -> None:
    reply = exchange(served, request(POST, HOST, JSON, f"Content-Length: {len(body)}", body=body))
    assert reply.status == 400
    assert reply.error()["code"] == "validation"


def test_a_body_of_sixty_megabytes_is_read_and_judged(served: Served) -> None:
    reply = exchange(served, post({**GOOD, "frobnicate": "x" * 60_000_000}))
    assert reply.status == 400
    assert "frobnicate" in reply.error()["message"]


def test_a_client_that_sends_too_much_learns_why(served: Served) -> None:
    with served.client() as client:
        answer = client.post("/v1/completions", json={**GOOD, "user": "x" * 70_000_000})
        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "payload_too_large"
        assert client.post("/v1/completions", json=GOOD).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (["Content-Length: abc"], 400),
        (["Content-Length: -5"], 400),
        (["Content-Length: +5"], 400),
        (["Content-Length: 1e3"], 400),
        (["Content-Length: 99999999999999999999999"], 400),
        (["Content-Length: 2", "Content-Length: 2"], 400),
        (["Content-Length: 2", "Content-Length: 3"], 400),
        (["Content-Length: 2", CHUNKED], 400),
        (["Transfer-Encoding: gzip"], 400),
        (["Content-Length: 999999999999"], 413),
    ],
    ids=str,
)
def test_a_length_that_is_none(served: Served, headers: list[str], status: int) -> None:
    reply = exchange(served, request(POST, HOST, JSON, *headers, body=b"{}"))
    assert reply.status == status
    reply.error()


@pytest.mark.parametrize("size", [b"zz", b"-1", b"f" * 20], ids=repr)
def test_a_chunk_that_is_none(served: Served, size: bytes) -> None:
    reply = exchange(served, request(POST, HOST, JSON, CHUNKED, body=size + b"\r\n{}\r\n0\r\n\r\n"))
    assert reply.status == 400
    reply.error()


def test_chunks_are_put_together(served: Served) -> None:
    content = json.dumps(GOOD).encode()
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in content) + b"0\r\n\r\n"
    assert exchange(served, request(POST, HOST, JSON, CHUNKED, body=chunks)).status == 200


def test_trailers_without_end_are_refused(served: Served) -> None:
    head = request(POST, HOST, JSON, CHUNKED, body=b"2\r\n{}\r\n0\r\n")
    trailers = [b"X-%d: %s\r\n" % (number, b"y" * 1000) for number in range(100)]
    assert exchange(served, head, *trailers).status in (400, 431)  # the body may be judged before


@pytest.mark.parametrize(
    "garbage",
    [
        bytes(range(256)) * 20,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 300,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /health HTTP/1.1\nHost: localhost\n\n",
        b"GET /health HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: local\0host\r\n\r\n",
        b"GET /v1/models/\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
    ids=lambda garbage: repr(garbage[:40]),
)
def test_what_is_no_http(served: Served, garbage: bytes) -> None:
    reply = exchange(served, garbage)
    assert reply.status == 400
    assert reply.error()["code"] == "validation"


@pytest.mark.parametrize(
    "head",
    [
        [f"X-Long: {'a' * 70_000}"],
        [f"X-{number}: {'a' * 100}" for number in range(1000)],
        [f"X-Endless: {'a' * 3_000_000}"],
    ],
    ids=["one header", "many headers", "megabytes"],
)
def test_a_head_that_is_too_large(served: Served, head: list[str]) -> None:
    reply = exchange(served, request("GET /health HTTP/1.1", HOST, *head))
    assert reply.status in (431, 0)  # an answer may be lost on the way to who still sends
    if reply.status:
        assert "65,536" in reply.error()["message"]


def test_a_head_that_fits(served: Served) -> None:
    assert exchange(served, request("GET /health HTTP/1.1", HOST, f"X-Long: {'a' * 60_000}")).status == 200


@pytest.mark.parametrize(
    ("first", "status"),
    [
        ("HEAD /health HTTP/1.1", 405),
        ("OPTIONS /v1/models HTTP/1.1", 405),
        ("OPTIONS * HTTP/1.1", 404),
        ("TRACE /health HTTP/1.1", 405),
        ("CONNECT evil.example:80 HTTP/1.1", 400),
        ("GET /health HTTP/1.0", 200),
        ("GET http://localhost/health HTTP/1.1", 200),
        ("GET /v1/models?limit=1&x=%zz HTTP/1.1", 200),
        ("GET /v1/models/pl%61in HTTP/1.1", 200),
        ("GET /v1/models/no%2Fsuch HTTP/1.1", 404),
        ("GET /v1/models/%zz HTTP/1.1", 404),
        ("GET /v1/models/%ff%fe HTTP/1.1", 404),
        ("GET /v1/models/%00 HTTP/1.1", 400),
        ("GET /v1/models/..%2f..%2fetc HTTP/1.1", 404),
        ("GET /v1/models//etc/passwd HTTP/1.1", 404),
        ("GET /v1/models/~ HTTP/1.1", 404),
        ("GET /v1/models/ HTTP/1.1", 400),
        ("POST /v1/models//load HTTP/1.1", 400),
        (f"GET /v1/models/{'a/' * 20_000} HTTP/1.1", 400),
    ],
    ids=lambda value: str(value)[:50],
)
def test_methods_and_addresses(served: Served, first: str, status: int) -> None:
    reply = exchange(served, request(first, HOST))
    assert reply.status == status
    assert "x-request-id" in reply.headers
    if status >= 400 and not first.startswith("HEAD"):
        message = reply.error()["message"]
        assert "/etc" not in message
        assert str(served.log.parent) not in message


@pytest.mark.parametrize("headers", [[], ["Host: evil.example"], ["Host: localhost", "Host: x"]], ids=str)
def test_a_host_that_is_not_ours(served: Served, headers: list[str]) -> None:
    reply = exchange(served, request("GET /health HTTP/1.1", *headers))
    assert reply.status == 403
    assert reply.error()["param"] == "Host"


def test_fields_of_an_unload_are_not_ignored(served: Served) -> None:
    reply = exchange(served, post({"when": "now"}, f"/v1/models/{PLAIN}/unload"))
    assert reply.status == 400
    assert "when" in reply.error()["message"]
    assert exchange(served, post({}, f"/v1/models/{PLAIN}/unload")).status == 200


def test_a_client_that_asks_before_it_sends(served: Served) -> None:
    reply = exchange(served, post(GOOD, "/v1/completions", "Expect: 100-continue"))
    assert reply.status == 100
    assert b"HTTP/1.1 200 OK" in reply.body


def test_an_upgrade_is_not_taken(served: Served) -> None:
    content = json.dumps(GOOD).encode()
    upgrade = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")
    head = (POST, HOST, JSON, f"Content-Length: {len(content)}", *upgrade)
    assert exchange(served, "\r\n".join((*head, "", "")).encode() + content).status == 200


def test_a_stream_over_the_oldest_http_has_no_chunks(served: Served) -> None:
    reply = exchange(served, post({**GOOD, "stream": True}, version="1.0"))
    assert reply.status == 200
    assert "transfer-encoding" not in reply.headers
    assert reply.body.startswith(b"data: ")
    assert reply.body.endswith(b"\n\ndata: [DONE]\n\n")


def test_requests_one_behind_the_other(served: Served) -> None:
    content = json.dumps(GOOD).encode()
    lines = (POST, HOST, JSON, f"Content-Length: {len(content)}", "", "")
    first = "\r\n".join(lines).encode() + content
    reply = exchange(served, first + first + request("GET /health HTTP/1.1", HOST))
    assert reply.status == 200
    assert reply.body.count(b"HTTP/1.1 200 OK") == 2
    assert reply.body.endswith(b"}")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(
    "garbage",
    [
        b"GARBAGE\r\n\r\n",
        b"GET /health HTTP/1.1\r\nX-Long: " + b"a" * 70_000,
        f"{POST}\r\n{HOST}\r\n{JSON}\r\n{CHUNKED}\r\n\r\nzz\r\n".encode(),
    ],
    ids=["no request", "too long", "no chunk"],
)
def test_what_is_no_http_waits_for_the_answers_before_it(
    served: Served, garbage: bytes, count: int, stream: bool
) -> None:
    content = json.dumps({**GOOD, "stream": stream}).encode()
    lines = (POST, HOST, JSON, f"Content-Length: {len(content)}", "", "")
    good = "\r\n".join(lines).encode() + content
    reply = exchange(served, good * count + garbage, request("GET /health HTTP/1.1", HOST))
    assert reply.status == 200
    *answers, last = reply.body.split(b"HTTP/1.1 ")
    assert len(answers) == count
    assert all(answer.startswith(b"200 OK") for answer in answers[1:])
    assert last.startswith((b"400 ", b"431 "))


def test_a_connection_is_good_after_errors(served: Served) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=LIMIT)
    with contextlib.closing(connection):
        connection.connect()
        kept = connection.sock
        for method, path, status in (("POST", "/nope", 404), ("POST", CHAT, 400), ("PUT", "/health", 405)):
            connection.request(method, path, b"wrong", {"Content-Type": "application/json"})
            with connection.getresponse() as answer:
                assert answer.status == status
                answer.read()
            assert connection.sock is kept


def _rest_of_a_body(served: Served) -> None:
    """Its request is answered, the body goes on byte by byte: it is not waited for for ever."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=LIMIT) as connection:
        head = ("POST /nope HTTP/1.1", HOST, "Content-Length: 100000", "", "")
        connection.sendall("\r\n".join(head).encode())
        assert connection.recv(65536).split()[1] == b"404"
        with pytest.raises(ConnectionError):
            _dribble(connection)


def _dribble(connection: socket.socket) -> None:
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        connection.sendall(b"x")
        time.sleep(0.5)


def _slow_head(served: Served) -> None:
    reply = exchange(served, b"GET /health HTTP/1.1\r\nHost: loc")
    assert reply.status == 408
    assert reply.error()["retryable"] is True


def _slow_body(served: Served) -> None:
    reply = exchange(served, request(POST, HOST, JSON, "Content-Length: 100", body=b'{"model"'))
    assert reply.status == 408
    assert reply.error()["code"] == "request_timeout"


def test_what_comes_too_slowly_is_given_up(served: Served) -> None:
    with ThreadPoolExecutor() as threads:
        for waiting in [threads.submit(each, served) for each in (_rest_of_a_body, _slow_head, _slow_body)]:
            waiting.result()


def test_a_client_that_does_not_read_keeps_no_model(served: Served) -> None:
    large = {
        "model": PLAIN, "messages": [USER], "max_tokens": 400, "temperature": 0, "stream": True,
        "n": 8, "logprobs": True, "top_logprobs": 20,
    }  # fmt: skip
    with socket.socket() as deaf, served.client() as client:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        deaf.connect(("127.0.0.1", served.port))
        deaf.sendall(post(large, CHAT))
        assert deaf.recv(1)
        until(lambda: client.post(f"/v1/models/{PLAIN}/unload").status_code != 503)
        assert "mlxk_requests_in_flight 2.0" in client.get("/metrics").text


class _Payload:
    """What runs when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self._trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self._trace,)


def test_pickled_weights_are_never_loaded(served: Served, served_place: Place, tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    model = served_place.workspaces / "pickled"
    shutil.copytree(served_place.workspaces / PLAIN, model)
    (model / "model.safetensors").unlink()
    (model / "pytorch_model.bin").write_bytes(pickle.dumps(_Payload(trace)))
    reply = exchange(served, post({**GOOD, "model": "pickled"}))
    assert reply.status in (500, 501)
    assert str(model) not in reply.error()["message"]
    assert not trace.exists()


def test_the_log_has_a_line_for_what_never_became_a_request(served: Served) -> None:
    reply = exchange(served, b"nonsense\r\n\r\n", request("GET /health HTTP/1.1", HOST))
    assert reply.error()
    assert reply.headers["x-request-id"] in served.logged()
