"""`mlxk rm`: delete a cached model, or one revision of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mlxk.app.catalog import Catalog
from mlxk.domain.consent import Consent
from mlxk.domain.errors import ErrorKind, Interrupted, InvalidInput, MlxkError, ModelNotFound
from mlxk.domain.model import ModelRecord, Source
from mlxk.domain.naming import NameSpec, parse_spec
from mlxk.domain.ports import CacheRemover, Confirmer
from mlxk.domain.removal import Removal, RepoContents, plan_removal
from mlxk.domain.sizes import human_size

__all__ = ["LocksView", "Rm", "RmRequest", "RmResult"]


@dataclass(frozen=True, slots=True)
class RmRequest:
    """Which model, as `name[@revision]`, and whether only to say what would go."""

    model: str
    dry_run: bool = False


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
        record = self._find(request.model)
        commit = _asked_commit(request.model, record)
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
        self._check_locks(record)
        match confirm(f"Delete {what}?"):
            case Consent.NOBODY:
                raise InvalidInput(
                    f"Deleting '{record.name}' needs your consent, and there is no terminal to ask on.",
                    hint="add --force; --dry-run says what would go",
                )
            case Consent.REFUSED:
                return RmResult(record.name, "cancelled", "Nothing was deleted.", 0, ())
        self._check_locks(record)  # again: a question may stand for a long time
        self._delete(record, removal)
        return _result(record, removal, "deleted", f"Deleted {what}.")

    def _find(self, text: str) -> ModelRecord:
        try:
            record = self._catalog.find(text)
        except ModelNotFound:
            if (leftover := self._leftover(text)) is None:
                raise
            return leftover
        match record.source:
            case Source.WORKSPACE:
                raise InvalidInput(
                    f"'{text}' is a workspace, {record.path}; mlxk deletes nothing but cached models.",
                    hint=f"delete its directory yourself: rm -r '{record.path}'; a cached model of like name "
                    "is meant by its full one, ORG/NAME",
                )
            case Source.BUNDLED:
                raise InvalidInput(f"'{text}' ships with mlxk and cannot be deleted.")
        return record

    def _leftover(self, text: str) -> ModelRecord | None:
        match parse_spec(text):
            case NameSpec(name, None):
                return self._remover.leftover(name)
        return None

    def _check_locks(self, record: ModelRecord) -> None:
        if locks := self._remover.held_locks(record):
            raise MlxkError(
                ErrorKind.LOCKS_PRESENT,
                f"'{record.name}' is being downloaded at this moment.",
                hint="wait for the download, or stop it, and repeat the command",
                data=LocksView(record.name, locks_detected=True, lock_files=locks),
            )

    def _delete(self, record: ModelRecord, removal: Removal) -> None:
        try:
            self._remover.remove(record, removal)
        except KeyboardInterrupt:
            raise Interrupted(
                f"Interrupted; a part of '{record.name}' is deleted.",
                hint=f"`mlxk rm {record.name}` deletes the rest, `mlxk pull {record.name}` fetches it again",
            ) from None


def _asked_commit(text: str, record: ModelRecord) -> str | None:
    """The snapshot that was named; None when the whole model is meant."""
    spec = parse_spec(text)
    return record.revision if isinstance(spec, NameSpec) and spec.revision is not None else None


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
