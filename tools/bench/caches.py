"""Caches to measure with: many models in the hub's own layout, with real headers and no real weights.

Weight files are sparse: a true safetensors header, then a hole of the size it claims. About one model in
ten is broken, each in another way. The same seed gives the same cache.
"""

import hashlib
import json
import os
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Shape", "build_cache"]

_GIB = 1024**3
_FAMILIES = ("llama", "qwen3", "mistral", "gemma3", "phi3", "whisper", "bert", "qwen2_vl")
_TENSORS_PER_LAYER = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_BROKEN_EVERY = 10


@dataclass(frozen=True, slots=True)
class Shape:
    """What the models of a cache are like.

    Attributes:
        models: how many.
        layers: decoder layers, which sets the length of the headers (21 quantized tensors each).
        added_tokens: entries of `added_tokens_decoder`, which sets the size of tokenizer_config.json.
    """

    models: int
    layers: int = 16
    added_tokens: int = 64


def build_cache(root: Path, shape: Shape, *, seed: int = 7) -> Path:
    """Write a cache of `shape.models` models under `root`, which is created; returns `root`."""
    chance = random.Random(seed)
    root.mkdir(parents=True, exist_ok=True)
    for number in range(shape.models):
        repository = _Repository(root, f"mlx-community/Model-{number:04d}-4bit", chance)
        _fill(repository, shape, number)
        if number % _BROKEN_EVERY == _BROKEN_EVERY - 1:
            _DAMAGE[(number // _BROKEN_EVERY) % len(_DAMAGE)](repository)
    return root


class _Repository:
    """One `models--org--name` directory being written."""

    def __init__(self, root: Path, name: str, chance: random.Random) -> None:
        self.name = name
        self.chance = chance
        self.commit = f"{chance.getrandbits(160):040x}"
        self.path = root / f"models--{name.replace('/', '--')}"
        self.snapshot = self.path / "snapshots" / self.commit
        for directory in (self.path / "blobs", self.path / "refs", self.snapshot):
            directory.mkdir(parents=True)
        (self.path / "refs" / "main").write_text(self.commit)

    def add(self, name: str, content: bytes, *, size: int | None = None) -> None:
        """Add a file of `content`, extended by a hole to `size` bytes."""
        digest = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        if size is not None:
            digest = f"{self.chance.getrandbits(256):064x}"
        blob = self.path / "blobs" / digest
        blob.write_bytes(content)
        if size is not None:
            os.truncate(blob, size)
        (self.snapshot / name).symlink_to(f"../../blobs/{digest}")

    def blob_of(self, name: str) -> Path:
        """The blob a file of the snapshot leads to."""
        return (self.snapshot / name).resolve()


def _fill(repository: _Repository, shape: Shape, number: int) -> None:
    family = _FAMILIES[number % len(_FAMILIES)]
    config = {
        "architectures": ["AnyForCausalLM"],
        "model_type": family,
        "max_position_embeddings": 32768,
        "num_hidden_layers": shape.layers,
        "quantization": {"group_size": 64, "bits": 4},
    }
    repository.add("config.json", json.dumps(config | {"serial": number}, indent=2).encode())
    repository.add("generation_config.json", b'{"temperature": 0.7, "serial": %d}' % number)
    repository.add("tokenizer_config.json", _tokenizer_config(shape, number))
    repository.add("tokenizer.json", b"{}", size=2_000_000)
    repository.add("special_tokens_map.json", b'{"eos_token": "</s>", "serial": %d}' % number)
    repository.add("README.md", _readme(repository.name).encode())
    _add_weights(repository, shape, shards=3 if number % 4 == 0 else 1)


def _tokenizer_config(shape: Shape, number: int) -> bytes:
    added = {
        str(token): {"content": f"<|reserved_{token}|>", "lstrip": False, "special": True}
        for token in range(shape.added_tokens)
    }
    template = "{% for message in messages %}{{ message.content }}{% endfor %}"
    document = {"added_tokens_decoder": added, "chat_template": template, "serial": number}
    return json.dumps(document, indent=2).encode()


def _readme(name: str) -> str:
    front = f"---\nlibrary_name: mlx\nlicense: apache-2.0\nbase_model: any/{name}\n"
    return (
        front
        + "pipeline_tag: text-generation\ntags:\n- mlx\n- conversational\n---\n\n# "
        + name
        + "\n\nSome words about it.\n" * 60
    )


def _add_weights(repository: _Repository, shape: Shape, *, shards: int) -> None:
    weight_map: dict[str, str] = {}
    for shard in range(shards):
        name = f"model-{shard + 1:05d}-of-{shards:05d}.safetensors" if shards > 1 else "model.safetensors"
        names = [
            f"model.layers.{layer}.{tensor}.{part}"
            for layer in range(shard, shape.layers, shards)
            for tensor in _TENSORS_PER_LAYER
            for part in ("weight", "scales", "biases")
        ]
        header, size = _header(names, _GIB // shards)
        repository.add(name, header, size=size)
        weight_map |= dict.fromkeys(names, name)
    if shards > 1:
        index = {"metadata": {"total_size": _GIB}, "weight_map": weight_map}
        repository.add("model.safetensors.index.json", json.dumps(index, indent=2).encode())


def _header(names: list[str], about: int) -> tuple[bytes, int]:
    """A safetensors header for tensors of `about` bytes together, and the size of the whole file."""
    each = about // len(names) // 4 * 4
    entries: dict[str, object] = {"__metadata__": {"format": "mlx"}}
    for position, name in enumerate(names):
        entries[name] = {
            "data_offsets": [position * each, (position + 1) * each],
            "dtype": "U32",
            "shape": [each // 4],
        }
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text, 8 + len(text) + each * len(names)


def _weights(repository: _Repository) -> str:
    return min(path.name for path in repository.snapshot.glob("*.safetensors"))


def _lose_blob(repository: _Repository) -> None:
    repository.blob_of(_weights(repository)).unlink()


def _cut_short(repository: _Repository) -> None:
    blob = repository.blob_of(_weights(repository))
    os.truncate(blob, blob.stat().st_size // 2)


def _lose_config(repository: _Repository) -> None:
    (repository.snapshot / "config.json").unlink()


def _spoil_config(repository: _Repository) -> None:
    repository.blob_of("config.json").write_text("{")


def _empty_weights(repository: _Repository) -> None:
    os.truncate(repository.blob_of(_weights(repository)), 0)


def _lose_tokenizer(repository: _Repository) -> None:
    (repository.snapshot / "tokenizer.json").unlink()


_DAMAGE: tuple[Callable[[_Repository], None], ...] = (
    _lose_blob,
    _cut_short,
    _lose_config,
    _spoil_config,
    _empty_weights,
    _lose_tokenizer,
)
