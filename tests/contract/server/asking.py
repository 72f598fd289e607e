"""Ask an application in this process, or one that listens on loopback in a thread."""

import asyncio
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import httpx
import uvicorn
from fastapi import FastAPI

from mlxk.app.server.http.application import create_application
from mlxk.app.server.http.options import HttpOptions
from tests.memory_service import MemoryService
from tests.waiting import until

PATIENCE = 60.0
CHAT = "/v1/chat/completions"
HELLO: dict[str, Any] = {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}]}
JSON = {"Content-Type": "application/json"}


def ask(
    service: MemoryService | FastAPI,
    method: str,
    path: str,
    *,
    options: HttpOptions | None = None,
    json: object | None = None,
    content: bytes | None = None,
    headers: Mapping[str, str] | list[tuple[str, str]] | list[tuple[bytes, bytes]] | None = None,
) -> httpx.Response:
    """One request, to an application of its own unless one is given."""
    application = service if isinstance(service, FastAPI) else create_application(service, options)

    async def once() -> httpx.Response:
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as client:
            return await client.request(method, path, json=json, content=content, headers=headers)

    return asyncio.run(once())


def chat(service: MemoryService | FastAPI, **fields: object) -> httpx.Response:
    """One chat request."""
    return ask(service, "POST", CHAT, json={**HELLO, **fields})


def error_of(response: httpx.Response) -> dict[str, Any]:
    """The error of a refusal, whose shape is checked."""
    body = response.json()
    assert set(body) == {"status", "error", "request_id"}
    assert body["status"] == "error"
    assert body["request_id"] == response.headers["x-request-id"]
    error = body["error"]
    assert set(error) == {"message", "type", "code", "param", "retryable"}
    assert isinstance(error["message"], str)
    assert error["message"]
    return dict(error)


@contextmanager
def serving(
    service: MemoryService,
    options: HttpOptions | None = None,
    *,
    http: type[asyncio.Protocol] | Literal["auto"] = "auto",
) -> Iterator[str]:
    """The address of an application that listens on loopback."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(
            create_application(service, options), http=http, log_config=None, lifespan="off", access_log=False
        )
    )
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    try:
        until(lambda: server.started)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        server.force_exit = True
        thread.join(PATIENCE)
        listening.close()
    assert not thread.is_alive()
