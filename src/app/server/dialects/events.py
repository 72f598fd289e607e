"""Server-sent events, written."""

from collections.abc import Iterable
from typing import TypeAlias

import msgspec

from mlxk.domain.model import JsonObject

__all__ = ["Event", "document", "named_events"]

Event: TypeAlias = tuple[str, JsonObject]
"""An event's name and its data."""

_ENCODER = msgspec.json.Encoder()


def document(value: JsonObject) -> bytes:
    """A JSON document."""
    return _ENCODER.encode(value)


def named_events(events: Iterable[Event]) -> bytes:
    """Events with their names, each ended by an empty line; no events are no bytes."""
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (name.encode("ascii"), _ENCODER.encode(data)) for name, data in events
    )
