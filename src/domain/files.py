"""What a file of a model is for, by its name."""

from enum import Enum
from functools import lru_cache

__all__ = [
    "FileRole",
    "is_documentation",
    "is_partial_download",
    "is_vocabulary",
    "is_weight_file",
    "role_of",
]

WEIGHT_SUFFIXES = (".safetensors", ".gguf", ".bin", ".npz", ".pt", ".pth")
PARTIAL_SUFFIXES = (".incomplete", ".partial", ".tmp")

_TRAINING_STATE = frozenset(
    {"training_args.bin", "optimizer.bin", "optimizer.pt", "rng_state.pth", "scheduler.bin", "scheduler.pt"}
)
# LoRA weights change a model and are none: of mlx-lm (also its numbered checkpoints) and of PEFT.
_ADAPTER_SUFFIXES = ("adapters.safetensors", "adapter_model.safetensors", "adapter_model.bin")
# `.model`: SentencePiece and tiktoken files go by many names (`spiece.model`, Kimi's `tiktoken.model`).
_VOCABULARY_NAMES = frozenset({"tekken.json", "tokenizer.json", "tokenizer.jsonl", "vocab.json", "vocab.txt"})
_VOCABULARY_PREFIXES = ("rwkv_vocab", "tokenizer.model")
_VOCABULARY_SUFFIXES = (".model", ".spm", ".tiktoken")
_TOKENIZER_EXTRAS = frozenset({"merges.txt", "added_tokens.json", "special_tokens_map.json"})
# Without suffix or as `.txt`. Other text files may be needed: merges, vocabularies, token lists.
_DOCUMENTATION_STEMS = frozenset(
    {"changelog", "copying", "license", "notice", "readme", "requirements", "use_policy"}
)
_GIT_NAMES = frozenset({".gitattributes", ".gitignore"})
_DOCUMENTATION_SUFFIXES = (".md", ".pdf", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg", ".mp4")
_CONFIG_SUFFIXES = (".json", ".jinja", ".yaml", ".yml")


class FileRole(Enum):
    """What a file is for, in the words of the JSON contract."""

    WEIGHTS = "weights"
    TOKENIZER = "tokenizer"
    CONFIG = "config"
    OTHER = "other"


@lru_cache(maxsize=4096)  # the same few names recur in every model
def role_of(path: str) -> FileRole:
    """The role of a file, by its name."""
    name = path.rpartition("/")[2]
    if name.endswith(WEIGHT_SUFFIXES) and name not in _TRAINING_STATE:
        return FileRole.WEIGHTS
    if is_vocabulary(name) or name in _TOKENIZER_EXTRAS:
        return FileRole.TOKENIZER
    if name.endswith(_CONFIG_SUFFIXES):
        return FileRole.CONFIG
    return FileRole.OTHER


@lru_cache(maxsize=4096)
def is_weight_file(path: str) -> bool:
    """Whether a path holds a model's weights where runtimes look for them.

    That is at its top; only GGUF repositories keep each of their quantizations in a folder.
    """
    if path.endswith(".gguf"):
        return True
    return "/" not in path and role_of(path) is FileRole.WEIGHTS and not path.endswith(_ADAPTER_SUFFIXES)


def is_vocabulary(path: str) -> bool:
    """Whether a file alone can be the heart of a tokenizer, at the top of the model."""
    return "/" not in path and (
        path in _VOCABULARY_NAMES
        or path.startswith(_VOCABULARY_PREFIXES)
        or path.endswith(_VOCABULARY_SUFFIXES)
    )


def is_documentation(path: str) -> bool:
    """Whether a file is for people only, so that no runtime misses it."""
    name = path.rpartition("/")[2].lower()
    return (
        name in _GIT_NAMES
        or name.removesuffix(".txt") in _DOCUMENTATION_STEMS
        or name.endswith(_DOCUMENTATION_SUFFIXES)
    )


def is_partial_download(path: str) -> bool:
    """Whether a file is what an interrupted download leaves behind."""
    return path.endswith(PARTIAL_SUFFIXES)
