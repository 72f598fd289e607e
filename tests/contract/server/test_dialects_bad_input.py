"""Hostile bodies for Responses and Messages: refused by name, and the next good request works."""

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.contract.server.asking import PATIENCE, serving
from tests.memory_service import MemoryService

HELLO = {"role": "user", "content": "hello"}
GOOD: dict[str, dict[str, object]] = {
    "/v1/responses": {"model": "tiny", "input": [HELLO]},
    "/v1/messages": {"model": "tiny", "max_tokens": 9, "messages": [HELLO]},
    "/v1/messages/count_tokens": {"model": "tiny", "messages": [HELLO]},
}
PATHS = pytest.mark.parametrize("path", GOOD)


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with serving(MemoryService()) as address, httpx.Client(base_url=address, timeout=PATIENCE) as client:
        yield client


def post(client: httpx.Client, path: str, raw: bytes) -> httpx.Response:
    answer = client.post(path, content=raw, headers={"Content-Type": "application/json"})
    assert client.post(path, json=GOOD[path]).status_code == 200
    return answer


def changed(path: str, **fields: object) -> bytes:
    return json.dumps({**GOOD[path], **fields}).encode()


def turns(path: str) -> str:
    return "input" if path == "/v1/responses" else "messages"


@PATHS
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b"\xff\xfe",
        b'{"model": "tiny", "model": "tiny"}',
        b'{"model": "\\ud800"}',
        b'{"tools": ' + b"[" * 100_000,
        b'{"metadata": ' + b'{"a":' * 5_000 + b"1" + b"}" * 5_001,
        b'{"seed": ' + b"9" * 100_000 + b"}",
        b'{"temperature": NaN}',
        b'{"temperature": -Infinity}',
        b'{"model": null}',
    ],
    ids=lambda raw: repr(raw[:24]),
)
def test_what_is_no_body(client: httpx.Client, path: str, raw: bytes) -> None:
    answer = post(client, path, raw)
    assert answer.status_code == 400
    body = answer.json()
    assert (body["status"], body["error"]["code"]) == ("error", "validation")
    assert body["request_id"] == answer.headers["X-Request-ID"]
    assert "Traceback" not in answer.text


@PATHS
def test_a_missing_field_is_named(client: httpx.Client, path: str) -> None:
    for field in GOOD[path]:
        without = {name: value for name, value in GOOD[path].items() if name != field}
        answer = post(client, path, json.dumps(without).encode())
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, field)


@PATHS
@pytest.mark.parametrize(
    "wrong", [{"role": "wizard", "content": "x"}, {"role": "user"}, {"role": "user", "content": 5}, 5, None]
)
def test_a_wrong_turn_is_named(client: httpx.Client, path: str, wrong: object) -> None:
    answer = post(client, path, changed(path, **{turns(path): [HELLO, wrong]}))
    assert answer.status_code == 400
    assert answer.json()["error"]["param"].startswith(f"{turns(path)}[1]")


@PATHS
def test_ten_thousand_turns(client: httpx.Client, path: str) -> None:
    answer = post(client, path, changed(path, **{turns(path): [HELLO] * 10_000}))
    assert answer.status_code == 200


@PATHS
def test_too_many_turns(client: httpx.Client, path: str) -> None:
    answer = post(client, path, changed(path, **{turns(path): [HELLO] * 20_000}))
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, turns(path))


@PATHS
def test_two_tools_of_one_name_and_a_huge_one(client: httpx.Client, path: str) -> None:
    schema = "parameters" if path == "/v1/responses" else "input_schema"
    kind = {"type": "function"} if path == "/v1/responses" else {}
    tool = {**kind, "name": "f", schema: {"type": "object"}}
    assert post(client, path, changed(path, tools=[tool, tool])).json()["error"]["param"] == "tools[1].name"
    answer = post(client, path, changed(path, tools=[{**tool, "name": "f" * 10_000}]))
    assert answer.json()["error"]["param"] == "tools[0].name"
    assert len(answer.content) < 4_000


def test_the_api_is_described(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    assert set(GOOD) <= set(document["paths"])
    schemas = document["components"]["schemas"]
    wanted = {name.split('"')[0] for name in json.dumps(document).split("#/components/schemas/")[1:]}
    assert wanted <= set(schemas)
    assert "keep_alive" in schemas["ResponsesBody"]["properties"]
    assert "max_tokens" in schemas["MessagesBody"]["required"]
