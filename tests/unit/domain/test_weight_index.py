"""The index of weights: as huggingface_hub writes it."""

import json
from pathlib import Path

import pytest

from mlxk.domain.errors import ErrorKind, MlxkError
from mlxk.domain.tensors import TensorFact, packed_bytes
from mlxk.domain.weight_index import ShardTensors, index_text


def test_it_is_what_the_hubs_own_library_writes(tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    from huggingface_hub import split_state_dict_into_shards_factory

    state = {f"layer.{number}.weight": numpy.zeros((4, 4), numpy.float32) for number in (0, 1, 10, 2)}
    split = split_state_dict_into_shards_factory(
        state,
        get_storage_size=lambda array: int(array.nbytes),
        filename_pattern="model{suffix}.safetensors",
        max_shard_size=128,
    )
    expected = {
        "metadata": {"total_size": split.metadata["total_size"]},
        "weight_map": split.tensor_to_filename,
    }
    shards = [
        ShardTensors(path, tuple(names), sum(state[name].nbytes for name in names))
        for path, names in split.filename_to_tensors.items()
    ]
    assert len(shards) > 1
    assert index_text(shards) == json.dumps(expected, indent=2, sort_keys=True) + "\n"


def test_a_tensor_in_two_shards_is_refused() -> None:
    with pytest.raises(MlxkError) as told:
        index_text([ShardTensors("a", ("x", "y"), 1), ShardTensors("b", ("y",), 1)])
    assert told.value.kind is ErrorKind.OPERATION
    assert "y is in a and in b" in told.value.message


@pytest.mark.parametrize(
    ("bits", "from_bits", "expected"),
    [(4, None, 512 * 4 // 8), (8, None, 512), (16, 4, 1024), (2, 4, 128)],
)
def test_the_least_size_of_the_result(bits: int, from_bits: int | None, expected: int) -> None:
    packed = TensorFact("U32", (8, 8), 256)
    opened = TensorFact("BF16", (8, 64), 1024)
    tensors = {"a.weight": packed if from_bits else opened, "norm.weight": TensorFact("F32", (8,), 32)}
    assert packed_bytes(tensors, bits=bits, from_bits=from_bits) == expected
