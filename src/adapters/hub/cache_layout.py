"""Where `huggingface_hub` keeps what it downloads, written as it writes it.

`models--org--name/{blobs,refs,snapshots/<commit>,trees}` and `.locks/models--org--name/<etag>.lock`: a blob
is named by its digest, a snapshot's entries are relative links into `blobs/` (or the files themselves on
volumes without links), a ref is a file that holds a commit, and `trees/<commit>.json` remembers the Hub's
file list (`huggingface_hub._tree_cache`, format 1).
"""

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mlxk.adapters.bounded_read import read_bounded
from mlxk.adapters.hub.digests import file_digest
from mlxk.domain.errors import MlxkError
from mlxk.domain.hub import Holdings, HubFile, RepoInfo, hub_file, is_commit, name_problem
from mlxk.domain.model import Invalid
from mlxk.domain.naming import RepoId
from mlxk.domain.verification import DigestKind

__all__ = ["INCOMPLETE_SUFFIX", "PARTIAL_SUFFIX", "REPO_LOCK", "RepoFolder"]

PARTIAL_SUFFIX = ".mlxk-partial"
"""Of a content that is not whole yet, named by its digest so that the next try finds it."""

INCOMPLETE_SUFFIX = ".incomplete"
"""Of a content that the Hub's own client has begun."""

REPO_LOCK = "mlxk.lock"
"""Among a model's locks: held by mlxk while it downloads or deletes it, whatever the file."""

_TREE_VERSION = 1
_MAX_TREE_BYTES = 64 * 1024 * 1024
_MAX_REF_BYTES = 1024
_STAGING = ".mlxk-placing"
_TAG = (
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# This file is a cache directory tag created by huggingface_hub.\n"
    "# For information about cache directory tags, see:\n"
    "#\thttps://bford.info/cachedir/\n"
)


