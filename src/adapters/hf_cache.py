"""The Hugging Face cache, read without the Hub library (its import alone takes longer than a listing).

Layout, as `huggingface_hub` writes it: `models--org--name/{blobs,refs,snapshots/<commit>}`; a ref is a
file that holds a commit; the files of a snapshot are links into `blobs/`.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlxk.adapters.bounded_read import describe, read_bounded
from mlxk.domain.errors import AmbiguousMatch, ErrorKind, MlxkError, ModelNotFound
from mlxk.domain.model import Absence, Invalid, ModelRecord, Source
from mlxk.domain.naming import is_cache_directory, is_commit_prefix, name_of

__all__ = ["HuggingFaceCache", "cache_root", "private_places"]

_DEFAULT_REF = "main"
_MAX_REF_BYTES = 1024
_MAX_REF_DEPTH = 8
_VARIABLE = re.compile(r"\$(\w+|\{[^}]*\})", re.ASCII)


def cache_root(environ: Mapping[str, str]) -> Path | None:
    """Where the Hub library keeps its cache, given an environment.

    `HF_HUB_CACHE`, else the legacy `HUGGINGFACE_HUB_CACHE`, else `$HF_HOME/hub`, else
    `$XDG_CACHE_HOME/huggingface/hub`, else `~/.cache/huggingface/hub`; `~` and `$VARIABLES` are expanded
    (`huggingface_hub.constants`). Unlike there, an empty variable counts as unset.

    Returns:
        An absolute path that need not exist; None when nothing is set and there is no home directory.

    Raises:
        MlxkError: (`PERMISSION`) the path is relative and the working directory no longer exists.
    """
    named = environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE")
    expanded = _expand(named, environ) if named else _default_root(environ)
    if expanded is None:
        return None
    try:
        return Path(expanded).absolute()
    except OSError as error:
        raise MlxkError(
            ErrorKind.PERMISSION,
            f"The model cache {expanded} is given relative to a directory that is gone.",
            hint="change to a directory that exists, or set HF_HUB_CACHE to an absolute path",
        ) from error


def private_places(environ: Mapping[str, str]) -> dict[str, Path]:
    """Where things of this user are that belong to no model, by what they are called; they need not exist.

    The home directory, the Hub library's own (`HF_HOME`), and its token files: `HF_TOKEN_PATH`, else
    `$HF_HOME/token`, and `stored_tokens` beside it (`huggingface_hub.constants`).
    """
    hub_home = _hub_home(environ)
    token = _expand(environ.get("HF_TOKEN_PATH") or f"{hub_home or '~'}/token", environ)
    found = {
        "your home directory": _expand("~", environ),
        "the directory of the Hub's client (HF_HOME)": hub_home,
        "your Hub token": token,
        "your Hub tokens": token and f"{os.path.dirname(token) or '.'}/stored_tokens",  # noqa: PTH120 - any text
    }
    return {name: Path(place) for name, place in found.items() if place}


def _hub_home(environ: Mapping[str, str]) -> str | None:
    caches = environ.get("XDG_CACHE_HOME") or "~/.cache"
    return _expand(environ.get("HF_HOME") or f"{caches}/huggingface", environ)


def _default_root(environ: Mapping[str, str]) -> str | None:
    home = _hub_home(environ)
    return None if home is None else _expand(f"{home}/hub", environ)


def _expand(text: str, environ: Mapping[str, str]) -> str | None:
    if text == "~" or text.startswith("~/"):
        home = environ.get("HOME") or _home_of_this_user()
        if home is None:
            return None
        text = home.rstrip("/") + text[1:]
    elif text.startswith("~"):
        text = os.path.expanduser(text)  # noqa: PTH111 - Path.expanduser raises for an unknown user
    return _VARIABLE.sub(lambda found: environ.get(found[1].strip("{}"), found[0]), text)


def _home_of_this_user() -> str | None:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return None


@dataclass(frozen=True, slots=True)
class _Snapshot:
    commit: str
    path: str
    mtime_ns: int


class HuggingFaceCache:
    """The models of one cache directory, each handled by its real directory.

    A repository shows up when there is something of a model in it: a snapshot, or blobs that no snapshot
    names any more (with a `problem`). One that holds neither, such as the `refs` a metadata request leaves
    behind, and a plain file of such a name hold no model and are left out.

    Args:
        root: the cache (`hub`) directory, which need not exist; None when there is not even a home for one.
    """

    def __init__(self, root: Path | None) -> None:
        self._root = root

    def records(self) -> Sequence[ModelRecord]:
        """Every cached model, sorted by name, with the snapshot `refs/main` names, else the newest.

        Raises:
            MlxkError: (`PERMISSION`) the cache directory cannot be read or is no directory.
        """
        if self._root is None:
            return ()
        try:
            with os.scandir(self._root) as entries:
                repositories = [entry for entry in entries if is_cache_directory(entry.name)]
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise MlxkError(
                ErrorKind.PERMISSION,
                f"The model cache {self._root} cannot be read: {describe(error)}.",
                hint="check its permissions, or point HF_HOME or HF_HUB_CACHE at a directory you can read",
            ) from error
        found = (_record_of(entry) for entry in repositories)
        return sorted((record for record in found if record), key=lambda record: (record.name, record.path))

    def revisions(self, record: ModelRecord) -> Sequence[ModelRecord]:
        """The other snapshots of the same repository, newest first."""
        return [
            _at(record.name, snapshot)
            for snapshot in _snapshots(_repository_of(record))
            if snapshot.commit != record.revision
        ]

    def at_revision(self, record: ModelRecord, revision: str) -> ModelRecord:
        """The snapshot that a branch, tag, commit or commit prefix (3 hex digits or more) stands for.

        Raises:
            ModelNotFound: no such revision here; the hint names those that are.
            AmbiguousMatch: several commits begin with it.
        """
        repository = _repository_of(record)
        snapshots = _snapshots(repository)
        refs = dict(_refs(f"{repository}/refs"))
        if revision in refs:
            return _the_one_named(record, revision, refs[revision], snapshots, refs)
        wanted = revision.lower()
        matching = [
            snapshot
            for snapshot in snapshots
            if snapshot.commit == revision
            or (is_commit_prefix(wanted) and snapshot.commit.startswith(wanted))
        ]
        if len(matching) > 1:
            raise AmbiguousMatch(
                f"Revision '{revision}' of '{record.name}' fits {len(matching)} commits.",
                hint="give more digits of the commit",
                matches=sorted(snapshot.commit for snapshot in matching),
            )
        if not matching:
            raise _no_revision(record, revision, snapshots, refs)
        return _at(record.name, matching[0])


def _record_of(entry: os.DirEntry[str]) -> ModelRecord | None:
    name = _printable(name_of(entry.name))
    commit = _commit_in(f"{entry.path}/refs/{_DEFAULT_REF}")
    if commit is not None and os.path.isdir(path := f"{entry.path}/snapshots/{commit}"):  # noqa: PTH112 - hot path
        return ModelRecord(name, path, Source.CACHE, revision=commit)
    try:
        snapshots = _snapshots(entry.path, tolerant=False)
        absence = None if snapshots else _absence(entry)
    except OSError as error:
        problem = f"its directory cannot be read: {describe(error)}"
        return ModelRecord(name, entry.path, Source.CACHE, problem=problem)
    if snapshots:
        return _at(name, snapshots[0])
    if absence is None:
        return None
    return ModelRecord(name, entry.path, Source.CACHE, problem=_ABSENCES[absence], absence=absence)


_ABSENCES = {
    Absence.SNAPSHOT: "no snapshot: its download was interrupted, or it was deleted in part",
    Absence.LINK_TARGET: "its directory is a link that leads nowhere (a volume that is not mounted?)",
}


def _absence(entry: os.DirEntry[str]) -> Absence | None:
    """What is to be said of a repository without snapshots, if anything."""
    if entry.is_symlink() and not os.path.exists(entry.path):  # noqa: PTH110 - hot path
        return Absence.LINK_TARGET
    try:
        with os.scandir(f"{entry.path}/blobs") as blobs:
            count = sum(1 for _ in blobs)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Absence.SNAPSHOT if count else None


def _snapshots(repository: str, *, tolerant: bool = True) -> list[_Snapshot]:
    """The snapshots of a repository, newest first, equally old ones by name.

    Raises:
        OSError: the directory cannot be read, unless `tolerant`.
    """
    try:
        with os.scandir(f"{repository}/snapshots") as entries:
            found = [snapshot for entry in entries if (snapshot := _snapshot_of(entry))]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError:
        if tolerant:
            return []
        raise
    return sorted(found, key=lambda snapshot: (-snapshot.mtime_ns, snapshot.commit))


def _snapshot_of(entry: os.DirEntry[str]) -> _Snapshot | None:
    if entry.name.startswith("."):
        return None
    try:
        return _Snapshot(entry.name, entry.path, entry.stat().st_mtime_ns) if entry.is_dir() else None
    except OSError:  # a link that loops, or an entry that has just gone
        return None


def _refs(directory: str, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Every readable ref below a directory with its commit; names keep their folders (`refs/pr/1`)."""
    try:
        with os.scandir(directory) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return
    for entry in found:
        if entry.is_dir(follow_symlinks=False) and depth < _MAX_REF_DEPTH:
            yield from _refs(entry.path, f"{prefix}{entry.name}/", depth + 1)
        elif (commit := _commit_in(entry.path)) is not None:
            yield prefix + entry.name, commit


