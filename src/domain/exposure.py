"""Who can reach a server by the address it listens on, and what that asks for."""

import ipaddress
from collections.abc import Sequence

from mlxk.domain.errors import InvalidInput

__all__ = ["is_everywhere", "is_loopback", "refuse_open_door"]

_LOCALHOST = "localhost"
_EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - recognised, never a default


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server here; names but `localhost` may be any machine."""
    if host.lower() == _LOCALHOST:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_everywhere(host: str) -> bool:
    """Whether the host stands for every interface of a machine."""
    return host in _EVERYWHERE


def refuse_open_door(host: str, api_keys: Sequence[str]) -> None:
    """Let other machines reach a server only when clients need a key.

    Raises:
        InvalidInput: they could reach it, and there is no key.
    """
    if not (is_loopback(host) or api_keys):
        raise InvalidInput(
            f"Other machines could use the server on {host}, and there is no API key.",
            hint="give one with --api-key-file or MLXK_API_KEY, or say --insecure",
        )
