"""Headers of real files, as the safetensors library and MLX write them, and of files that are none."""

import json
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlx.core as mx
import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file

from mlxk.adapters.safetensors_header import MAX_HEADER, parse_header, read_header
from mlxk.domain.model import HeaderProblem, SafetensorsHeader


@contextmanager
def opened(path: Path) -> Iterator[tuple[int, int]]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor, path.stat().st_size
    finally:
        os.close(descriptor)


def header_of(path: Path) -> SafetensorsHeader | HeaderProblem:
    with opened(path) as (descriptor, size):
        return read_header(descriptor, size)


def written(path: Path, text: bytes, data: bytes = b"") -> Path:
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


@pytest.mark.parametrize("writer", ["safetensors", "mlx"])
def test_it_reads_what_the_library_wrote(tmp_path: Path, writer: str) -> None:
    path = tmp_path / "model.safetensors"
    shapes = {"b.weight": (3, 5), "a": (), "emptiness": (0, 4), "ünïcode": (2,)}
    if writer == "safetensors":
        save_file({name: numpy.zeros(shape) for name, shape in shapes.items()}, path, {"format": "mlx"})
    else:
        mx.save_safetensors(
            str(path), {name: mx.zeros(shape) for name, shape in shapes.items()}, {"format": "mlx"}
        )

    header = header_of(path)
    assert isinstance(header, SafetensorsHeader)
    assert header.data_end == path.stat().st_size
    assert header.format == "mlx"
    with safe_open(path, framework="numpy") as theirs:
        assert header.tensors == set(theirs.keys())


def test_a_file_cut_short_or_grown_keeps_its_claimed_end(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"a": numpy.zeros((4, 4), numpy.float32)}, path)
    size = path.stat().st_size
    for other in (size - 10, size + 10):
        os.truncate(path, other)
        header = header_of(path)
        assert isinstance(header, SafetensorsHeader)
        assert header.data_end == size


def test_no_tensors_are_a_header_too(tmp_path: Path) -> None:
    header = header_of(written(tmp_path / "x", b'{"__metadata__":{}}'))
    assert header == SafetensorsHeader(frozenset(), 8 + 19, None)


OFFSETS = ["[0]", "[0,1,2]", "[1,0]", "[-1,4]", "[0,4.0]", "[true,4]", '["0","4"]', "{}", "null", "[0,1e9]"]
TOO_FAR = f"[0,{2**63}]"
TENSOR = '{"t":{"dtype":"F32","shape":[1],"data_offsets":%s}}'


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b" {}",
        b"null",
        b'{"a":',
        b'{"\xff":1}',
        b'{"t":1}',
        b'{"t":{}}',
        b'{"t":[0,4]}',
        b'{"a":' * 100_000,
        b'{"t":' + b"9" * 5000 + b"}",
        *((TENSOR % offsets).encode() for offsets in [*OFFSETS, TOO_FAR]),
    ],
    ids=lambda text: text[:70].decode(errors="replace"),
)
def test_what_is_no_header_is_a_problem_in_words(tmp_path: Path, text: bytes) -> None:
    header = header_of(written(tmp_path / "x", text))
    assert isinstance(header, HeaderProblem)
    assert header.reason


@pytest.mark.parametrize("size", range(1, 8))
def test_a_file_shorter_than_the_length_field_is_a_problem(tmp_path: Path, size: int) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes(size))
    assert isinstance(header_of(path), HeaderProblem)


@pytest.mark.parametrize("length", [1, 17, MAX_HEADER, MAX_HEADER + 1, 2**63, 2**64 - 1])
def test_a_claimed_length_beyond_the_file_is_never_read(tmp_path: Path, length: int) -> None:
    path = tmp_path / "x"
    path.write_bytes(struct.pack("<Q", length) + b"{}"[: length and 0])
    assert isinstance(header_of(path), HeaderProblem)


@given(st.binary(max_size=200))
def test_no_bytes_raise(text: bytes) -> None:
    parse_header(text)
    parse_header(b"{" + text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text() | st.just("__metadata__"), json_values))
def test_no_json_raises(value: dict[str, object]) -> None:
    parse_header(json.dumps(value).encode())
