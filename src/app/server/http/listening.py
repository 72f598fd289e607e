"""The socket that the server listens on, taken before anything slow begins."""

import errno
import socket

from mlxk.domain.errors import ErrorKind, InvalidInput, MlxkError

__all__ = ["base_url", "bind"]

MAX_PORT = 65535
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - recognised, never a default
"""Where a client on this machine finds a server on every interface."""


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to host and port, which does not listen yet: clients are refused until it does.

    Args:
        port: 0 takes a free one.

    Raises:
        InvalidInput: the port is no port, or the host is none of this machine's.
        MlxkError: (`OPERATION`) the port is in use; (`PERMISSION`) the system does not give it away.
    """
    if not 0 <= port <= MAX_PORT:
        raise InvalidInput(f"The port must be between 0 and {MAX_PORT}, not {port}.")
    family, address = _address(host, port)
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise _refused(error, host, port) from error
    return listener


def base_url(listener: socket.socket) -> str:
    """Where clients of this machine find the server."""
    host, port = listener.getsockname()[:2]
    reachable = _ANYWHERE.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def _address(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise InvalidInput(
            f"The host '{host}' is no address of this machine.", hint="use 127.0.0.1, or 0.0.0.0 for all"
        ) from error
    family, _, _, _, address = found[0]
    return family, (str(address[0]), int(address[1]))


def _refused(error: OSError, host: str, port: int) -> MlxkError:
    match error.errno:
        case errno.EADDRINUSE:
            return MlxkError(
                ErrorKind.OPERATION,
                f"Port {port} on {host} is in use.",
                hint="stop what listens there, or choose another with --port (0 takes a free one)",
            )
        case errno.EACCES | errno.EPERM:
            return MlxkError(
                ErrorKind.PERMISSION,
                f"The system does not let you listen on port {port}.",
                hint="choose a port above 1023 with --port",
            )
        case errno.EADDRNOTAVAIL:
            return InvalidInput(
                f"The host '{host}' is no address of this machine.",
                hint="use 127.0.0.1, or 0.0.0.0 for all",
            )
    return MlxkError(ErrorKind.OPERATION, f"Cannot listen on {host}, port {port}: {error.strerror or error}.")
