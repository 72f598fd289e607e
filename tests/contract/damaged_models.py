"""Models in the hub's own cache layout, whole or with exactly one thing wrong.

Blobs are named by the true digest of their content (sha256 for what the Hub keeps in LFS or Xet, git blob
sha1 for the rest) and weights are real safetensors files, so that a whole model passes deep verification.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy
from safetensors.numpy import save

__all__ = ["DAMAGED", "CachedModel", "healthy_model", "healthy_sharded_model", "healthy_vision_model"]

COMMIT = "1234567890abcdef1234567890abcdef12345678"
LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 4096\n"
INDEX = "model.safetensors.index.json"
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")

_IN_LFS = (".safetensors", "tokenizer.json")


@dataclass(frozen=True)
class CachedModel:
    """One repository in a cache, and the snapshot that was written last."""

    repository: Path
    commit: str = COMMIT

    @property
    def snapshot(self) -> Path:
        """The directory of the snapshot."""
        return self.repository / "snapshots" / self.commit

    def add(self, name: str, content: bytes) -> Path:
        """Add or replace a file as the hub client would; returns its blob."""
        digest = digest_of(content, lfs=name.endswith(_IN_LFS))
        blob = self.repository / "blobs" / digest
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(content)
        link = self.snapshot / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
        return blob

    def add_json(self, name: str, value: object) -> Path:
        """Add or replace a JSON document; returns its blob."""
        return self.add(name, json.dumps(value, indent=2).encode())

    def blob(self, name: str) -> Path:
        """The blob that a file of the snapshot leads to."""
        return (self.snapshot / name).parent / (self.snapshot / name).readlink()

    def refer(self, ref: str, commit: str | None = None) -> None:
        """Let a branch or tag name a commit, by default this one."""
        path = self.repository / "refs" / ref
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(commit or self.commit)


def digest_of(content: bytes, *, lfs: bool) -> str:
    """The name the hub gives a blob: sha256, or git's blob sha1."""
    if lfs:
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def weights(*tensors: str) -> bytes:
    """A real safetensors file with small tensors of these names, as MLX marks them."""
    return save({name: numpy.ones((4, 8), numpy.float32) for name in tensors}, {"format": "mlx"})


def healthy_model(root: Path, repo_id: str, *, commit: str = COMMIT) -> CachedModel:
    """A whole chat model with one weight file."""
    model = _without_weights(root, repo_id, commit)
    model.add("model.safetensors", weights("a.weight", "b.weight"))
    return model


def healthy_sharded_model(root: Path, repo_id: str, *, commit: str = COMMIT) -> CachedModel:
    """A whole chat model with two shards and their index."""
    model = _without_weights(root, repo_id, commit)
    model.add(SHARDS[0], weights("a.weight"))
    model.add(SHARDS[1], weights("b.weight"))
    _write_index(model, {"a.weight": SHARDS[0], "b.weight": SHARDS[1]})
    return model


def healthy_vision_model(root: Path, repo_id: str) -> CachedModel:
    """A whole model that sees."""
    model = healthy_model(root, repo_id)
    model.add_json("config.json", {"model_type": "qwen2_vl", "vision_config": {"depth": 2}, **_QUANTIZATION})
    model.add_json("preprocessor_config.json", {"image_processor_type": "Qwen2VLImageProcessor"})
    return model


_QUANTIZATION = {"quantization": {"bits": 4, "group_size": 64}}


def _without_weights(root: Path, repo_id: str, commit: str) -> CachedModel:
    model = CachedModel(root / f"models--{repo_id.replace('/', '--')}", commit)
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "max_position_embeddings": 2048}
    model.add_json("config.json", {**config, **_QUANTIZATION})
    model.add_json("tokenizer_config.json", {"chat_template": "{{ messages[0].content }}"})
    model.add("tokenizer.json", b'{"version": "1.0"}')
    model.add("README.md", b"---\nlibrary_name: mlx\ntags:\n- mlx\n- test\n---\n# A model\n")
    model.refer("main")
    return model


def _write_index(model: CachedModel, weight_map: Mapping[str, str]) -> None:
    model.add_json(INDEX, {"metadata": {"total_size": 256}, "weight_map": dict(weight_map)})


def _rename(model: CachedModel, old: str, new: str) -> None:
    (model.snapshot / old).rename(model.snapshot / new)


def _shortened(model: CachedModel, name: str, size: int) -> None:
    os.truncate(model.blob(name), size)


def _config_missing(root: Path, repo_id: str) -> CachedModel:
    model = healthy_model(root, repo_id)
    (model.snapshot / "config.json").unlink()
    return model


def _config_invalid(root: Path, repo_id: str) -> CachedModel:
    model = healthy_model(root, repo_id)
    model.add("config.json", b'{"model_type": "llama", ')
    return model


def _no_weights(root: Path, repo_id: str) -> CachedModel:
    model = healthy_model(root, repo_id)
    (model.snapshot / "model.safetensors").unlink()
    return model


def _index_invalid(root: Path, repo_id: str) -> CachedModel:
    model = healthy_sharded_model(root, repo_id)
    model.add_json(INDEX, {"weight_map": {}})
    return model


