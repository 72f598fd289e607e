"""Bounds on connections, shortened: what takes too long is given up, what goes on is kept."""

import contextlib
import socket
from typing import ClassVar

import httpx
import pytest

from mlxk.app.server.http.addresses import host_name, web_origin
from mlxk.app.server.http.protocol import BoundedHttp
from mlxk.domain.errors import InvalidInput
from tests.contract.server.asking import CHAT, HELLO, PATIENCE, serving
from tests.memory_service import MemoryService, saying
from tests.waiting import until


class _Impatient(BoundedHttp):
    """Hangs up soon after a client has stopped to read, or to send."""

    write_seconds = 0.2
    head_seconds = 0.2
    unread_body_seconds = 0.2
    lost: ClassVar[list[BoundedHttp]] = []

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.lost.append(self)


def _read_all(connection: socket.socket, received: bytearray) -> None:
    while piece := connection.recv(1_000_000):
        received += piece


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_never_reads_is_given_up(stream: bool) -> None:
    before = len(_Impatient.lost)
    service = MemoryService(script=saying(*["x" * 100_000] * 400))
    body = httpx.Request("POST", "http://localhost", json={**HELLO, "stream": stream}).content
    head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with serving(service, http=_Impatient) as address, socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        deaf.connect(("127.0.0.1", _port(address)))
        deaf.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        until(lambda: service.left == 1 and len(_Impatient.lost) > before)
        deaf.settimeout(PATIENCE)
        received = bytearray()
        with contextlib.suppress(ConnectionError):
            _read_all(deaf, received)
        assert len(received) < 40_000_000  # the rest was thrown away


def test_a_head_that_does_not_end_does_not_end_the_answer_before_it() -> None:
    service = MemoryService(hangs=True)
    body = httpx.Request("POST", "http://localhost", json={**HELLO, "stream": True}).content
    head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with (
        serving(service, http=_Impatient) as address,
        socket.create_connection(("127.0.0.1", _port(address)), PATIENCE) as client,
    ):
        client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body + b"GET /he")
        client.settimeout(2)  # ten times what a head may take
        received = bytearray()
        with pytest.raises(TimeoutError):
            _read_all(client, received)
        assert received.startswith(b"HTTP/1.1 200 OK")
        assert b"408" not in received


@pytest.mark.parametrize("name", ["localhost:80", "http://a", "a/b", "", " ", "[::1]:80"])
def test_what_is_no_host_name(name: str) -> None:
    with pytest.raises(InvalidInput):
        host_name(name)


@pytest.mark.parametrize("name", ["mac.local", "*", "::1", "[::1]", "192.0.2.1"])
def test_what_is_a_host_name(name: str) -> None:
    assert host_name(name) == name


@pytest.mark.parametrize(
    "origin",
    ["localhost", "localhost:3000", "http://", "http://a/b", "http://a:x", "http://u@a", "http://[a"],
)
def test_what_is_no_web_origin(origin: str) -> None:
    with pytest.raises(InvalidInput):
        web_origin(origin)


@pytest.mark.parametrize(
    ("text", "origin"),
    [("*", "*"), ("HTTP://A.b/", "http://a.b"), ("https://a:8443", "https://a:8443")],
)
def test_what_is_a_web_origin(text: str, origin: str) -> None:
    assert web_origin(text) == origin
