"""The header of a safetensors file: which tensors it holds and where its data ends.

Layout: 8-byte little-endian header length N, N bytes of JSON, tensor data. Each entry but `__metadata__`
has `data_offsets: [begin, end]`, relative to the start of the data. N is at most 100 MB (safetensors
format description, "Format").
"""

import os
from collections.abc import Iterable
from operator import le

import msgspec

from mlxk.adapters.bounded_read import describe
from mlxk.domain.model import HeaderProblem, SafetensorsHeader

__all__ = ["MAX_HEADER", "parse_header", "read_header"]

MAX_HEADER = 100 * 1024 * 1024
"""Most bytes of JSON a header may have."""

_LENGTH_BYTES = 8
_MAX_OFFSET = 2**63 - 1


def read_header(descriptor: int, size: int) -> SafetensorsHeader | HeaderProblem:
    """Read the header of an open safetensors file of `size` bytes. Never raises for bad data."""
    if size < _LENGTH_BYTES:
        return HeaderProblem(f"{size} bytes are too few for a header")
    try:
        length = int.from_bytes(os.pread(descriptor, _LENGTH_BYTES, 0), "little")
        if length > MAX_HEADER:
            return HeaderProblem(f"its header claims {length} bytes, at most {MAX_HEADER} are allowed")
        if length > size - _LENGTH_BYTES:
            return HeaderProblem(f"its header claims {length} bytes, the file has {size}")
        text = os.pread(descriptor, length, _LENGTH_BYTES)
    except OSError as error:
        return HeaderProblem(describe(error))
    return parse_header(text)


class _Entry(msgspec.Struct, gc=False):
    """What is read of an entry: a tensor's place, or the writer's name in `__metadata__`."""

    data_offsets: tuple[int, int] | None = None
    format: str | None = None


# Typed decoding builds only what is asked for; headers are most of what a listing parses.
_HEADER = msgspec.json.Decoder(dict[str, _Entry])


def parse_header(text: bytes) -> SafetensorsHeader | HeaderProblem:
    """Parse the JSON of a header. Never raises for bad data."""
    if not text.startswith(b"{"):
        return HeaderProblem("its header does not begin with '{'")
    try:
        entries = _HEADER.decode(text)
    except msgspec.ValidationError as error:
        return HeaderProblem(f"its header is not that of a safetensors file: {error}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return HeaderProblem("its header is not valid JSON")
    metadata = entries.pop("__metadata__", _Entry())
    end = _data_end(entries.values())
    if end is None:
        return HeaderProblem(f"its header gives no usable offsets for one of its {len(entries)} tensors")
    return SafetensorsHeader(frozenset(entries), _LENGTH_BYTES + len(text) + end, metadata.format)


def _data_end(tensors: Iterable[_Entry]) -> int | None:
    """The largest end of a tensor; None when one has no offsets, or ends before it begins."""
    offsets = [tensor.data_offsets for tensor in tensors]
    if not offsets:
        return 0
    if None in offsets:
        return None
    # Headers have thousands of tensors, so the good case runs without a loop of Python.
    begins, ends = zip(*offsets, strict=True)
    furthest: int = max(ends)
    return furthest if min(begins) >= 0 and furthest <= _MAX_OFFSET and all(map(le, begins, ends)) else None
