"""From what a person typed to one model: first hit wins, several hits are an error, never luck."""

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from mlxk.domain.errors import AmbiguousMatch, ModelNotFound
from mlxk.domain.model import ModelRecord, Source
from mlxk.domain.naming import DEFAULT_ORG, NameSpec

__all__ = [
    "MAX_SUGGESTIONS",
    "ToDelete",
    "exactly",
    "matching",
    "not_named",
    "resolve",
    "resolve_to_delete",
    "short_name",
    "suggestions",
]

MAX_SUGGESTIONS = 3
_SUGGESTION_CUTOFF = 0.6
_MEANINGFUL = 3


def resolve(spec: NameSpec, records: Sequence[ModelRecord]) -> ModelRecord:
    """Find the one record a name means.

    Order: workspace home by exact directory name, cache by exact id, cache as `mlx-community/<name>`,
    workspace home and then cache by unique case-insensitive substring, the bundled models by exact name.
    With a revision only the cache counts, since workspaces and bundled models have none.

    Raises:
        AmbiguousMatch: several records answer at the same step; `matches` has them sorted.
        ModelNotFound: none does; `matches` has up to three close names.
    """
    for found in _steps(spec, records):
        if len(found) > 1:
            raise _ambiguous(spec, found)
        if found:
            return found[0]
    raise _not_found(spec, records)


@dataclass(frozen=True, slots=True)
class ToDelete:
    """The record that a deletion means.

    Attributes:
        named: it was called by its id; else a part of its name was typed, and a person must agree.
    """

    record: ModelRecord
    named: bool


def resolve_to_delete(spec: NameSpec, records: Sequence[ModelRecord]) -> ToDelete:
    """Find the record to delete, where a near miss would cost a model.

    A name is an exact id, one but for its case, or that of a model in the default organisation. A part of a
    name is only a guess, and with an organisation in it not even that.

    Raises:
        AmbiguousMatch: several records answer at the same step.
        ModelNotFound: none does; `matches` has close names.
    """
    cached = [record for record in records if record.source is Source.CACHE]
    if named := exactly(spec, records) or _named_in_any_case(cached, spec.name):
        if len(named) > 1:
            raise _ambiguous(spec, named)
        return ToDelete(named[0], named=True)
    guessed = [] if "/" in spec.name else _containing(cached, spec.name, _full_name)
    if len(guessed) > 1:
        raise _ambiguous(spec, guessed)
    if not guessed:
        raise not_named(spec, records)
    return ToDelete(guessed[0], named=False)


def not_named(spec: NameSpec, records: Sequence[ModelRecord]) -> ModelNotFound:
    """The error for a name that only looks like those of cached models, with those as `matches`."""
    names = [record.name for record in records if record.source is Source.CACHE]
    likely = [name for name in sorted(names) if spec.name.casefold() in name.casefold()]
    close = list(dict.fromkeys([*likely, *suggestions(spec.name, names)]))[:MAX_SUGGESTIONS]
    hint = f"did you mean {' or '.join(close)}?" if close else "run `mlxk list --all` to see your models"
    return ModelNotFound(f"No model in the cache is named '{spec}'.", hint=hint, matches=close)


def exactly(spec: NameSpec, records: Sequence[ModelRecord]) -> list[ModelRecord]:
    """The records called by their full name: the first kind that answers to it, nothing else."""
    cached = [record for record in records if record.source is Source.CACHE]
    workspaces = [] if spec.revision else [record for record in records if record.source is Source.WORKSPACE]
    bundled = [] if spec.revision else [record for record in records if record.source is Source.BUNDLED]
    return (
        _named(workspaces, spec.name, _directory_name)
        or _named(cached, spec.name, _full_name)
        or _named(cached, f"{DEFAULT_ORG}/{spec.name}", _full_name)
        or _named(bundled, spec.name, _full_name)
    )


