"""What the streams can show."""

import os
from typing import TextIO

__all__ = ["is_styled", "printable", "safe_for"]

_LAYOUT = frozenset("\n\t")


def printable(text: str) -> str:
    """The text with characters that would move the cursor or change colours replaced."""
    return "".join(
        char if char.isprintable() or char == " " else "\N{REPLACEMENT CHARACTER}" for char in text
    )


def is_styled(stream: TextIO) -> bool:
    """Whether a stream shows colours and cursor movement: a terminal, not dumb, without `NO_COLOR`."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def safe_for(stream: TextIO, text: str) -> str:
    """Text fit for a stream: on a terminal without the control characters a model may have written."""
    if not stream.isatty():
        return text
    return "".join(char for char in text if char.isprintable() or char in _LAYOUT or char == "\u200d")
