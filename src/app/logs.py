"""Logs: structlog on stderr, text or JSON, with tokens, keys and the home directory redacted everywhere.

What the standard library's `logging` receives (from mlx-lm, transformers, huggingface_hub) takes the same
way, so that no library prints past the redaction.
"""

import logging
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from mlxk.app.settings import Settings

__all__ = ["REDACTED", "Redactor", "configure", "redactor_for"]

DEFAULT_LEVEL = "warning"
REDACTED = "[REDACTED_TOKEN]"
_HUB_TOKEN = re.compile(r"hf_(?:(?:oauth|jwt|app)_)*[A-Za-z0-9]{8,}")
_BEARER = re.compile(r"(?i)(bearer\s+)[^\s\"',;]+")
_SECRET_PARAMETER = re.compile(r"(?i)([?&](?:signature|x-amz-[a-z-]+|token|key-pair-id|policy)=)[^&\s\"']+")
_SELF_WILLED = ("huggingface_hub", "transformers")
"""Libraries that set up logging of their own when they are imported."""
_SECRET_FIELD = re.compile(r"(?i)(api[_-]?key|token|authorization|secret|password)$")


class Redactor:
    """Takes secrets and the home directory out of text.

    Args:
        secrets: exact texts to hide, such as a configured API key or the user's Hub token.
        home: the home directory, shown as `~`; None leaves paths alone.
    """

    def __init__(self, secrets: tuple[str, ...] = (), home: Path | None = None) -> None:
        # The longest first, so that no secret that begins with another leaves its end behind.
        long_enough = {secret for secret in secrets if len(secret) >= MIN_SECRET_LENGTH}
        self._secrets = tuple(sorted(long_enough, key=len, reverse=True))
        self._home = _home_pattern(home)

    def __call__(self, text: str) -> str:
        """The text with every secret replaced and the home directory shortened."""
        for secret in self._secrets:
            text = text.replace(secret, REDACTED)
        text = _HUB_TOKEN.sub(REDACTED, text)
        text = _BEARER.sub(rf"\1{REDACTED}", text)
        text = _SECRET_PARAMETER.sub(rf"\1{REDACTED}", text)
        return self._home.sub("~", text) if self._home else text

    def process(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """A structlog processor: redacts all text of an event, however deep, and secret-named fields."""
        return {key: self._field(key, value) for key, value in event.items()}

    def _field(self, key: str, value: object) -> object:
        harmless = value is None or isinstance(value, (bool, int, float)) or value == ""
        if _SECRET_FIELD.search(key) and not harmless:
            return REDACTED
        return self._value(value)

    def _value(self, value: object) -> object:
        match value:
            case str():
                return self(value)
            case Mapping():
                return {self(str(key)): self._field(str(key), inner) for key, inner in value.items()}
            case list() | tuple() | set() | frozenset():
                return [self._value(inner) for inner in value]
            case None | bool() | int() | float():
                return value
        return self(str(value))


def _home_pattern(home: Path | None) -> re.Pattern[str] | None:
    """Matches the directory itself, not another whose name begins the same; `/` is no home worth hiding."""
    if home is None or len(home.parts) < 2:
        return None
    return re.compile(re.escape(str(home)) + r"(?![\w.-])")


MIN_SECRET_LENGTH = 4
"""Shorter "secrets" would blank out ordinary words."""


def redactor_for(environ: Mapping[str, str], *more: str) -> Redactor:
    """A redactor that knows the secrets and the home directory of an environment, and some secrets more."""
    secrets = (
        environ.get("HF_TOKEN"),
        environ.get("HUGGING_FACE_HUB_TOKEN"),
        environ.get("MLXK_API_KEY"),
        *more,
    )
    home = environ.get("HOME")
    return Redactor(tuple(secret for secret in secrets if secret), Path(home) if home else None)


class _WithoutHandlers(logging.Logger):
    """The top logger of a library that gives it a handler of its own, which would print past the redaction.

    It takes none, and passes everything on.
    """

    def addHandler(self, hdlr: logging.Handler) -> None:  # noqa: N802 - the signature of logging
        """Take no handler."""

    @property
    def propagate(self) -> bool:
        """Always true."""
        return True

    @propagate.setter
    def propagate(self, value: bool) -> None:
        """Stay true."""


def _take_handlers_away(library: str) -> None:
    logger = logging.getLogger(library)
    logger.handlers.clear()
    logger.__class__ = _WithoutHandlers


def configure(settings: Settings, redactor: Redactor, stream: TextIO | None = None) -> None:
    """Set up logging for this process: one stream, one format, one level, Python's warnings among it.

    Args:
        stream: where lines go; stderr when None.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.format_exc_info,
        redactor.process,
    ]
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(settings)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel((settings.log_level or DEFAULT_LEVEL).upper())
    for library in _SELF_WILLED:
        _take_handlers_away(library)
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _renderer(settings: Settings) -> Processor:
    if settings.log_json:
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.dev.ConsoleRenderer(colors=False, timestamp_key="ts", pad_event_to=0, pad_level=False)