def _named_in_any_case(cached: Iterable[ModelRecord], name: str) -> list[ModelRecord]:
    ids = (name.casefold(), f"{DEFAULT_ORG}/{name}".casefold())
    return [record for record in cached if record.name.casefold() in ids]


def _steps(spec: NameSpec, records: Sequence[ModelRecord]) -> Iterable[list[ModelRecord]]:
    cached = [record for record in records if record.source is Source.CACHE]
    workspaces = [] if spec.revision else [record for record in records if record.source is Source.WORKSPACE]
    bundled = [] if spec.revision else [record for record in records if record.source is Source.BUNDLED]
    yield _named(workspaces, spec.name, _directory_name)
    yield _named(cached, spec.name, _full_name)
    yield _named(cached, f"{DEFAULT_ORG}/{spec.name}", _full_name)
    yield _containing(workspaces, spec.name, _directory_name)
    yield _containing(cached, spec.name, _full_name)
    yield _named(bundled, spec.name, _full_name)


def _full_name(record: ModelRecord) -> str:
    return record.name


def _directory_name(record: ModelRecord) -> str:
    return PurePath(record.path).name


def _named(
    records: Iterable[ModelRecord], name: str, name_of: Callable[[ModelRecord], str]
) -> list[ModelRecord]:
    return [record for record in records if name_of(record) == name]


def _containing(
    records: Iterable[ModelRecord], text: str, name_of: Callable[[ModelRecord], str]
) -> list[ModelRecord]:
    folded = text.casefold()
    return [record for record in records if folded in name_of(record).casefold()]


def short_name(record: ModelRecord) -> str:
    """How a person would type the record's name: a workspace by its directory."""
    return _directory_name(record) if record.source is Source.WORKSPACE else record.name


def _ambiguous(spec: NameSpec, found: Sequence[ModelRecord]) -> AmbiguousMatch:
    names = sorted(record.name for record in found)
    return AmbiguousMatch(
        f"Model '{spec.name}' is ambiguous: it matches {len(names)} models.",
        hint=f"use the full name, e.g. {names[0]}",
        matches=names,
    )


def _not_found(spec: NameSpec, records: Sequence[ModelRecord]) -> ModelNotFound:
    without = [record for record in records if record.source is not Source.CACHE]
    if spec.revision and any(short_name(record) == spec.name for record in without):
        return ModelNotFound(
            f"'{spec.name}' has no revisions, since it is not in the cache.",
            hint=f"leave out '@{spec.revision}'",
        )
    close = suggestions(spec.name, [short_name(record) for record in records])
    hint = (
        f"did you mean {' or '.join(close)}?" if close else "run `mlxk list --all` to see the models you have"
    )
    return ModelNotFound(f"No model here answers to '{spec}'.", hint=hint, matches=close)


def suggestions(name: str, names: Sequence[str]) -> list[str]:
    """Up to three of `names` that are spelt like `name`, best first.

    What comes after the organisation counts first, since most names share theirs.
    """
    full, short = name.casefold(), name.rpartition("/")[2].casefold()
    likeness = {known: max(_alike(short, known.rpartition("/")[2]), _alike(full, known)) for known in names}
    close = [known for known in sorted(set(names)) if likeness[known] >= _SUGGESTION_CUTOFF]
    return sorted(close, key=lambda known: -_alike(short, known.rpartition("/")[2]))[:MAX_SUGGESTIONS]


def _alike(typed: str, known: str) -> float:
    """From 0 to 1, as difflib measures it; 1 when what was typed begins the name."""
    known = known.casefold()
    if len(typed) >= _MEANINGFUL and known.startswith(typed):
        return 1.0
    return difflib.SequenceMatcher(None, typed, known).ratio()


def matching(pattern: str, records: Iterable[ModelRecord]) -> list[ModelRecord]:
    """The records whose name contains the pattern, whatever its case."""
    return _containing(records, pattern, short_name)
