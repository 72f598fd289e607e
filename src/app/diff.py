"""`mlxk diff`: what differs between two models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlxk.app.catalog import Catalog
from mlxk.domain.difference import Changed, Difference, FileChanges, Side, compare, undecided
from mlxk.domain.errors import ErrorKind, MlxkError
from mlxk.domain.files import FileRole, role_of
from mlxk.domain.model import FileFact, ModelRecord, SnapshotFacts
from mlxk.domain.ports import FactReader, KnownDigests, Progress, TensorReader, Verifier
from mlxk.domain.tensors import TensorFact
from mlxk.domain.verification import Digest, DigestKind, FileVerdict, Outcome

__all__ = [
    "ChangedKey",
    "ChangedTensor",
    "ConfigDiff",
    "Diff",
    "DiffRequest",
    "DiffResult",
    "FileDiff",
    "TensorDiff",
    "TensorEntry",
]

_UNKNOWN = Digest(DigestKind.SHA256, "")


@dataclass(frozen=True, slots=True)
class DiffRequest:
    """Two models, by name or path."""

    first: str
    second: str


@dataclass(frozen=True)
class ChangedKey:
    """A key of config.json with both values; one in a nested object is `outer.inner`."""

    key: str
    first: object
    second: object


@dataclass(frozen=True)
class ConfigDiff:
    """Keys of config.json; `added` are in the second model only.

    Not the same without any key where the files differ and are no JSON, or one is missing; `other` has them.
    """

    same: bool
    added: Mapping[str, object]
    removed: Mapping[str, object]
    changed: tuple[ChangedKey, ...]


@dataclass(frozen=True)
class FileDiff:
    """Files of one kind, by content."""

    same: bool
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]


@dataclass(frozen=True)
class TensorEntry:
    """One tensor, as a header describes it."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class ChangedTensor:
    """A tensor with both types, or both shapes."""

    name: str
    first: str | tuple[int, ...]
    second: str | tuple[int, ...]


@dataclass(frozen=True)
class TensorDiff:
    """Tensors, as headers describe them; the numbers in them are compared under `weights`."""

    same: bool
    added: tuple[TensorEntry, ...]
    removed: tuple[TensorEntry, ...]
    retyped: tuple[ChangedTensor, ...]
    reshaped: tuple[ChangedTensor, ...]


@dataclass(frozen=True)
class DiffResult:
    """What differs between `first` and `second`; `same` when nothing does.

    Names that would be equal end in `@` and the short commit.
    """

    first: str
    second: str
    same: bool
    config: ConfigDiff
    tokenizer: FileDiff
    chat_template: FileDiff
    tensors: TensorDiff
    weights: FileDiff
    other: FileDiff


