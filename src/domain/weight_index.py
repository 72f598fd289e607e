"""`model.safetensors.index.json`: which shards it covers and what it says, as huggingface_hub writes it.

Source: `huggingface_hub.save_torch_state_dict`: `metadata.total_size` is the bytes of all tensors,
`weight_map` names each tensor's file; keys sorted, two spaces, a newline at the end.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mlxk.domain.errors import ErrorKind, MlxkError
from mlxk.domain.model import SnapshotFacts
from mlxk.domain.weights import MAIN_INDEX, weight_files

__all__ = ["MAIN_INDEX", "ShardTensors", "index_text", "indexable_shards"]


@dataclass(frozen=True, slots=True)
class ShardTensors:
    """The tensors of one shard: their names, and the bytes of them all."""

    path: str
    names: tuple[str, ...]
    size: int


def indexable_shards(facts: SnapshotFacts) -> tuple[str, ...]:
    """The safetensors files that the index is about, sorted.

    Runtimes load `model*.safetensors`; beside those, files of other names are a second form of the weights
    (`consolidated.safetensors`) and stay out. Where there are none, all count.
    """
    names = sorted(file.path for file in weight_files(facts) if file.path.endswith(".safetensors"))
    return tuple(name for name in names if name.startswith("model")) or tuple(names)


def index_text(shards: Iterable[ShardTensors]) -> str:
    """The content of the index file for some shards, which are looked at one after the other.

    Raises:
        MlxkError: (`OPERATION`) two shards hold a tensor of the same name; it is not clear which counts.
    """
    weight_map: dict[str, str] = {}
    total = 0
    for shard in shards:
        _add(weight_map, shard)
        total += shard.size
    document: Mapping[str, object] = {"metadata": {"total_size": total}, "weight_map": weight_map}
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def _add(weight_map: dict[str, str], shard: ShardTensors) -> None:
    for name in shard.names:
        other = weight_map.setdefault(name, shard.path)
        if other != shard.path:
            raise MlxkError(
                ErrorKind.OPERATION,
                f"The tensor {name} is in {other} and in {shard.path}.",
                hint="two sets of weights lie side by side; remove the one that is left over",
            )
