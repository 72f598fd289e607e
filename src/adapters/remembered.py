"""Small JSON files of remembered results that are only ever a saving, never needed.

What cannot be read counts as not remembered; what cannot be written is not remembered. Files are replaced
in one step, so that a reader never sees half of one.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from mlxk.adapters.bounded_read import read_bounded
from mlxk.domain.model import Invalid, JsonObject, JsonValue

__all__ = ["MAX_REMEMBERED", "recall", "remember"]

MAX_REMEMBERED = 64 * 1024 * 1024
"""Bytes a file of remembered results may have to be read."""


def recall(file: Path) -> JsonObject:
    """The JSON object in a file; an empty one when there is none or it cannot be used."""
    content = read_bounded(file, MAX_REMEMBERED)
    if isinstance(content, Invalid):
        return {}
    try:
        value: object = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def remember(file: Path, value: Mapping[str, JsonValue]) -> bool:
    """Replace a file's content; whether it could be done (a full or read-only disk only costs the saving)."""
    import tempfile

    text = json.dumps(value, separators=(",", ":"))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
    except OSError:
        return False
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        Path(temporary).replace(file)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        return False
    return True
