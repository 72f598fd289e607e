"""Weight files, their shards and their index: do they belong together?"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import cast

from mlxk.domain.files import is_weight_file
from mlxk.domain.findings import Code, Finding, Remedy
from mlxk.domain.model import WHOLE_MODEL, FileFact, Invalid, JsonObject, SafetensorsHeader, SnapshotFacts

__all__ = ["MAIN_INDEX", "is_sharded", "weight_files", "weight_set_findings"]


def weight_files(facts: SnapshotFacts) -> list[FileFact]:
    """The files that hold the model's weights."""
    return [file for file in facts.files if is_weight_file(file.path)]


def is_sharded(facts: SnapshotFacts) -> bool:
    """Whether the weights come as numbered shards, or under an index."""
    return bool(_shard_sets(facts) or _index_names(facts))


def weight_set_findings(facts: SnapshotFacts) -> Iterator[Finding]:
    """Weights that are absent, shards that are missing or do not belong together, and a wrong index."""
    yield from _weight_presence_findings(facts)
    yield from _shard_findings(facts)
    yield from _index_findings(facts)


def _weight_presence_findings(facts: SnapshotFacts) -> Iterator[Finding]:
    if not weight_files(facts) and not _index_names(facts):
        yield Finding(Code.NO_WEIGHTS, WHOLE_MODEL, "No model weights found", Remedy.FETCH_AGAIN)


MAX_SHARDS = 10_000
"""More shards than any model has; a file name that claims more is not believed."""