def _shard_missing(root: Path, repo_id: str) -> CachedModel:
    model = healthy_sharded_model(root, repo_id)
    (model.snapshot / SHARDS[1]).unlink()
    return model


def _shard_totals_inconsistent(root: Path, repo_id: str) -> CachedModel:
    """A shard of an older upload, in three pieces, lies among the two of this one."""
    model = healthy_sharded_model(root, repo_id)
    model.add("model-00003-of-00003.safetensors", weights("c.weight"))
    return model


def _shard_empty(root: Path, repo_id: str) -> CachedModel:
    model = healthy_sharded_model(root, repo_id)
    _shortened(model, SHARDS[1], 0)
    return model


def _index_mismatch(root: Path, repo_id: str) -> CachedModel:
    """The index names other shards than are there (mlx-vlm issue 624)."""
    model = healthy_sharded_model(root, repo_id)
    _write_index(model, {"a.weight": "model-00001-of-00009.safetensors"})
    return model


def _index_absent_for_shards(root: Path, repo_id: str) -> CachedModel:
    model = healthy_sharded_model(root, repo_id)
    (model.snapshot / INDEX).unlink()
    return model


def _tensor_not_in_shard(root: Path, repo_id: str) -> CachedModel:
    model = healthy_sharded_model(root, repo_id)
    _write_index(model, {"a.weight": SHARDS[0], "b.weight": SHARDS[1], "c.weight": SHARDS[1]})
    return model


def _lfs_pointer(root: Path, repo_id: str) -> CachedModel:
    model = healthy_model(root, repo_id)
    model.add("model.safetensors", LFS_POINTER)
    return model


def _safetensors_header_invalid(root: Path, repo_id: str) -> CachedModel:
    model = healthy_model(root, repo_id)
    content = weights("a.weight")
    model.add("model.safetensors", content[:8] + b"?" + content[9:])
    return model


def _safetensors_truncated(root: Path, repo_id: str) -> CachedModel:
    model = healthy_model(root, repo_id)
    _shortened(model, "model.safetensors", model.blob("model.safetensors").stat().st_size - 16)
    return model


def _safetensors_oversized(root: Path, repo_id: str) -> CachedModel:
    model = healthy_model(root, repo_id)
    model.add("model.safetensors", weights("a.weight") + bytes(16))
    return model


def _partial_download(root: Path, repo_id: str) -> CachedModel:
    """Another tool's unfinished download lies in the snapshot."""
    model = healthy_model(root, repo_id)
    (model.snapshot / "extra.safetensors.partial").write_bytes(b"half")
    return model


def _broken_link(root: Path, repo_id: str) -> CachedModel:
    model = healthy_model(root, repo_id)
    model.blob("model.safetensors").unlink()
    return model


def _path_escapes_snapshot(root: Path, repo_id: str) -> CachedModel:
    model = healthy_model(root, repo_id)
    outside = root.parent / f"outside-{model.repository.name}.safetensors"
    outside.write_bytes(weights("a.weight"))
    link = model.snapshot / "model.safetensors"
    link.unlink()
    link.symlink_to(outside)
    return model


def _tokenizer_missing(root: Path, repo_id: str) -> CachedModel:
    model = healthy_model(root, repo_id)
    (model.snapshot / "tokenizer.json").unlink()
    return model


def _tokenizer_config_invalid(root: Path, repo_id: str) -> CachedModel:
    model = healthy_model(root, repo_id)
    model.add("tokenizer_config.json", b"[]")
    return model


def _processor_missing(root: Path, repo_id: str) -> CachedModel:
    model = healthy_vision_model(root, repo_id)
    (model.snapshot / "preprocessor_config.json").unlink()
    return model


def _processor_invalid(root: Path, repo_id: str) -> CachedModel:
    model = healthy_vision_model(root, repo_id)
    model.add("preprocessor_config.json", b"{")
    return model


DAMAGED: Mapping[str, Callable[[Path, str], CachedModel]] = {
    "config_missing": _config_missing,
    "config_invalid": _config_invalid,
    "no_weights": _no_weights,
    "index_invalid": _index_invalid,
    "shard_missing": _shard_missing,
    "shard_totals_inconsistent": _shard_totals_inconsistent,
    "shard_empty": _shard_empty,
    "index_mismatch": _index_mismatch,
    "index_absent_for_shards": _index_absent_for_shards,
    "tensor_not_in_shard": _tensor_not_in_shard,
    "lfs_pointer": _lfs_pointer,
    "safetensors_header_invalid": _safetensors_header_invalid,
    "safetensors_truncated": _safetensors_truncated,
    "safetensors_oversized": _safetensors_oversized,
    "partial_download": _partial_download,
    "broken_link": _broken_link,
    "path_escapes_snapshot": _path_escapes_snapshot,
    "tokenizer_missing": _tokenizer_missing,
    "tokenizer_config_invalid": _tokenizer_config_invalid,
    "processor_missing": _processor_missing,
    "processor_invalid": _processor_invalid,
}
"""What is wrong (a health finding's code) to a function that writes such a model into a cache."""