def _commit_in(ref: str) -> str | None:
    """The commit a ref file holds, or None when it is missing, unreadable or names no plain directory."""
    content = read_bounded(ref, _MAX_REF_BYTES)
    if isinstance(content, Invalid):
        return None
    try:
        commit = content.decode().strip()
    except UnicodeDecodeError:
        return None
    return commit if commit and commit[0] != "." and "/" not in commit and "\0" not in commit else None


def _repository_of(record: ModelRecord) -> str:
    path = Path(record.path)
    return str(path if record.revision is None else path.parent.parent)


def _at(name: str, snapshot: _Snapshot) -> ModelRecord:
    return ModelRecord(name, snapshot.path, Source.CACHE, revision=snapshot.commit)


def _the_one_named(
    record: ModelRecord, ref: str, commit: str, snapshots: Sequence[_Snapshot], refs: Mapping[str, str]
) -> ModelRecord:
    for snapshot in snapshots:
        if snapshot.commit == commit:
            return _at(record.name, snapshot)
    raise _no_revision(record, ref, snapshots, refs)


def _no_revision(
    record: ModelRecord, revision: str, snapshots: Sequence[_Snapshot], refs: Mapping[str, str]
) -> ModelNotFound:
    here = {snapshot.commit for snapshot in snapshots}
    names = sorted(ref for ref, commit in refs.items() if commit in here)
    known = [*names, *(snapshot.commit[:12] for snapshot in snapshots)]
    hint = f"`mlxk pull {record.name}@{revision}` downloads it"
    if known:
        hint = f"{hint}; here are {', '.join(known)}"
    return ModelNotFound(f"Revision '{revision}' of '{record.name}' is not in the cache.", hint=hint)


def _printable(name: str) -> str:
    """A name that can be written anywhere: bytes that are no UTF-8 become replacement characters."""
    return os.fsencode(name).decode(errors="replace")
