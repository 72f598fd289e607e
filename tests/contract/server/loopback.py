"""The application on a real socket, for clients that are given nothing but an address."""

import contextlib
import threading
import time
from collections.abc import Iterator

import uvicorn

from mlxk.app.server.application import create_application
from mlxk.app.server.options import HttpOptions
from mlxk.app.server.service import Service

PATIENCE = 60.0


@contextlib.contextmanager
def served(service: Service, options: HttpOptions | None = None) -> Iterator[str]:
    """The address of a server over this service, while the context lasts."""
    config = uvicorn.Config(create_application(service, options), port=0, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="server")
    thread.start()
    try:
        deadline = time.monotonic() + PATIENCE
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            assert time.monotonic() < deadline, "the server takes too long to start"
            time.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        assert not thread.is_alive(), "the server does not stop"
