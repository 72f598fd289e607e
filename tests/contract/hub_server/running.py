"""The Hub as a process-internal server on a free port of 127.0.0.1."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from tests.contract.hub_server.answers import Connections
from tests.contract.hub_server.app import make_app
from tests.contract.hub_server.faults import Faults
from tests.contract.hub_server.repositories import Repositories
from tests.contract.hub_server.state import State
from tests.contract.hub_server.traffic import Traffic


@dataclass(frozen=True)
class HubServer:
    """A running Hub.

    Attributes:
        url: what `HF_ENDPOINT` must be.
    """

    url: str
    state: State

    @property
    def repositories(self) -> Repositories:
        """What it holds; tests may change it."""
        return self.state.repositories

    @property
    def faults(self) -> Faults:
        """What is going to go wrong."""
        return self.state.faults

    @property
    def traffic(self) -> Traffic:
        """What it was asked."""
        return self.state.traffic


@contextmanager
def serving(state: State | None = None) -> Iterator[HubServer]:
    """A Hub in a thread, gone with the block."""
    state = state or State()
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    port = listener.getsockname()[1]
    state.cdn = f"http://localhost:{port}"
    config = uvicorn.Config(
        make_app(state),
        http=_protocol_that_tells(state.connections),
        log_config=None,
        log_level="critical",
        lifespan="off",
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    try:
        yield HubServer(f"http://127.0.0.1:{port}", state)
    finally:
        state.connections.closing = True
        server.should_exit = True
        thread.join(5)


def _protocol_that_tells(connections: Connections) -> type[asyncio.Protocol]:
    """uvicorn's HTTP, with its transports known to those who must reset them."""

    class Telling(H11Protocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            connections.transports[transport.get_extra_info("peername")] = transport

    return Telling
