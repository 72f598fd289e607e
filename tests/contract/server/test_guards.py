"""What every request passes: ids, hosts, origins, keys, and the clock for bodies."""

import socket
from collections.abc import Mapping

import httpx
import pytest

from mlxk.app.server.http.options import HttpOptions
from tests.contract.server.asking import CHAT, HELLO, PATIENCE, ask, chat, error_of, serving
from tests.memory_service import MODEL, MemoryService
from tests.waiting import until

KEYED = HttpOptions(api_keys=("first-key", "clé-ключ"))


@pytest.mark.parametrize("given", ["abc", "A.b_c-9", "x" * 128])
def test_a_sane_request_id_is_kept(given: str) -> None:
    response = ask(MemoryService(), "GET", "/health", headers={"X-Request-ID": given})
    assert response.headers.get_list("x-request-id") == [given]


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "a\u00e9".encode().decode("latin-1"), "a;b", "../x"])
def test_a_strange_request_id_is_replaced(given: str) -> None:
    headers = [(b"X-Request-ID", given.encode("latin-1"))]
    response = ask(MemoryService(), "GET", "/health", headers=headers)
    assert response.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/nothing", 404), ("DELETE", CHAT, 405), ("GET", "/v1/models", 401)],
)
def test_refusals_have_a_request_id(method: str, path: str, status: int) -> None:
    options = KEYED if status == 401 else None
    response = ask(MemoryService(), method, path, options=options, headers={"X-Request-ID": "mine"})
    assert response.status_code == status
    assert error_of(response)
    assert response.json()["request_id"] == "mine"


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8000", "LOCALHOST:1", "127.0.0.1:8000", "[::1]:8000", "[::1]", "mac.local.:80"],
)
def test_our_hosts_are_served(host: str) -> None:
    options = HttpOptions(allowed_hosts=("mac.local",))
    assert ask(MemoryService(), "GET", "/health", headers={"Host": host}, options=options).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example:80",
        "",
        "localhost:80:80",
        "localhost:x",
        "[::1",
        "[::1]evil",
        "evil@localhost",
        "localhost, evil",
    ],
)
def test_other_hosts_are_refused(host: str) -> None:
    response = ask(MemoryService(), "GET", "/health", headers={"Host": host})
    assert response.status_code == 403
    assert error_of(response)["param"] == "Host"


def test_two_hosts_are_refused() -> None:
    headers = [("Host", "localhost"), ("Host", "evil.example")]
    assert ask(MemoryService(), "GET", "/health", headers=headers).status_code == 403


def test_any_host_is_served_where_that_was_asked_for() -> None:
    options = HttpOptions(allowed_hosts=("*",))
    assert (
        ask(MemoryService(), "GET", "/health", headers={"Host": "x.example"}, options=options).status_code
        == 200
    )


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost.evil.example", "http://[x"]
)
def test_pages_of_other_origins_change_nothing(origin: str) -> None:
    service = MemoryService()
    path = f"/v1/models/{MODEL}/load"
    response = ask(service, "POST", path, headers={"Origin": origin})
    assert response.status_code == 403
    assert service.loaded == set()
    assert "access-control-allow-origin" not in response.headers


def test_our_own_pages_may() -> None:
    headers = {"Origin": "http://localhost:8000"}
    assert ask(MemoryService(), "GET", "/v1/models", headers=headers).status_code == 200


