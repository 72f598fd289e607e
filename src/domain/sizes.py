"""Sizes for people."""

__all__ = ["human_size"]

_UNITS = ("B", "KB", "MB", "GB", "TB", "PB")


def human_size(count: int) -> str:
    """Bytes in decimal units with one digit, as the Hub and Finder count them: `588B`, `1.2KB`, `4.3GB`."""
    size = float(count)
    for unit in _UNITS[:-1]:
        if size < 999.95:
            return f"{count}B" if unit == "B" else f"{size:.1f}{unit}"
        size /= 1000
    return f"{size:.1f}{_UNITS[-1]}"
