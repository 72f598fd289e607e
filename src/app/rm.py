"""`mlxk rm`: delete a cached model, or one revision of it."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mlxk.app.catalog import Catalog
from mlxk.domain.consent import Consent
from mlxk.domain.errors import ErrorKind, Interrupted, InvalidInput, MlxkError, ModelNotFound
from mlxk.domain.model import ModelRecord, Source
from mlxk.domain.naming import PathSpec, parse_spec
from mlxk.domain.ports import CacheRemover, Confirmer
from mlxk.domain.removal import Removal, RepoContents, half_deleted, plan_removal
from mlxk.domain.resolution import not_named, resolve_to_delete
from mlxk.domain.sizes import human_size

__all__ = ["LocksView", "Rm", "RmRequest", "RmResult"]


@dataclass(frozen=True, slots=True)
class RmRequest:
    """Which model.

    Attributes:
        model: `name[@revision]`.
        dry_run: only say what would go.
        force: delete what is named without asking.
    """

    model: str
    dry_run: bool = False
    force: bool = False


@dataclass(frozen=True)
class RmResult:
    """`mlxk rm`.

    Attributes:
        model: `org/name`.
        message: one line for people.
        bytes_freed: by the deletion, or that it would free; what another revision needs does not count.
        revisions: the commits that went, or would.
    """

    model: str
    action: Literal["deleted", "would_delete", "cancelled"]
    message: str
    bytes_freed: int
    revisions: tuple[str, ...]


@dataclass(frozen=True)
class LocksView:
    """What `locks_present` has to say: the locks that another process holds, relative to the cache."""

    model: str
    locks_detected: bool
    lock_files: tuple[str, ...]


class Rm:
    """Deletes from the cache, and from nowhere else."""

    def __init__(self, catalog: Catalog, remover: CacheRemover) -> None:
        self._catalog = catalog
        self._remover = remover

    def __call__(self, request: RmRequest, confirm: Confirmer) -> RmResult:
        """Delete a model or one revision of it, once the user agrees.

        Raises:
            ModelNotFound: nothing in the cache answers to the name.
            InvalidInput: it is a workspace or the bundled model, or nobody can be asked.
            MlxkError: (`LOCKS_PRESENT`) it is being downloaded; (`PERMISSION`) it cannot be deleted.
            Interrupted: by Ctrl-C, with a part deleted.
        """
        target = self._find(request)
        record, commit = target.record, target.commit
        contents = self._remover.contents(record)
        if contents.link is not None and commit is not None:
            raise InvalidInput(
                f"The cache only has a link to '{record.name}', and no single revision goes with it.",
                hint=f"leave out the revision, or delete it in {contents.link}",
            )
        removal = plan_removal(contents, commit)
        what = _described(record.name, removal, contents)
        if request.dry_run:
            return _result(record, removal, "would_delete", f"Would delete {what}.")
        with self._remover.alone(record) as held:
            _check_locks(record, held)
        match Consent.GIVEN if request.force else confirm(f"Delete {what}?"):
            case Consent.NOBODY:
                raise target.unasked or InvalidInput(
                    f"Deleting '{record.name}' needs your consent, and there is no terminal to ask on.",
                    hint="add --force; --dry-run says what would go",
                )
            case Consent.REFUSED:
                return RmResult(record.name, "cancelled", "Nothing was deleted.", 0, ())
        with self._remover.alone(record) as held:
            _check_locks(record, held)
            # Planned again: a question may stand for a long time.
            removal = plan_removal(self._remover.contents(record), commit)
            self._delete(record, removal)
        return _result(record, removal, "deleted", f"Deleted {what}.")

    def _find(self, request: RmRequest) -> "_Target":
        spec = parse_spec(request.model)
        if isinstance(spec, PathSpec):
            record = self._catalog.find(request.model)
            raise _no_cached_model(request.model, record)
        records = self._records()
        found = resolve_to_delete(spec, records)
        if found.record.source is not Source.CACHE:
            raise _no_cached_model(request.model, found.record)
        unasked = None if found.named else not_named(spec, records)
        if unasked and request.force:
            raise unasked
        if spec.revision is None:
            return _Target(found.record, None, unasked)
        return self._at_revision(found.record, spec.revision, unasked)

    def _records(self) -> list[ModelRecord]:
        """All models, and the directories of those that were deleted in part."""
        records = list(self._catalog.records())
        cached = {record.name for record in records if record.source is Source.CACHE}
        return records + [record for record in self._remover.directories() if record.name not in cached]

    def _at_revision(self, record: ModelRecord, revision: str, unasked: ModelNotFound | None) -> "_Target":
        try:
            found = self._catalog.at_revision(record, revision)
        except ModelNotFound:
            contents = self._remover.contents(record)
            if (commit := half_deleted(contents, revision)) is not None:
                return _Target(record, commit, unasked)
            if contents == RepoContents():  # deleted but for its empty folders
                return _Target(record, None, unasked)
            raise
        return _Target(found, found.revision, unasked)

    def _delete(self, record: ModelRecord, removal: Removal) -> None:
        try:
            self._remover.remove(record, removal)
        except MlxkError as error:
            if error.kind is ErrorKind.LOCKS_PRESENT:
                error.data = LocksView(record.name, locks_detected=True, lock_files=())
            raise
        except KeyboardInterrupt:
            raise Interrupted(
                f"Interrupted; a part of '{record.name}' is deleted.",
                hint=f"`mlxk rm {record.name}` deletes the rest, `mlxk pull {record.name}` fetches it again",
            ) from None


@dataclass(frozen=True, slots=True)
class _Target:
    """What is meant.

    Attributes:
        commit: of the revision; None for the whole model.
        unasked: the error for a guess that nobody confirms; None when it is named.
    """

    record: ModelRecord
    commit: str | None
    unasked: ModelNotFound | None


def _no_cached_model(text: str, record: ModelRecord) -> InvalidInput:
    if record.source is Source.BUNDLED:
        return InvalidInput(f"'{text}' ships with mlxk and cannot be deleted.")
    return InvalidInput(
        f"'{text}' is a workspace, {record.path}; mlxk deletes nothing but cached models.",
        hint=f"delete its directory yourself: rm -r {shlex.quote(record.path)}; a cached model of like name "
        "is meant by its full one, ORG/NAME",
    )


def _check_locks(record: ModelRecord, held: tuple[str, ...]) -> None:
    if held:
        raise MlxkError(
            ErrorKind.LOCKS_PRESENT,
            f"'{record.name}' is being downloaded at this moment.",
            hint="wait for the download, or stop it, and repeat the command",
            data=LocksView(record.name, locks_detected=True, lock_files=held),
        )


def _described(name: str, removal: Removal, contents: RepoContents) -> str:
    if contents.link is not None:
        return f"the link to '{name}' ({contents.link} stays)"
    size = human_size(removal.bytes)
    if not removal.whole:
        return f"revision {_short(removal.commits)} of '{name}' ({size})"
    several = f", {len(removal.commits)} revisions" if len(removal.commits) > 1 else ""
    return f"'{name}' ({size}{several})"


def _short(commits: Sequence[str]) -> str:
    return ", ".join(commit[:12] for commit in commits)


def _result(
    record: ModelRecord, removal: Removal, action: Literal["deleted", "would_delete"], message: str
) -> RmResult:
    return RmResult(record.name, action, message, removal.bytes, removal.commits)