def test_named_origins_may_read_answers_and_refusals() -> None:
    options = HttpOptions(cors_origins=("http://app.example:3000",), api_keys=("k",))
    origin = {"Origin": "http://app.example:3000"}
    asked = {
        **origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    preflight = ask(MemoryService(), "OPTIONS", CHAT, headers=asked, options=options)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "http://app.example:3000"
    refusal = ask(MemoryService(), "GET", "/v1/models", headers=origin, options=options)
    assert refusal.status_code == 401
    assert refusal.headers["access-control-allow-origin"] == "http://app.example:3000"
    assert "x-request-id" in refusal.headers["access-control-expose-headers"].lower()


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer first-key"},
        {"authorization": "bearer  first-key "},
        {"x-api-key": "first-key"},
        {"x-api-key": "first-key", "Authorization": "Bearer another"},
        {"x-api-key": "clé-ключ"},
        {"Authorization": "Bearer clé-ключ"},
    ],
    ids=str,
)
def test_a_key_opens(headers: Mapping[str, str]) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    assert ask(MemoryService(), "GET", "/v1/models", headers=raw, options=KEYED).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic first-key"},
        {"x-api-key": ""},
        {"x-api-key": "first-ke"},
        {"x-api-key": "first-key2"},
        {"x-api-key": "cl\u00e9"},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "path", ["/v1/models", "/metrics", "/ready", "/docs", "/openapi.json", "/nothing", "/health/"]
)
def test_without_a_key_everything_is_closed(headers: Mapping[str, str], path: str) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    response = ask(MemoryService(), "GET", path, headers=raw, options=KEYED)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert error_of(response)["type"] == "auth_error"


def test_every_key_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []

    def noted(given: bytes, key: bytes) -> bool:
        compared.append(key)
        return given == key

    monkeypatch.setattr("hmac.compare_digest", noted)
    headers = {"x-api-key": "first-key"}
    assert ask(MemoryService(), "GET", "/v1/models", headers=headers, options=KEYED).status_code == 200
    assert compared == [key.encode() for key in KEYED.api_keys]


def test_health_needs_no_key() -> None:
    assert ask(MemoryService(), "GET", "/health", options=KEYED).status_code == 200


@pytest.mark.parametrize("sent", [b"", b'{"model"'], ids=["nothing", "a little"])
def test_a_body_that_does_not_come_is_given_up(sent: bytes) -> None:
    with serving(MemoryService(), HttpOptions(body_pause=0.2)) as address:
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as client:
            head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            client.sendall(head.encode() + b"Content-Length: 100\r\n\r\n" + sent)
            answer = b""
            while piece := client.recv(65536):
                answer += piece
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"request_timeout" in answer
        assert httpx.post(address + CHAT, json=HELLO, timeout=PATIENCE).status_code == 200


def test_a_chunked_body_is_counted() -> None:
    with serving(MemoryService(), HttpOptions(body_limit=1000)) as address:
        pieces = iter([b"x" * 600, b"y" * 600])
        headers = {"Content-Type": "application/json"}
        response = httpx.post(address + CHAT, content=pieces, headers=headers, timeout=PATIENCE)
    assert response.status_code == 413
    error_of(response)


def test_a_client_that_leaves_while_it_sends_is_no_error() -> None:
    service = MemoryService()
    with serving(service) as address:
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as client:
            head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            client.sendall(head.encode() + b"Content-Length: 100\r\n\r\n{")
        assert httpx.post(address + CHAT, json=HELLO, timeout=PATIENCE).status_code == 200
    assert len(service.works) == 1


def test_what_a_client_is_told_has_no_paths_and_no_secrets() -> None:
    from mlxk.domain.errors import ErrorKind, MlxkError

    message = (
        "Cannot read '/srv/my models/a b/config.json' and /opt/x/y.json with hf_abcdefghij12345 (see /docs)."
    )
    response = chat(
        MemoryService(refusal=MlxkError(ErrorKind.OPERATION, message, hint="look at ~/.cache/x/y"))
    )
    told = error_of(response)["message"]
    assert "my models" not in told
    assert "y.json" not in told
    assert ".cache" not in told
    assert "hf_abc" not in told
    assert "/docs" in told


def test_bodies_at_once_are_bounded() -> None:
    service = MemoryService(hangs=True)
    large = {**HELLO, "stream": True, "user": "x" * 700}
    with serving(service, HttpOptions(bodies_limit=1000)) as address:
        with httpx.stream("POST", address + CHAT, json=large, timeout=PATIENCE):
            refused = httpx.post(address + CHAT, json=large, timeout=PATIENCE)
            assert refused.status_code == 429
            assert "retry-after" in refused.headers
            error_of(refused)
        until(lambda: service.left == 1)
        service.hangs = False
        assert httpx.post(address + CHAT, json=large, timeout=PATIENCE).status_code == 200