@dataclass(frozen=True, slots=True)
class RepoFolder:
    """One model's folder in a cache directory. Neither need exist."""

    root: Path
    repo_id: RepoId

    @property
    def path(self) -> Path:
        """The folder itself."""
        return self.root / self.repo_id.directory

    @property
    def blobs(self) -> Path:
        """Where contents are."""
        return self.path / "blobs"

    def blob(self, file: HubFile) -> Path:
        """Where a file's content is, once it is whole."""
        return self.blobs / file.digest.value

    def partial(self, file: HubFile) -> Path:
        """Where a file's content is until it is whole."""
        return self.blobs / f"{file.digest.value}{PARTIAL_SUFFIX}"

    def lock(self, name: str) -> Path:
        """The lock for a content (by its digest) or a snapshot (by its commit)."""
        return self.root / ".locks" / self.repo_id.directory / f"{name}.lock"

    def snapshot(self, commit: str) -> Path:
        """Where a commit's entries are."""
        return self.path / "snapshots" / commit

    @property
    def own_lock(self) -> Path:
        """The lock for the whole model, which only mlxk knows."""
        return self.root / ".locks" / self.repo_id.directory / REPO_LOCK

    def prepare(self) -> None:
        """Make the folders that a download needs, and tag the cache as one for backup tools.

        Raises:
            OSError: they cannot be made.
        """
        for folder in (self.blobs, self.path / "snapshots", self.lock("").parent):
            folder.mkdir(parents=True, exist_ok=True)
        tag = self.root / "CACHEDIR.TAG"
        if not tag.exists():
            with suppress(OSError):
                tag.write_text(_TAG)

    def holdings(self, info: RepoInfo) -> Holdings:
        """What is here of a repository; sizes only."""
        blobs: dict[str, int] = {}
        partials: dict[str, int] = {}
        placed: set[str] = set()
        replaced: set[str] = set()
        for file in info.files:
            key = file.digest.value
            whole = _size(self.blob(file))
            if whole is None:
                whole = self._size_in_place(info.commit, file)
            if whole is not None:
                blobs[key] = whole
            if (begun := _size(self.partial(file))) is not None:
                partials[key] = begun
            if self._is_placed(info.commit, file):
                placed.add(file.path)
            elif self._is_replaced(info.commit, file):
                replaced.add(file.path)
        return Holdings(
            blobs,
            partials,
            frozenset(placed),
            self.commit_of(info.revision),
            foreign=self._begun_by_others(),
            replaced=frozenset(replaced),
        )

    def _begun_by_others(self) -> frozenset[str]:
        """Digests of what the Hub's own client has begun (`<etag>.<8 hex>.incomplete`)."""
        try:
            names = os.listdir(self.blobs)  # noqa: PTH208 - only the names
        except OSError:
            return frozenset()
        return frozenset(name.split(".", 1)[0] for name in names if name.endswith(INCOMPLETE_SUFFIX))

    def _is_replaced(self, commit: str, file: HubFile) -> bool:
        """Whether somebody's own file lies where a link should be. Without links a file tells nothing."""
        size = self._size_in_place(commit, file)
        if size is None:
            return False
        from huggingface_hub.file_download import are_symlinks_supported

        if not are_symlinks_supported(self.root):
            return False
        return size != file.size or file_digest(self._entry(commit, file), file) != file.digest.value

    def content(self, commit: str, file: HubFile) -> Path:
        """The file that holds a content: the blob, or the snapshot's entry where there are no links."""
        blob = self.blob(file)
        in_place = _size(blob) is None and self._size_in_place(commit, file) is not None
        return self._entry(commit, file) if in_place else blob

    def commit_of(self, revision: str) -> str | None:
        """The commit a revision stands for here, or None."""
        if is_commit(revision):
            return revision
        if name_problem(revision):
            return None
        content = read_bounded(str(self.path / "refs" / revision), _MAX_REF_BYTES)
        commit = "" if isinstance(content, Invalid) else content.decode(errors="replace").strip()
        return commit if is_commit(commit) else None

    def remembered(self, revision: str) -> RepoInfo | None:
        """The file list kept for a revision, or None when there is none or it makes no sense."""
        commit = self.commit_of(revision)
        if commit is None:
            return None
        content = read_bounded(str(self._tree(commit)), _MAX_TREE_BYTES)
        if isinstance(content, Invalid):
            return None
        try:
            files = tuple(_remembered_files(json.loads(content)))
        except (ValueError, TypeError, RecursionError, MlxkError):
            return None
        return RepoInfo(self.repo_id, revision, commit, files)

    def remember(self, info: RepoInfo) -> None:
        """Keep a repository's file list, so that a half snapshot is known as one without the network.

        Raises:
            OSError: it cannot be written.
        """
        ordered = sorted(info.files, key=lambda file: file.path)
        tree = {"format_version": _TREE_VERSION, "files": {file.path: _tree_entry(file) for file in ordered}}
        self._write(self._tree(info.commit), json.dumps(tree, indent=1), f"{info.commit}.tree")

    def place(self, commit: str, files: Iterable[HubFile]) -> None:
        """Give files their entries in the snapshot; a snapshot that is new appears at once, with all of them.

        Raises:
            OSError: an entry cannot be made.
        """
        from huggingface_hub.file_download import are_symlinks_supported

        final = self.snapshot(commit)
        if not are_symlinks_supported(self.root):
            self._place_contents(files, final)
        elif final.is_dir():
            self._place_links(files, final)
        else:
            staging = self.path / _STAGING / commit
            _remove_links(staging)
            staging.mkdir(parents=True)
            self._place_links(files, staging)
            try:
                staging.rename(final)
            except OSError:  # the Hub's own client has begun the same snapshot in this moment
                self._place_links(files, final)
                _remove_links(staging)
            self.tidy()

    def set_ref(self, revision: str, commit: str) -> None:
        """Let a branch's or tag's name stand for a commit.

        Raises:
            OSError: it cannot be written.
        """
        self._write(self.path / "refs" / revision, commit, f"{commit}.ref")

    def tidy(self) -> None:
        """Remove the folder that a process that died has left, if nothing is in it."""
        with suppress(OSError):
            (self.path / _STAGING).rmdir()

    def _write(self, target: Path, text: str, name: str) -> None:
        """Write a file at once. What a process that dies leaves lies out of view, and is written over.

        Args:
            name: of the file until it is whole; the caller holds the snapshot's lock for it.

        Raises:
            OSError: it cannot be written.
        """
        temporary = self.path / _STAGING / name
        for folder in (target.parent, temporary.parent):
            folder.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        finally:
            self.tidy()

    def _entry(self, commit: str, file: HubFile) -> Path:
        return self.snapshot(commit) / file.path

    def _tree(self, commit: str) -> Path:
        return self.path / "trees" / f"{commit}.json"

    def _size_in_place(self, commit: str, file: HubFile) -> int | None:
        entry = self._entry(commit, file)
        return None if os.path.islink(entry) else _size(entry)  # noqa: PTH114 - False where it may not look

    def _is_placed(self, commit: str, file: HubFile) -> bool:
        entry = self._entry(commit, file)
        try:
            target = entry.readlink()
        except OSError:  # no link: right where there are none, and then there is no blob either
            return _size(entry) == file.size and _size(self.blob(file)) is None
        return target.name == file.digest.value and _size(entry) == file.size

    def _place_links(self, files: Iterable[HubFile], snapshot: Path) -> None:
        """Relative links, at the same depth in a staging folder as in `snapshots/`."""
        for file in files:
            entry = snapshot / file.path
            entry.parent.mkdir(parents=True, exist_ok=True)
            entry.unlink(missing_ok=True)
            ups = [".."] * (len(PurePosixPath(file.path).parts) + 1)
            entry.symlink_to(Path(*ups, "blobs", file.digest.value))

    def _place_contents(self, files: Iterable[HubFile], snapshot: Path) -> None:
        """The contents themselves, as `huggingface_hub` does where there are no links; no blob remains."""
        entries: dict[Path, list[Path]] = {}
        for file in files:
            entries.setdefault(self.blob(file), []).append(snapshot / file.path)
        for blob, targets in entries.items():
            source = blob if blob.exists() else next((entry for entry in targets if entry.exists()), None)
            for target in targets:
                target.parent.mkdir(parents=True, exist_ok=True)
                if source is not None and source != target:
                    shutil.copyfile(source, f"{target}{PARTIAL_SUFFIX}")
                    Path(f"{target}{PARTIAL_SUFFIX}").replace(target)
            blob.unlink(missing_ok=True)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _tree_entry(file: HubFile) -> dict[str, str | int]:
    entry: dict[str, str | int] = {"size": file.size, "blob_id": file.git_oid}
    if file.digest.kind is DigestKind.SHA256:
        entry |= {"lfs_sha256": file.digest.value, "lfs_size": file.size}
    if file.xet_hash is not None:
        entry["xet_hash"] = file.xet_hash
    return entry


def _remembered_files(tree: object) -> Iterable[HubFile]:
    match tree:
        case {"format_version": 1, "files": dict(files)}:
            for path, entry in files.items():
                yield _remembered_file(path, entry)
            return
    raise ValueError("not a file list of this format")


def _remembered_file(path: object, entry: object) -> HubFile:
    match entry:
        case {"size": int(size), "blob_id": str(oid)} if isinstance(path, str) and not name_problem(path):
            assert isinstance(entry, Mapping)
            sha256, xet_hash = entry.get("lfs_sha256"), entry.get("xet_hash")
            return hub_file(path, size, oid, _text(sha256), _text(xet_hash))
    raise ValueError("not a file")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _remove_links(folder: Path) -> None:
    """Remove what an interrupted placing left: links and folders, nothing else is ever there."""
    for directory, _, names in os.walk(folder, topdown=False):
        for name in names:
            (Path(directory) / name).unlink()
        Path(directory).rmdir()
