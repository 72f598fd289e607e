"""Shell completion of model names. Runs on every TAB, so it loads next to nothing."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from mlxk.domain.errors import MlxkError
from mlxk.domain.naming import DEFAULT_ORG, PathSpec, parse_spec

__all__ = ["complete_model"]


def complete_model(incomplete: str) -> list[str]:
    """Model names, or directories for a path form, that begin with what was typed.

    Never raises: a place that cannot be read completes to nothing.
    """
    try:
        if incomplete and isinstance(parse_spec(incomplete), PathSpec):
            return list(_directories(incomplete))
        return _names(incomplete)
    except (MlxkError, OSError, RuntimeError):
        return []


def _names(incomplete: str) -> list[str]:
    """Full names; else those of the default organisation without it, as people type them."""
    from mlxk.app.model_names import model_names

    names = model_names(os.environ)
    short = (name.removeprefix(f"{DEFAULT_ORG}/") for name in names)
    return _beginning(names, incomplete) or _beginning(short, incomplete)


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    # With the case as typed: shells, and Typer for them, drop what does not begin exactly so.
    return [name for name in names if name.startswith(incomplete)]


def _directories(incomplete: str) -> Iterator[str]:
    """Sub-directories as the user began to write them; hidden ones only when asked for."""
    if incomplete in ("~", ".", ".."):
        yield f"{incomplete}/"
        return
    head, _, tail = incomplete.rpartition("/")
    for entry in sorted(Path(f"{head}/").expanduser().iterdir()):
        shown = entry.name.startswith(tail) and (tail.startswith(".") or not entry.name.startswith("."))
        if shown and entry.is_dir():
            yield f"{head}/{entry.name}/"