class Diff:
    """Compares two models."""

    def __init__(
        self,
        catalog: Catalog,
        reader: FactReader,
        tensors: TensorReader,
        digests: KnownDigests,
        verifier: Verifier,
    ) -> None:
        self._catalog = catalog
        self._reader = reader
        self._tensors = tensors
        self._digests = digests
        self._verifier = verifier

    def __call__(self, request: DiffRequest, progress: Progress) -> DiffResult:
        """Compare them; content is read only where size, header and known digests do not decide.

        Raises:
            MlxkError: a model is unknown or ambiguous, or some of its weights cannot be read; other files
                that cannot be read count as different.
        """
        records = self._catalog.find(request.first), self._catalog.find(request.second)
        first, second = (self._side(record) for record in records)
        differing = self._differing(*records, undecided(first, second), progress)
        return _result(*_names(*records), compare(first, second, differing))

    def _side(self, record: ModelRecord) -> Side:
        facts = self._reader.facts(record)
        _refuse_unreadable_weights(record, facts)
        files = [file.path for file in facts.files if file.readable and file.path.endswith(".safetensors")]
        return Side(facts, {file: self._tensors.tensors(Path(record.path, file)) for file in files})

    def _differing(
        self,
        first: ModelRecord,
        second: ModelRecord,
        pairs: Sequence[tuple[FileFact, FileFact]],
        progress: Progress,
    ) -> frozenset[str]:
        if first.path == second.path:
            return frozenset()
        differing = set()
        to_hash: list[tuple[FileFact, Digest]] = []
        to_compare: list[tuple[FileFact, Digest]] = []
        for one, other in pairs:
            ours, theirs = self._digests.known(first, one), self._digests.known(second, other)
            if ours and theirs and ours.kind is theirs.kind:
                differing |= {one.path} if ours != theirs else set()
            elif ours:
                to_compare.append((other, ours))
            else:
                to_hash.append((one, theirs or _UNKNOWN))
        others = {other.path: other for _, other in pairs}
        for (file, expected), verdict in zip(to_hash, self._verify(first, to_hash, progress), strict=True):
            if verdict.outcome is Outcome.UNREADABLE:
                differing.add(file.path)
            elif expected is _UNKNOWN:
                to_compare.append((others[file.path], Digest(DigestKind.SHA256, verdict.actual or "")))
            elif verdict.outcome is Outcome.DIFFERS:
                differing.add(file.path)
        verdicts = self._verify(second, to_compare, progress)
        return frozenset(differing | {v.path for v in verdicts if v.outcome is not Outcome.MATCHES})

    def _verify(
        self, record: ModelRecord, files: Sequence[tuple[FileFact, Digest]], progress: Progress
    ) -> list[FileVerdict]:
        verdicts = list(self._verifier.verify(record, files, progress)) if files else []
        for verdict in verdicts:
            if verdict.outcome is Outcome.UNREADABLE and role_of(verdict.path) is FileRole.WEIGHTS:
                raise _unreadable(record, verdict.path, verdict.problem)
        return verdicts


def _names(first: ModelRecord, second: ModelRecord) -> tuple[str, str]:
    """What the two are called; revisions of one model are told apart by their commits."""
    one, other = (record.display_name or record.name for record in (first, second))
    if one != other:
        return one, other
    return _at_commit(one, first.revision), _at_commit(other, second.revision)


def _at_commit(name: str, commit: str | None) -> str:
    return f"{name}@{commit[:12]}" if commit else name


def _refuse_unreadable_weights(record: ModelRecord, facts: SnapshotFacts) -> None:
    listed = {file.path for file in facts.files if role_of(file.path) is FileRole.WEIGHTS}
    for path, reason in facts.unreadable:
        if path in listed:
            raise _unreadable(record, path, reason)


def _unreadable(record: ModelRecord, path: str, reason: str | None) -> MlxkError:
    return MlxkError(
        ErrorKind.PERMISSION,
        f"{path} of {record.display_name or record.name} cannot be read: {reason}.",
        hint="check its permissions",
    )


def _result(first: str, second: str, found: Difference) -> DiffResult:
    config, tensors = found.config, found.tensors
    return DiffResult(
        first=first,
        second=second,
        same=found.same,
        config=ConfigDiff(
            config.same,
            config.added,
            config.removed,
            tuple(ChangedKey(change.name, change.first, change.second) for change in config.changed),
        ),
        tokenizer=_files(found.tokenizer),
        chat_template=_files(found.chat_template),
        tensors=TensorDiff(
            tensors.same,
            _entries(tensors.added),
            _entries(tensors.removed),
            tuple(map(_changed, tensors.retyped)),
            tuple(map(_changed, tensors.reshaped)),
        ),
        weights=_files(found.weights),
        other=_files(found.other),
    )


def _files(changes: FileChanges) -> FileDiff:
    return FileDiff(changes.same, changes.added, changes.removed, changes.changed)


def _entries(tensors: Mapping[str, TensorFact]) -> tuple[TensorEntry, ...]:
    return tuple(TensorEntry(name, tensor.dtype, tensor.shape) for name, tensor in tensors.items())


def _changed(change: Changed[str] | Changed[tuple[int, ...]]) -> ChangedTensor:
    return ChangedTensor(change.name, change.first, change.second)
