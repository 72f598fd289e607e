"""What differs between two models: config, tokenizer, chat template, tensors, contents of files.

Everything that headers, sizes and documents tell is decided here; which files of equal size hold the same
content is for digests to say, and only of the files that `undecided` names.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from mlxk.domain.files import FileRole, role_of
from mlxk.domain.model import FileFact, JsonObject, JsonValue, SnapshotFacts
from mlxk.domain.tensors import TensorFact

__all__ = [
    "Changed",
    "Difference",
    "FileChanges",
    "Keys",
    "Side",
    "TensorChanges",
    "compare",
    "undecided",
]

_CONFIG = "config.json"
_TOKENIZER_CONFIG = "tokenizer_config.json"
_TEMPLATE = "chat_template"
_MAX_DEPTH = 32

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two models.

    Attributes:
        tensors: by safetensors file, then by name; files whose header cannot be read are missing.
    """

    facts: SnapshotFacts
    tensors: Mapping[str, Mapping[str, TensorFact]] = field(default_factory=dict)

    def files(self) -> Mapping[str, FileFact]:
        """The files that can be read, by path."""
        return {file.path: file for file in self.facts.files if file.readable}

    def all_tensors(self) -> Mapping[str, TensorFact]:
        """Every tensor by name; of two files with one of the same name the later counts."""
        return {name: tensor for table in self.tensors.values() for name, tensor in table.items()}


@dataclass(frozen=True, slots=True)
class Changed(Generic[Value]):
    """One key or tensor and what it is on either side."""

    name: str
    first: Value
    second: Value


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys of config.json, those of nested objects as `outer.inner`."""

    added: JsonObject = field(default_factory=dict)
    removed: JsonObject = field(default_factory=dict)
    changed: tuple[Changed[JsonValue], ...] = ()

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not (self.added or self.removed or self.changed)


@dataclass(frozen=True, slots=True)
class FileChanges:
    """Paths, sorted."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not (self.added or self.removed or self.changed)


@dataclass(frozen=True, slots=True)
class TensorChanges:
    """Tensors by name, sorted; one can be retyped and reshaped."""

    added: Mapping[str, TensorFact] = field(default_factory=dict)
    removed: Mapping[str, TensorFact] = field(default_factory=dict)
    retyped: tuple[Changed[str], ...] = ()
    reshaped: tuple[Changed[tuple[int, ...]], ...] = ()

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not (self.added or self.removed or self.retyped or self.reshaped)


@dataclass(frozen=True, slots=True)
class Difference:
    """All that differs, seen from the first model: what is added is in the second only.

    Attributes:
        tensors: as headers describe them; the same tensors may hold other numbers.
        weights: weight files, by content.
        other: everything else, the README too.
    """

    config: Keys
    tokenizer: FileChanges
    chat_template: FileChanges
    tensors: TensorChanges
    weights: FileChanges
    other: FileChanges

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        parts = (
            self.config,
            self.tokenizer,
            self.chat_template,
            self.tensors,
            self.weights,
            self.other,
        )
        return all(part.same for part in parts)


def undecided(first: Side, second: Side) -> list[tuple[FileFact, FileFact]]:
    """The files of both models, of equal size and header, whose content must be compared."""
    others = second.files()
    pairs = [(file, others[path]) for path, file in first.files().items() if path in others]
    return [pair for pair in pairs if pair[0].path not in _BY_DOCUMENT and not _differ(first, second, *pair)]


_BY_DOCUMENT = frozenset({_CONFIG, _TOKENIZER_CONFIG})


def _differ(first: Side, second: Side, one: FileFact, other: FileFact) -> bool:
    """Whether two files of the same path are different at sight."""
    return one.size != other.size or first.tensors.get(one.path) != second.tensors.get(other.path)


def compare(first: Side, second: Side, differing: frozenset[str]) -> Difference:
    """All differences.

    Args:
        differing: of the files that `undecided` names, those that proved different.
    """
    files = _file_changes(first, second, differing)
    return Difference(
        config=_keys(_flat(first.facts.config()), _flat(second.facts.config())),
        tokenizer=_tokenizer(first, second, files),
        chat_template=_chat_template(first, second, files),
        tensors=_tensor_changes(first.all_tensors(), second.all_tensors()),
        weights=_only(files, lambda path: role_of(path) is FileRole.WEIGHTS),
        other=_only(files, _is_other),
    )


