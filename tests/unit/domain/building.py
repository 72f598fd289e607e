"""Facts for the tests: small whole models, made of values and changed at will."""

from collections.abc import Iterable, Mapping

from mlxk.domain.findings import Code
from mlxk.domain.health import assess
from mlxk.domain.model import (
    Document,
    FileFact,
    FrontMatter,
    JsonObject,
    JsonValue,
    ModelRecord,
    SafetensorsHeader,
    SnapshotFacts,
    Source,
)

LLAMA: JsonObject = {"model_type": "llama", "max_position_embeddings": 8192}
SEEING: JsonObject = {"model_type": "mllama", "vision_config": {"depth": 2}}
NO_CARD = FrontMatter()


def weights(
    path: str = "model.safetensors",
    *tensors: str,
    missing: int = 0,
    written_by: str | None = None,
) -> FileFact:
    """A safetensors file that ends where its header says, or `missing` bytes before."""
    header = SafetensorsHeader(frozenset(tensors or ("embed.weight",)), 1000, written_by)
    return FileFact(path, 1000 - missing, header=header)


def shards(*numbers: int, of: int, prefix: str = "model", width: int = 5) -> list[FileFact]:
    """Numbered safetensors shards, each with one tensor named after its number."""
    return [weights(shard_name(number, of, prefix, width), f"layer.{number}") for number in numbers]


def shard_name(number: int, of: int, prefix: str = "model", width: int = 5) -> str:
    return f"{prefix}-{number:05d}-of-{of:0{width}d}.safetensors"


def index(files: Iterable[FileFact]) -> JsonObject:
    """The index that fits some safetensors files."""
    weight_map: dict[str, JsonValue] = {}
    for file in files:
        assert isinstance(file.header, SafetensorsHeader)
        weight_map.update(dict.fromkeys(sorted(file.header.tensors), file.path))
    return {"metadata": {"total_size": 1}, "weight_map": weight_map}


def model(
    name: str = "org/model",
    *files: FileFact,
    config: Document | None = LLAMA,
    documents: Mapping[str, Document] | None = None,
    also: Iterable[str] = (),
    card: FrontMatter = NO_CARD,
    chat_template: bool = False,
    unreadable: tuple[tuple[str, str], ...] = (),
) -> SnapshotFacts:
    """A model with these weight files (one whole one when none are given) and documents.

    Every document is listed as a file, and so is each of `also`; `config=None` leaves config.json out.
    """
    found = dict(documents or {})
    if config is not None:
        found["config.json"] = config
    listed = {file.path: file for file in files or (weights(),)}
    for path in (*found, *also):
        listed.setdefault(path, FileFact(path, 10))
    return SnapshotFacts(
        name, tuple(listed[path] for path in sorted(listed)), found, chat_template, card, unreadable
    )


def codes(facts: SnapshotFacts) -> list[Code]:
    """The codes of all errors, in order of precedence."""
    return [finding.code for finding in assess(facts).errors]


def reason(facts: SnapshotFacts) -> str:
    return assess(facts).reason


def cached(name: str) -> ModelRecord:
    return ModelRecord(name, f"/cache/{name.replace('/', '--')}/snapshots/{'a' * 40}", Source.CACHE, "a" * 40)


def workspace(directory: str) -> ModelRecord:
    return ModelRecord(f"/home/{directory}", f"/home/{directory}", Source.WORKSPACE)


def bundled(name: str) -> ModelRecord:
    return ModelRecord(name, f"/package/{name}", Source.BUNDLED)
