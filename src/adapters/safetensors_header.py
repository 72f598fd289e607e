"""The header of a safetensors file: which tensors it holds and where its data ends.

Layout: 8-byte little-endian header length N, N bytes of JSON, tensor data. Each entry but `__metadata__`
has `data_offsets: [begin, end]`, relative to the start of the data. N is at most 100 MB (safetensors
format description, "Format").
"""

import json
import os
from collections.abc import Mapping
from operator import le

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


def parse_header(text: bytes) -> SafetensorsHeader | HeaderProblem:
    """Parse the JSON of a header. Never raises for bad data."""
    if not text.startswith(b"{"):
        return HeaderProblem("its header does not begin with '{'")
    try:
        entries = json.loads(text.decode())
    except (ValueError, RecursionError):
        return HeaderProblem("its header is not valid JSON")
    metadata = entries.pop("__metadata__", None) or {}
    end = _data_end(entries)
    if isinstance(end, HeaderProblem):
        return end
    return SafetensorsHeader(frozenset(entries), _LENGTH_BYTES + len(text) + end, _strings(metadata))


def _data_end(entries: Mapping[str, object]) -> int | HeaderProblem:
    """The largest end of a tensor; headers have thousands of them, so the good case runs without a loop."""
    if not entries:
        return 0
    try:
        begins, ends = zip(*[entry["data_offsets"] for entry in entries.values()], strict=True)  # type: ignore[index]
    except (TypeError, KeyError, ValueError):
        return _unusable(entries)
    integers = {*map(type, begins), *map(type, ends)} == {int}  # `True` is an int, but no offset
    if not integers or min(begins) < 0 or max(ends) > _MAX_OFFSET or not all(map(le, begins, ends)):
        return _unusable(entries)
    furthest: int = max(ends)
    return furthest


def _unusable(entries: Mapping[str, object]) -> HeaderProblem:
    return HeaderProblem(f"its header gives no usable offsets for one of its {len(entries)} tensors")


def _strings(metadata: object) -> Mapping[str, str]:
    if not isinstance(metadata, Mapping):
        return {}
    return {key: value for key, value in metadata.items() if isinstance(value, str)}
