"""One uvicorn process: from a bound socket to the last answer.

The first SIGINT, SIGTERM or SIGHUP begins an orderly end, the second ends the process at once.
"""

import asyncio
import contextlib
import os
import resource
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

import uvicorn

from mlxk.app.server.http.protocol import BoundedHttp

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ["StopSignal", "host_until_stopped"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LAST_WORDS_SECONDS = 5.0
"""For connections still busy when all answers have ended: clients that do not read."""

_LOOK_SECONDS = 0.1

BACKLOG = 2048
OPEN_FILES = 8192


class StopSignal:
    """Hears the signals that end the server; make it inside the running event loop."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()

    @contextlib.contextmanager
    def listening(self) -> Iterator["StopSignal"]:
        """While the context lasts, signals come here; those that the process was told to ignore do not."""
        loop = asyncio.get_running_loop()
        heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        for number in heard:
            loop.add_signal_handler(number, self._hear, number)
        try:
            yield self
        finally:
            for number in heard:
                loop.remove_signal_handler(number)

    def ask(self) -> None:
        """Begin the orderly end, as a first signal does."""
        self._asked.set()

    async def wait(self) -> None:
        """Return when the end was asked for."""
        await self._asked.wait()

    def _hear(self, number: int) -> None:
        if self._asked.is_set():
            os._exit(128 + number)  # threads in the middle of a computation would be waited for
        self.ask()


class _Server(uvicorn.Server):
    """uvicorn's server; when it begins and ends is said here, not by signals to it."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        self._announce()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


async def host_until_stopped(
    application: "ASGIApp",
    listener: socket.socket,
    stop: StopSignal,
    *,
    started: Callable[[], None],
    drain: Callable[[], Awaitable[Any]],
) -> None:
    """Serve until the stop signal, then stop accepting, let answers end, and close.

    Args:
        started: called once the socket listens.
        drain: ends the answers in progress, however long that may take them.
    """
    _allow_many_connections()
    config = uvicorn.Config(
        application,
        http=BoundedHttp,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",  # what it does when all is well, our own lines say
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
    )
    server = _Server(config, started)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    server.should_exit = True
    await drain()
    await _let_connections_end(server, serving)
    if serving.done():
        serving.result()


async def _let_connections_end(server: _Server, serving: "asyncio.Task[None]") -> None:
    """Let clients take what is ready for them, a while, and wait for nothing that they have to send."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + LAST_WORDS_SECONDS
    while not serving.done() and loop.time() < deadline:
        for connection in _connections(server):
            connection.end_unasked()
        await asyncio.wait({serving}, timeout=_LOOK_SECONDS)
    # Requests end by themselves when their clients have gone; those that the closing loop cancels are logged
    # as crashes.
    for connection in _connections(server):
        connection.transport.abort()
    await asyncio.wait({serving}, timeout=LAST_WORDS_SECONDS)
    if not serving.done():
        server.force_exit = True
        await asyncio.wait({serving}, timeout=LAST_WORDS_SECONDS)


def _connections(server: _Server) -> list[BoundedHttp]:
    return [each for each in server.server_state.connections if isinstance(each, BoundedHttp)]


def _allow_many_connections() -> None:
    """Raise the soft limit of open files, which is 256 on a Mac: idle connections must not use them up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
