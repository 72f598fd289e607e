"""Type, shape and size of every tensor, from the headers of safetensors files; weights are not read."""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from mlxk.adapters.bounded_read import describe, open_regular
from mlxk.adapters.safetensors_header import MAX_HEADER
from mlxk.domain.model import HeaderProblem
from mlxk.domain.tensors import TensorFact

__all__ = ["HeaderTensorReader", "read_tensors"]

_LENGTH_BYTES = 8
_METADATA = "__metadata__"


class _Entry(msgspec.Struct, gc=False):
    dtype: str = ""
    shape: tuple[int, ...] = ()
    data_offsets: tuple[int, int] = (0, 0)


_HEADER = msgspec.json.Decoder(dict[str, _Entry])


class HeaderTensorReader:
    """Reads tensors from headers."""

    def tensors(self, file: Path) -> Mapping[str, TensorFact]:
        """The tensors of one safetensors file by name; none where its header cannot be read."""
        found = read_tensors(file)
        return {} if isinstance(found, HeaderProblem) else found


def read_tensors(file: Path) -> Mapping[str, TensorFact] | HeaderProblem:
    """The tensors of one safetensors file by name, or why there are none. Never raises for bad data."""
    try:
        text = _header_of(file)
    except OSError as error:
        return HeaderProblem(describe(error))
    if text is None:
        return HeaderProblem("its header is not that of a safetensors file")
    try:
        entries = _HEADER.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return HeaderProblem("its header is not that of a safetensors file")
    entries.pop(_METADATA, None)
    return {name: _tensor(entry) for name, entry in entries.items()}


def _header_of(file: Path) -> bytes | None:
    descriptor, status = open_regular(file)
    try:
        length = int.from_bytes(os.pread(descriptor, _LENGTH_BYTES, 0), "little")
        if length > min(MAX_HEADER, status.st_size - _LENGTH_BYTES):
            return None
        return os.pread(descriptor, length, _LENGTH_BYTES)
    finally:
        os.close(descriptor)


def _tensor(entry: _Entry) -> TensorFact:
    begin, end = entry.data_offsets
    return TensorFact(entry.dtype, entry.shape, max(end - begin, 0))
