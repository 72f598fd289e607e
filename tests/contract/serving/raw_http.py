"""Bytes to a server, as no client library would send them, and what comes back."""

import json
import socket
from dataclasses import dataclass, field
from typing import Any

from tests.contract.serving.running import LIMIT, Served

__all__ = ["HOST", "JSON", "Reply", "exchange", "post", "request"]

HOST = "Host: localhost"
JSON = "Content-Type: application/json"


@dataclass(frozen=True, slots=True)
class Reply:
    """The first answer on a connection.

    Attributes:
        status: 0 when nothing came.
        body: all bytes after its head.
    """

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def error(self) -> dict[str, Any]:
        """The error that it tells of, whose shape is checked."""
        found = json.loads(self.body)
        assert set(found) == {"status", "error", "request_id"}
        assert found["status"] == "error"
        assert found["request_id"] == self.headers["x-request-id"]
        assert set(found["error"]) == {"message", "type", "code", "param", "retryable"}
        assert found["error"]["code"] == found["error"]["code"].lower()
        return dict(found["error"])


def exchange(server: Served, *pieces: bytes) -> Reply:
    """Send bytes and read until the server closes the connection."""
    received = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
            while piece := connection.recv(65536):
                received += piece
        except ConnectionError:
            pass  # it answered before it had read all, and closed
    head, _, body = received.partition(b"\r\n\r\n")
    if not head:
        return Reply(0)
    status, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.split(": ", 1) for line in lines)
    return Reply(int(status.split()[1]), {name.lower(): value for name, value in pairs}, body)


def request(first: str, *headers: str, body: bytes = b"") -> bytes:
    """A request that asks the server to close the connection after its answer."""
    return "\r\n".join((first, *headers, "Connection: close", "", "")).encode("latin-1") + body


def post(body: object, path: str = "/v1/completions", *headers: str, version: str = "1.1") -> bytes:
    """A JSON body with its length."""
    content = json.dumps(body).encode()
    length = f"Content-Length: {len(content)}"
    return request(f"POST {path} HTTP/{version}", HOST, JSON, length, *headers, body=content)