# config.json


def _keys(first: JsonObject, second: JsonObject) -> Keys:
    return Keys(
        added={key: second[key] for key in sorted(second.keys() - first.keys())},
        removed={key: first[key] for key in sorted(first.keys() - second.keys())},
        changed=tuple(
            Changed(key, first[key], second[key])
            for key in sorted(first.keys() & second.keys())
            if not _equal(first[key], second[key])
        ),
    )


def _equal(first: JsonValue, second: JsonValue) -> bool:
    """As JSON sees it: `true` is not 1, and NaN is itself."""
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    return first == second or (first != first and second != second)


def _flat(config: JsonObject) -> JsonObject:
    return dict(_leaves(config, "", 0))


def _leaves(value: JsonObject, prefix: str, depth: int) -> Iterator[tuple[str, JsonValue]]:
    for key, inner in value.items():
        if isinstance(inner, Mapping) and inner and depth < _MAX_DEPTH:
            yield from _leaves(inner, f"{prefix}{key}.", depth + 1)
        else:
            yield prefix + key, inner


# Files


def _file_changes(first: Side, second: Side, differing: frozenset[str]) -> FileChanges:
    one, other = first.files(), second.files()
    return FileChanges(
        added=tuple(sorted(other.keys() - one.keys())),
        removed=tuple(sorted(one.keys() - other.keys())),
        changed=tuple(
            sorted(
                path
                for path in one.keys() & other.keys()
                if path in differing or _differ(first, second, one[path], other[path])
            )
        ),
    )


def _only(files: FileChanges, wanted: Callable[[str], bool]) -> FileChanges:
    return FileChanges(
        tuple(filter(wanted, files.added)),
        tuple(filter(wanted, files.removed)),
        tuple(filter(wanted, files.changed)),
    )


def _is_template(path: str) -> bool:
    return path.startswith((f"{_TEMPLATE}.", "additional_chat_templates/"))


def _is_other(path: str) -> bool:
    own = path in _BY_DOCUMENT or _is_template(path)
    return not own and role_of(path) not in (FileRole.WEIGHTS, FileRole.TOKENIZER)


def _tokenizer(first: Side, second: Side, files: FileChanges) -> FileChanges:
    changes = _only(files, lambda path: role_of(path) is FileRole.TOKENIZER)
    settings = [_without_template(side.facts.read(_TOKENIZER_CONFIG)) for side in (first, second)]
    return _with_document(changes, first, second, same=settings[0] == settings[1])


def _without_template(settings: JsonObject) -> JsonObject:
    return {key: value for key, value in settings.items() if key != _TEMPLATE}


def _chat_template(first: Side, second: Side, files: FileChanges) -> FileChanges:
    changes = _only(files, _is_template)
    one, other = (side.facts.read(_TOKENIZER_CONFIG).get(_TEMPLATE) for side in (first, second))
    return changes if one == other else _with_document(changes, first, second, same=False)


def _with_document(changes: FileChanges, first: Side, second: Side, *, same: bool) -> FileChanges:
    """With tokenizer_config.json among the changes, by whether it is there and what it says."""
    there = [_TOKENIZER_CONFIG in side.files() for side in (first, second)]
    if there == [True, True] and not same:
        return FileChanges(changes.added, changes.removed, (*changes.changed, _TOKENIZER_CONFIG))
    if there == [False, True]:
        return FileChanges((*changes.added, _TOKENIZER_CONFIG), changes.removed, changes.changed)
    if there == [True, False]:
        return FileChanges(changes.added, (*changes.removed, _TOKENIZER_CONFIG), changes.changed)
    return changes


# Tensors


def _tensor_changes(first: Mapping[str, TensorFact], second: Mapping[str, TensorFact]) -> TensorChanges:
    common = [(name, first[name], second[name]) for name in sorted(first.keys() & second.keys())]
    return TensorChanges(
        added={name: second[name] for name in sorted(second.keys() - first.keys())},
        removed={name: first[name] for name in sorted(first.keys() - second.keys())},
        retyped=tuple(
            Changed(name, one.dtype, other.dtype) for name, one, other in common if one.dtype != other.dtype
        ),
        reshaped=tuple(
            Changed(name, one.shape, other.shape) for name, one, other in common if one.shape != other.shape
        ),
    )
