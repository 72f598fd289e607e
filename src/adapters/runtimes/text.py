"""The text runtime: loads models with mlx-lm and says in one sentence why one does not load.

mlx and transformers are imported when a model is loaded, not before.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from mlxk.domain.capabilities import context_length_of
from mlxk.domain.errors import ErrorKind, MlxkError
from mlxk.domain.naming import is_cache_directory, name_of

if TYPE_CHECKING:
    from mlxk.adapters.runtimes.text_engine import LoadedModel, TextEngine
    from mlxk.adapters.runtimes.tokenizer import Tokenizer

__all__ = ["MlxTextRuntime"]

DEFAULT_PROMPT_CACHE_BYTES = 2 * 1024**3
DEFAULT_BATCH = 8
PREFILL_ON_CPU = 16
"""A CPU gains nothing from more, unless the model is a toy (measured: 16 to 2,048 take the same time)."""


class MlxTextRuntime:
    """Loads text models from local directories; never downloads, never runs a model's own code.

    Args:
        prompt_cache_bytes: how much of computed prompts each model keeps for later requests, in bytes.
        max_batch: generations that run at once in each model; more wait.
        prefill_on_cpu: prompt tokens computed at once on a CPU, which an interrupt waits for.
    """

    def __init__(
        self,
        *,
        prompt_cache_bytes: int = DEFAULT_PROMPT_CACHE_BYTES,
        max_batch: int = DEFAULT_BATCH,
        prefill_on_cpu: int = PREFILL_ON_CPU,
    ) -> None:
        self._prompt_cache_bytes = prompt_cache_bytes
        self._max_batch = max_batch
        self._prefill_on_cpu = prefill_on_cpu

    def load(self, path: Path) -> "TextEngine":
        """Load the model in a directory.

        Raises:
            MlxkError: (`NOT_IMPLEMENTED`) the architecture is unknown to this mlx-lm or needs code of its
                own, (`OPERATION`) the config, the weights or the tokenizer cannot be read or do not fit.
        """
        with _quiet_libraries():
            from mlxk.adapters.runtimes.text_engine import TextEngine

            return TextEngine(
                _load(path),
                prompt_cache_bytes=self._prompt_cache_bytes,
                max_batch=self._max_batch,
                prefill_on_cpu=self._prefill_on_cpu,
            )


@contextlib.contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Keep what libraries print while importing and loading off standard output."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # read once, when transformers is imported
    with contextlib.redirect_stdout(sys.stderr):
        yield


def _load(path: Path) -> "LoadedModel":
    from mlx_lm.utils import load_config

    from mlxk.adapters.runtimes.end_tokens import end_tokens
    from mlxk.adapters.runtimes.text_engine import LoadedModel

    try:
        config = load_config(path)
    except (AttributeError, OSError, RecursionError, TypeError, ValueError) as error:
        raise _broken(path, f"its configuration cannot be read ({_reason(error)})") from error
    family = config.get("model_type") if isinstance(config, dict) else None
    if not isinstance(family, str) or not family:
        raise _broken(path, "config.json names no model_type")
    model = _load_model(path, family)
    tokenizer = _load_tokenizer(path)
    tokenizer.eos_token_ids = set(end_tokens(tokenizer, path))
    return LoadedModel(model, tokenizer, family, context_length_of(config))


def _load_model(path: Path, family: str) -> object:
    from mlx_lm.utils import load_model

    try:
        model, _ = load_model(path, trust_remote_code=False)
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        OSError,
        RuntimeError,
        SystemExit,  # mlx_lm.models.olmo ends the process where a package of its own is missing
        TypeError,
        ValueError,
    ) as error:
        raise _model_error(path, family, error) from error
    return model


def _model_error(path: Path, family: str, error: BaseException) -> MlxkError:
    if isinstance(error.__cause__, ImportError):  # how mlx-lm reports a model_type it has no module for
        return MlxkError(
            ErrorKind.NOT_IMPLEMENTED,
            f"The installed mlx-lm {version('mlx-lm')} does not know the architecture '{family}'.",
            hint="a newer one may: pip install --upgrade mlx-lm",
        )
    if isinstance(error, ValueError) and "trust_remote_code" in str(error):
        return MlxkError(
            ErrorKind.NOT_IMPLEMENTED,
            f"Model '{_name(path)}' ({family}) needs code of its own, and mlxk does not run a model's code.",
            hint="look for a conversion to an architecture that mlx-lm has",
        )
    if isinstance(error, SystemExit):
        return _broken(path, f"mlx-lm lacks a package that the architecture '{family}' needs")
    if isinstance(error, TypeError):
        return _broken(path, f"its config is not what the architecture '{family}' needs ({_reason(error)})")
    return _broken(path, f"the weights do not fit the config ({_reason(error)})")


def _load_tokenizer(path: Path) -> "Tokenizer":
    from mlx_lm.utils import load_tokenizer

    try:
        tokenizer: Tokenizer = load_tokenizer(path, {"local_files_only": True, "trust_remote_code": False})
    except Exception as error:
        raise _broken(path, f"its tokenizer cannot be read ({_reason(error)})") from error
    return tokenizer


def _broken(path: Path, problem: str) -> MlxkError:
    return MlxkError(
        ErrorKind.OPERATION,
        f"Model '{_name(path)}' cannot be loaded: {problem}.",
        hint=f"`mlxk health {_name(path)} --verify` tells whether its files are what was published",
    )


def _name(path: Path) -> str:
    """The name a person uses for a model directory: the repository's, for a snapshot of the cache."""
    return next((name_of(part) for part in reversed(path.parts) if is_cache_directory(part)), str(path))


def _reason(error: BaseException) -> str:
    """The first line of an error, short enough for one sentence."""
    lines = str(error).strip().splitlines()
    text = lines[0].strip().rstrip(".:") if lines else ""
    return f"{text[:157]}..." if len(text) > 160 else text or type(error).__name__
