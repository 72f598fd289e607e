"""What the streams can show."""

import os
import unicodedata
from typing import TextIO

__all__ = ["is_styled", "printable", "safe_for"]

_LAYOUT = frozenset("\n\t")
_BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Overrides and isolates, which make text read otherwise than it is (Unicode TR 36, "Bidirectional Text")."""


def printable(text: str) -> str:
    """One line of text, with the characters that would move the cursor or deceive the eye replaced."""
    return "".join("\N{REPLACEMENT CHARACTER}" if _is_control(char) else char for char in text)


def _is_control(char: str) -> bool:
    """Whether a character acts on the terminal; spaces and joiners of any script are text."""
    if char.isprintable():
        return False
    return unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or char in _BIDI_CONTROLS


def is_styled(stream: TextIO) -> bool:
    """Whether a stream shows colours and cursor movement: a terminal, not dumb, without `NO_COLOR`."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def safe_for(stream: TextIO, text: str) -> str:
    """Text fit for a stream: on a terminal without the control characters a model may have written."""
    if not stream.isatty():
        return text
    return "".join(char for char in text if char in _LAYOUT or not _is_control(char))
