"""mlxk's own settings, read once from the environment; an empty variable counts as unset.

The Hub's variables (`HF_HOME`, `HF_HUB_CACHE`, …) belong to the adapters that follow huggingface_hub.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mlxk.domain.errors import InvalidInput

__all__ = [
    "DEFAULT_GRACE_SECONDS",
    "DEFAULT_HOST",
    "DEFAULT_PORT",
    "LOG_LEVELS",
    "ServerSettings",
    "Settings",
    "parse_log_level",
]

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8000
DEFAULT_GRACE_SECONDS = 30.0
"""What running answers get to end after the signal that ends the server."""

LOG_LEVELS = ("debug", "info", "warning", "error")
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says.

    Attributes:
        workspace_home: where workspaces are looked up by name (`MLXK_WORKSPACE_HOME`), or None.
        max_tokens: default completion tokens (`MLXK_MAX_TOKENS`), or None for the model's context.
        log_level: one of `LOG_LEVELS` (`MLXK_LOG_LEVEL`), or None for the command's own.
        log_json: one JSON object per log line instead of text (`MLXK_LOG_JSON`).
    """

    workspace_home: Path | None = None
    max_tokens: int | None = None
    log_level: str | None = None
    log_json: bool = False

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the settings.

        Raises:
            InvalidInput: a variable has a value that means nothing; the message names both.
        """
        home = environ.get("MLXK_WORKSPACE_HOME")
        return cls(
            workspace_home=_absolute(home) if home else None,
            max_tokens=_positive("MLXK_MAX_TOKENS", environ),
            log_level=parse_log_level("MLXK_LOG_LEVEL", environ.get("MLXK_LOG_LEVEL")),
            log_json=_switch("MLXK_LOG_JSON", environ),
        )


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What the environment says to `serve` alone; no other command fails because of it.

    Attributes:
        host: where the server listens (`MLXK_HOST`).
        port: on which port, 0 for a free one (`MLXK_PORT`).
        api_key: what its clients must know (`MLXK_API_KEY`), or None.
        model: what it loads at once (`MLXK_MODEL`), or None.
    """

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    api_key: str | None = field(default=None, repr=False)
    model: str | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "ServerSettings":
        """Read them.

        Raises:
            InvalidInput: the port is none; the message names it and the variable.
        """
        return cls(
            host=environ.get("MLXK_HOST") or DEFAULT_HOST,
            port=_port("MLXK_PORT", environ),
            api_key=environ.get("MLXK_API_KEY") or None,
            model=environ.get("MLXK_MODEL") or None,
        )


def parse_log_level(name: str, text: str | None) -> str | None:
    """One of `LOG_LEVELS`, in any case; None when it is not said.

    Args:
        name: where it was said, for the error.

    Raises:
        InvalidInput: it is no level.
    """
    level = (text or "").lower() or None
    if level is not None and level not in LOG_LEVELS:
        raise InvalidInput(f"{name} must be one of {', '.join(LOG_LEVELS)}, not '{text}'.")
    return level


def _absolute(text: str) -> Path:
    path = Path(text)
    try:
        return path.expanduser().absolute()
    except RuntimeError as error:
        raise InvalidInput(
            f"MLXK_WORKSPACE_HOME is '{text}', and there is no home directory to expand it."
        ) from error


def _positive(name: str, environ: Mapping[str, str]) -> int | None:
    text = environ.get(name)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text[:18]) > 0):
        raise InvalidInput(f"{name} must be a whole number above 0, not '{text}'.")
    return int(text[:18])


def _port(name: str, environ: Mapping[str, str]) -> int:
    text = environ.get(name) or str(DEFAULT_PORT)
    if not (text.isascii() and text.isdigit() and len(text) <= len("65535")):
        raise InvalidInput(f"{name} must be a port number, not '{text}'.")
    return int(text)


def _switch(name: str, environ: Mapping[str, str]) -> bool:
    text = (environ.get(name) or "0").lower()
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise InvalidInput(f"{name} must be 1 or 0, not '{text}'.")
