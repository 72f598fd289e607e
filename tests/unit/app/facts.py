"""Facts of small models, for tests of use cases."""

from mlxk.domain.model import FileFact, FrontMatter, JsonObject, SafetensorsHeader, SnapshotFacts

__all__ = ["LLAMA", "MLX", "facts_of", "weights"]

LLAMA: JsonObject = {"model_type": "llama", "max_position_embeddings": 8192}
MLX = FrontMatter(tags=("mlx",))
NO_CARD = FrontMatter()


def weights(path: str = "model.safetensors", *, missing: int = 0) -> FileFact:
    """A safetensors file of 1,000 bytes, of which the last `missing` are not there."""
    return FileFact(path, 1000 - missing, header=SafetensorsHeader(frozenset({"a.weight"}), 1000))


def facts_of(
    name: str,
    *files: FileFact,
    config: JsonObject | None = LLAMA,
    card: FrontMatter = NO_CARD,
    chat_template: bool = False,
) -> SnapshotFacts:
    """A model with these files (weights when none are given) and, unless it is None, a config.json."""
    listed = list(files or (weights(),))
    if config is not None:
        listed.append(FileFact("config.json", 10))
    documents = {} if config is None else {"config.json": config}
    return SnapshotFacts(
        name, tuple(sorted(listed, key=lambda file: file.path)), documents, chat_template, card
    )
