"""Folders to be pushed: finding them, and which of their files the ignore rules leave out."""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from mlxk.adapters.bounded_read import describe, read_bounded
from mlxk.adapters.workspace_manifest import read_manifest, replace_manifest
from mlxk.domain.errors import ErrorKind, InvalidInput, MlxkError
from mlxk.domain.manifest import Refusal
from mlxk.domain.model import Invalid, ModelRecord, Source
from mlxk.domain.push_plan import (
    ALWAYS_IGNORED,
    IGNORE_FILE,
    USUALLY_IGNORED,
    PushHistory,
    history_of,
    with_pushed,
)
from mlxk.domain.secrets import MAX_SCANNED

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

__all__ = ["DiskPushFolders"]

_MAX_IGNORE_FILE = 1024 * 1024


class DiskPushFolders:
    """Folders on this machine's disks.

    Args:
        cache: the model cache, which nothing is pushed from; None when there is none.
        home: the workspace home, for names that are no paths; None when there is none.
        private: what no pushed folder may hold, by what it is called.
    """

    def __init__(
        self, cache: Path | None, home: Path | None, private: Mapping[str, Path] = MappingProxyType({})
    ) -> None:
        self._cache = cache
        self._home = home
        self._private = private

    def find(self, typed: str) -> ModelRecord:
        """The folder that a person typed: a path, else the name of a workspace in the home.

        Raises:
            InvalidInput: it lies in the model cache, holds what is nobody's model (the cache, tokens, a home
                directory), or is no directory.
            MlxkError: (`WORKSPACE_NOT_FOUND`) there is none; (`PERMISSION`) it cannot be read.
        """
        if "\0" in typed:
            raise InvalidInput("A path cannot contain a NUL character.", hint="give a folder")
        path = self._path(typed)
        if self._is_cached(path):
            raise InvalidInput(
                f"'{typed}' lies in the model cache, which belongs to what was downloaded.",
                hint="make a workspace of it with `mlxk clone`, and push that",
            )
        try:
            os.listdir(path)  # noqa: PTH208 - whether it can be read is all that matters
        except NotADirectoryError as error:
            raise InvalidInput(
                f"'{typed}' is a file, not a folder.", hint="give the folder it is in"
            ) from error
        except FileNotFoundError as error:
            raise MlxkError(
                ErrorKind.WORKSPACE_NOT_FOUND,
                f"There is no folder '{typed}'.",
                hint="give the folder that holds the model's config.json",
            ) from error
        except OSError as error:
            raise MlxkError(
                ErrorKind.PERMISSION,
                f"'{typed}' cannot be read: {describe(error)}.",
                hint="check its permissions",
            ) from error
        if held := self._held(path):
            raise InvalidInput(
                f"'{typed}' is, or holds, {held}; it is not pushed.",
                hint="give the folder of one model, which holds its config.json",
            )
        return ModelRecord(str(path), str(path), Source.WORKSPACE, display_name=typed)

    def ignored(self, folder: Path, paths: Iterable[str]) -> Collection[str]:
        """Those of the paths that the built-in rules or the folder's `.hfignore` match.

        Raises:
            InvalidInput: its `.hfignore` cannot be used; the message says why.
        """
        rules = _rules(folder)
        return frozenset(path for path in paths if rules.match_file(path))

    def folder_links(self, folder: Path) -> Sequence[str]:
        """Links below a folder that lead to folders, wherever these are; paths relative to it, sorted."""
        return sorted(
            os.path.relpath(f"{place}/{name}", folder)
            for place, folders, _ in os.walk(folder)
            for name in folders
            if os.path.islink(f"{place}/{name}")  # noqa: PTH114 - names may be any bytes
        )

    def history(self, folder: Path) -> PushHistory:
        """The commits a folder is built on, as its manifest says; an empty one without a manifest."""
        manifest = read_manifest(str(folder))
        return PushHistory() if isinstance(manifest, Refusal) else history_of(manifest)

    def note_pushed(self, folder: Path, commit: str) -> None:
        """Let a folder's manifest, if it has one, say that this commit holds what the folder holds.

        Raises:
            MlxkError: (`PERMISSION`) the manifest cannot be written; the old one stays.
        """
        manifest = read_manifest(str(folder))
        if isinstance(manifest, Refusal):
            return
        try:
            replace_manifest(str(folder), manifest, with_pushed(manifest, commit))
        except OSError as error:
            raise MlxkError(
                ErrorKind.PERMISSION,
                f"The manifest of {folder} cannot be written: {describe(error)}.",
                hint="check the permissions of the directory",
            ) from error

    def text(self, folder: Path, path: str) -> str:
        """What a small file holds, as far as it is text; empty where it cannot be read."""
        content = read_bounded(folder / path, MAX_SCANNED)
        if isinstance(content, Invalid) or b"\0" in content:
            return ""
        return content.decode(errors="replace")

    def _path(self, typed: str) -> Path:
        path = Path(os.path.abspath(os.path.expanduser(typed)))  # noqa: PTH100, PTH111 - any text is fine here
        is_name = "/" not in typed and typed not in ("", ".", "..", "~")
        if is_name and self._home is not None and not path.exists():
            return self._home / typed
        return path

    def _held(self, folder: Path) -> str | None:
        if os.path.realpath(folder) == "/":
            return "the whole file system"
        places = {**self._private, **({"the model cache": self._cache} if self._cache else {})}
        return next((name for name, place in places.items() if _holds(folder, place)), None)

    def _is_cached(self, path: Path) -> bool:
        if self._cache is None:
            return False
        cache = os.path.realpath(self._cache)
        return any(
            place == cache or place.startswith(f"{cache}/") for place in (os.path.realpath(path), str(path))
        )


def _holds(folder: Path, place: Path) -> bool:
    """Whether a place exists and is a folder, or lies in it, by whatever spelling and links."""
    try:
        inside = folder.stat()
        real = Path(os.path.realpath(place, strict=True))
        chain = {place.absolute(), *place.absolute().parents, real, *real.parents}
        return any(os.path.samestat(ancestor.stat(), inside) for ancestor in chain)
    except OSError:
        return False


def _rules(folder: Path) -> "GitIgnoreSpec":
    from pathspec import GitIgnoreSpec

    own = _ignore_lines(folder)
    for number, line in enumerate(own, 1):
        try:
            GitIgnoreSpec.from_lines([line])
        except ValueError as error:
            raise InvalidInput(
                f"Line {number} of {IGNORE_FILE} is no pattern: {line[:80]!a}.",
                hint="it takes the syntax of .gitignore",
            ) from error
    return GitIgnoreSpec.from_lines([*USUALLY_IGNORED, *own, *ALWAYS_IGNORED])


def _ignore_lines(folder: Path) -> list[str]:
    path = folder / IGNORE_FILE
    if not os.path.lexists(path):
        return []
    content = read_bounded(path, _MAX_IGNORE_FILE)
    if isinstance(content, Invalid):
        raise InvalidInput(
            f"{IGNORE_FILE} cannot be used: {content.reason}.", hint="correct it, or remove it"
        )
    try:
        return content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{IGNORE_FILE} cannot be used: it is not UTF-8 text.", hint="correct it, or remove it"
        ) from error