_SHARD = re.compile(
    r"(?P<prefix>.*?)(?P<number>[0-9]{4,6})-of-(?P<total>[0-9]{4,6})(?P<suffix>\.\w+)", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class _Shard:
    """One numbered shard; `family` is what its name has before and after the numbers."""

    path: str
    family: tuple[str, str]
    number: int
    total: int
    widths: tuple[int, int]

    def sibling(self, number: int) -> str:
        """The name of another shard; the widths differ in e.g. `model-00001-of-000163.safetensors`."""
        prefix, suffix = self.family
        return f"{prefix}{number:0{self.widths[0]}d}-of-{self.total:0{self.widths[1]}d}{suffix}"


@lru_cache(maxsize=4096)  # the same names recur in every model
def _shard(path: str) -> _Shard | None:
    match = _SHARD.fullmatch(path)
    if match is None:
        return None
    return _Shard(
        path,
        (match["prefix"], match["suffix"]),
        int(match["number"]),
        int(match["total"]),
        (len(match["number"]), len(match["total"])),
    )


def _shard_sets(facts: SnapshotFacts) -> dict[tuple[str, str], list[_Shard]]:
    sets: dict[tuple[str, str], list[_Shard]] = defaultdict(list)
    for file in weight_files(facts):
        shard = _shard(file.path)
        if shard is not None:
            sets[shard.family].append(shard)
    return sets


def _shard_findings(facts: SnapshotFacts) -> Iterator[Finding]:
    indexed = _index_names(facts)
    for (prefix, suffix), shards in _shard_sets(facts).items():
        totals = sorted({shard.total for shard in shards})
        if len(totals) > 1:
            yield Finding(
                Code.SHARD_TOTALS_INCONSISTENT,
                shards[0].path,
                f"Weight shards of different sets are mixed: of {', of '.join(map(str, totals))}",
                Remedy.REMOVE_LEFTOVER,
            )
            continue
        if not all(shard.path in indexed for shard in shards):  # else the index says which belong here
            yield from _gaps(shards)
        if suffix == ".safetensors" and totals[0] > 1 and not _has_an_index(facts):
            name = prefix.removesuffix("-").removesuffix(".safetensors")
            yield Finding(
                Code.INDEX_ABSENT_FOR_SHARDS,
                f"{name}.safetensors.index.json",
                "Safetensors index missing for sharded model",
                Remedy.REPAIR_INDEX,
            )


def _gaps(shards: Sequence[_Shard]) -> Iterator[Finding]:
    """Shards that the names of the others promise; an absurd total is not enumerated."""
    present = {shard.number for shard in shards}
    for number in range(1, min(shards[0].total, MAX_SHARDS) + 1):
        if number not in present:
            yield _missing_shard(shards[0].sibling(number))


def _missing_shard(name: str) -> Finding:
    return Finding(Code.SHARD_MISSING, name, f"Missing weight shards: {name}", Remedy.FETCH_AGAIN)


def _has_an_index(facts: SnapshotFacts) -> bool:
    """Whether any index lies there, usable or not; a variant's too (`….safetensors.index.fp32.json`)."""
    paths = [*facts.documents, *(file.path for file in facts.files)]
    return any(".safetensors.index." in path and "/" not in path for path in paths)


def _indexes(facts: SnapshotFacts) -> list[str]:
    return [path for path in facts.documents if path.endswith(".safetensors.index.json") and "/" not in path]


def _weight_map(index: JsonObject) -> Mapping[str, str] | None:
    """Tensor to shard, or None when the index has no usable map."""
    found = index.get("weight_map")
    if not isinstance(found, Mapping) or set(map(type, found.values())) != {str} or "" in found.values():
        return None
    return cast("Mapping[str, str]", found)


def _index_names(facts: SnapshotFacts) -> frozenset[str]:
    """Every shard that a readable index names."""
    names: set[str] = set()
    for path in _indexes(facts):
        names.update((_weight_map(facts.read(path)) or {}).values())
    return frozenset(names)


def _index_findings(facts: SnapshotFacts) -> Iterator[Finding]:
    for path in _indexes(facts):
        document = facts.document(path)
        if isinstance(document, Invalid):
            yield Finding(
                Code.INDEX_INVALID, path, f"{path} is invalid: {document.reason}", Remedy.REPAIR_INDEX
            )
            continue
        weight_map = _weight_map(facts.read(path))
        if weight_map is None:
            yield Finding(
                Code.INDEX_INVALID, path, f"{path} is invalid: it has no weight map", Remedy.REPAIR_INDEX
            )
            continue
        if not _is_of_weights_not_wanted(facts, path):
            yield from _map_findings(facts, path, weight_map)


MAIN_INDEX = "model.safetensors.index.json"


def _is_of_weights_not_wanted(facts: SnapshotFacts, path: str) -> bool:
    """Whether an index belongs to a second form of the weights that was left out on purpose, as a whole.

    Downloads by pattern, such as mlx-lm's, take every `*.json` but only `model*.safetensors`; so
    `consolidated.safetensors.index.json` comes along without what it names.
    """
    if path == MAIN_INDEX:
        return False
    present = {file.path for file in facts.files}
    main = set((_weight_map(facts.read(MAIN_INDEX)) or {}).values()) or {"model.safetensors"}
    named = set((_weight_map(facts.read(path)) or {}).values())
    return main <= present and not named & present


def _map_findings(facts: SnapshotFacts, index: str, weight_map: Mapping[str, str]) -> Iterator[Finding]:
    named = set(weight_map.values())
    outside = {name for name in named if _leads_outside(name)}
    for name in sorted(outside):
        yield Finding(
            Code.PATH_ESCAPES_SNAPSHOT,
            index,
            f"{index} names a shard outside the model: {name!r}",
            Remedy.REPAIR_INDEX,
        )
    present = {file.path: file for file in facts.files}
    missing = sorted(named - outside - present.keys())
    if missing and _holds_another_set(facts):
        yield Finding(
            Code.INDEX_MISMATCH,
            index,
            f"{index} names other shards than are there (e.g. {missing[0]})",
            Remedy.REPAIR_INDEX,
        )
    else:
        promised = {finding.file for finding in _shard_findings(facts) if finding.code is Code.SHARD_MISSING}
        yield from (_missing_shard(name) for name in missing if name not in promised)
    yield from _unindexed_findings(facts, index, named)
    yield from _misplaced_tensors(index, weight_map, present)


def _leads_outside(name: str) -> bool:
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name


def _holds_another_set(facts: SnapshotFacts) -> bool:
    """Whether complete weights lie there under names that no index knows (mlx-vlm issue 624)."""
    indexed = _index_names(facts)
    others = [
        file.path
        for file in weight_files(facts)
        if file.path.endswith(".safetensors") and file.path not in indexed
    ]
    if "model.safetensors" in others:
        return True
    for shards in _shard_sets(facts).values():
        unknown = [shard for shard in shards if shard.path in others]
        for total in {shard.total for shard in unknown}:
            if {shard.number for shard in unknown if shard.total == total} >= set(
                range(1, min(total, MAX_SHARDS) + 1)
            ):
                return True
    return False


def _unindexed_findings(facts: SnapshotFacts, index: str, named: set[str]) -> Iterator[Finding]:
    """Shards of the very set that the index describes, but which it leaves out."""
    sets = {(shard.family, shard.total) for shard in map(_shard, named) if shard is not None}
    for file in weight_files(facts):
        shard = _shard(file.path)
        if shard is not None and file.path not in named and (shard.family, shard.total) in sets:
            yield Finding(
                Code.INDEX_MISMATCH, index, f"{index} leaves out the shard {file.path}", Remedy.REPAIR_INDEX
            )


def _misplaced_tensors(
    index: str, weight_map: Mapping[str, str], present: Mapping[str, FileFact]
) -> Iterator[Finding]:
    held = {
        path: file.header.tensors
        for path, file in present.items()
        if isinstance(file.header, SafetensorsHeader)
    }
    lost: dict[str, list[str]] = defaultdict(list)
    for tensor, shard in weight_map.items():
        if shard in held and tensor not in held[shard]:
            lost[shard].append(tensor)
    for shard, tensors in lost.items():
        more = f" and {len(tensors) - 1} more" if len(tensors) > 1 else ""
        yield Finding(
            Code.TENSOR_NOT_IN_SHARD,
            shard,
            f"{shard} lacks {min(tensors)}{more}, which {index} places there",
            Remedy.REPAIR_INDEX,
        )
