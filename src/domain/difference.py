"""What differs between two models: config, tokenizer, chat template, tensors, contents of files.

Everything that headers, sizes and documents tell is decided here; which files of equal size hold the same
content is for digests to say, and only of the files that `undecided` names.
"""

import json
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
        """The files that can be read, as far as one can tell without reading them, by path."""
        refused = {path for path, _ in self.facts.unreadable}
        return {file.path: file for file in self.facts.files if file.readable and file.path not in refused}

    def unreadable(self) -> frozenset[str]:
        """What is there, of unknown content: broken links, and what the system does not let us read."""
        paths = {file.path for file in self.facts.files if not file.readable}
        return frozenset(paths | {path for path, _ in self.facts.unreadable})

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
    """Keys of config.json, those of nested objects as `outer.inner`.

    Attributes:
        same_file: False where the files differ and cannot be compared by keys: one is missing or no JSON.
    """

    added: JsonObject = field(default_factory=dict)
    removed: JsonObject = field(default_factory=dict)
    changed: tuple[Changed[JsonValue], ...] = ()
    same_file: bool = True

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return self.same_file and not (self.added or self.removed or self.changed)


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
        other: everything else, the README too; config.json where it cannot be compared by keys.
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
    return [
        pair
        for pair in pairs
        if True not in _parsed(first, second, pair[0].path) and not _differ(first, second, *pair)
    ]


_BY_DOCUMENT = frozenset({_CONFIG, _TOKENIZER_CONFIG})


def _parsed(first: Side, second: Side, path: str) -> tuple[bool, bool]:
    """Which of two files can be compared by what they say rather than byte by byte."""
    if path not in _BY_DOCUMENT:
        return False, False
    one, other = (isinstance(side.facts.document(path), Mapping) for side in (first, second))
    return one, other


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
        config=_config(first, second, files),
        tokenizer=_tokenizer(first, second, files),
        chat_template=_chat_template(first, second, files),
        tensors=_tensor_changes(first.all_tensors(), second.all_tensors()),
        weights=_only(files, lambda path: role_of(path) is FileRole.WEIGHTS),
        other=_only(files, lambda path: _is_other(path) or _is_opaque_config(first, second, path)),
    )


# config.json


def _config(first: Side, second: Side, files: FileChanges) -> Keys:
    one, other = (dict(_leaves(side.facts.config(), "", 0)) for side in (first, second))
    return Keys(
        added={key: other[key] for key in sorted(other.keys() - one.keys())},
        removed={key: one[key] for key in sorted(one.keys() - other.keys())},
        changed=tuple(
            Changed(key, one[key], other[key])
            for key in sorted(one.keys() & other.keys())
            if not _equal(one[key], other[key])
        ),
        same_file=_only(files, lambda path: _is_opaque_config(first, second, path)).same,
    )


def _is_opaque_config(first: Side, second: Side, path: str) -> bool:
    return path == _CONFIG and not all(_parsed(first, second, path))


def _equal(first: JsonValue, second: JsonValue) -> bool:
    """As JSON sees it, at every depth: `true` is not 1, and NaN is itself."""
    pending = [(first, second)]
    while pending:
        one, other = pending.pop()
        match one, other:
            case Mapping(), Mapping():
                if one.keys() != other.keys():
                    return False
                pending += [(one[key], other[key]) for key in one]
            case list() | tuple(), list() | tuple():
                if len(one) != len(other):
                    return False
                pending += zip(one, other, strict=True)
            case _ if not _equal_scalars(one, other):
                return False
    return True


def _equal_scalars(first: JsonValue, second: JsonValue) -> bool:
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    return first == second or (first != first and second != second)


def _leaves(value: JsonObject, prefix: str, depth: int) -> Iterator[tuple[str, JsonValue]]:
    for key, inner in value.items():
        name = prefix + _as_part(key)
        if isinstance(inner, Mapping) and inner and depth < _MAX_DEPTH:
            yield from _leaves(inner, f"{name}.", depth + 1)
        else:
            yield name, inner


def _as_part(key: str) -> str:
    """A key as part of a path; in quotes where it could be mistaken for a path itself."""
    return json.dumps(key, ensure_ascii=False) if "." in key or key.startswith('"') else key


# Files


def _file_changes(first: Side, second: Side, differing: frozenset[str]) -> FileChanges:
    """What cannot be read is not the same, whatever it is."""
    one, other = first.files(), second.files()
    opaque = _opaque(first, second)
    ours, theirs = one.keys() | first.unreadable(), other.keys() | second.unreadable()

    def changed(path: str) -> bool:
        if path in opaque:
            return True
        match _parsed(first, second, path):
            case True, True:
                return not _equal(first.facts.read(path), second.facts.read(path))
            case False, False:
                return path in differing or _differ(first, second, one[path], other[path])
        return True

    return FileChanges(
        added=tuple(sorted(theirs - ours)),
        removed=tuple(sorted(ours - theirs)),
        changed=tuple(filter(changed, sorted(ours & theirs))),
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
    same = _TOKENIZER_CONFIG not in files.changed
    if all(_parsed(first, second, _TOKENIZER_CONFIG)) and _TOKENIZER_CONFIG not in _opaque(first, second):
        one, other = (_without_template(side.facts.read(_TOKENIZER_CONFIG)) for side in (first, second))
        same = _equal(one, other)
    return _with_document(changes, files, same=same)


def _opaque(first: Side, second: Side) -> frozenset[str]:
    return first.unreadable() | second.unreadable()


def _without_template(settings: JsonObject) -> JsonObject:
    return {key: value for key, value in settings.items() if key != _TEMPLATE}


def _chat_template(first: Side, second: Side, files: FileChanges) -> FileChanges:
    changes = _only(files, _is_template)
    one, other = (side.facts.read(_TOKENIZER_CONFIG).get(_TEMPLATE) for side in (first, second))
    return changes if _equal(one, other) else _with_document(changes, files, same=False)


def _with_document(changes: FileChanges, files: FileChanges, *, same: bool) -> FileChanges:
    """With tokenizer_config.json among the changes, by whether it is there and what it says."""
    own = _only(files, lambda path: path == _TOKENIZER_CONFIG)
    changed = () if same or own.added or own.removed else (_TOKENIZER_CONFIG,)
    return FileChanges(
        (*changes.added, *own.added), (*changes.removed, *own.removed), (*changes.changed, *changed)
    )


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
