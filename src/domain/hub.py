"""What a Hub says of a repository, what of it is worth believing, and what is still to be fetched.

A repository's file list comes from outside: names and sizes are checked here before anything is written
under them. Digests follow the Hub's rule: sha256 of the content for LFS files, git blob sha1 for the others.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mlxk.domain.errors import ErrorKind, MlxkError
from mlxk.domain.naming import RepoId
from mlxk.domain.sizes import human_size
from mlxk.domain.verification import Digest, DigestKind, Trust, expected_digest

__all__ = [
    "DEFAULT_REVISION",
    "FetchResult",
    "Holdings",
    "HubFile",
    "Missing",
    "RepoInfo",
    "RetryPolicy",
    "bytes_to_download",
    "check_file_names",
    "hub_file",
    "is_commit",
    "missing",
    "name_problem",
    "revision_problem",
    "space_shortage",
]

DEFAULT_REVISION = "main"

_COMMIT = re.compile(r"[0-9a-f]{40}")
_XET_HASH = re.compile(r"[0-9a-f]{64}")
_DRIVE = re.compile(r"[A-Za-z]:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MAX_NAME_BYTES = 255
_MAX_PATH_BYTES = 1024


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file of a repository at one commit, as the Hub lists it.

    Attributes:
        path: relative to the repository, POSIX separators.
        size: bytes of the content (for LFS files that of the content, not of the pointer).
        digest: what the content must hash to; its value is the blob's name in the cache.
        git_oid: the git object of the file (for LFS files that of the pointer), 40 hex.
        xet_hash: 64 hex, when the Hub keeps the file in its Xet storage.
    """

    path: str
    size: int
    digest: Digest
    git_oid: str
    xet_hash: str | None = None


@dataclass(frozen=True, slots=True)
class RepoInfo:
    """A model repository on the Hub at one commit.

    Attributes:
        revision: what was asked for: a branch, a tag or a commit.
        commit: what it stands for, 40 hex.
        gated: whether the Hub asks for accepted terms before it hands out files.
    """

    repo_id: RepoId
    revision: str
    commit: str
    files: tuple[HubFile, ...]
    private: bool = False
    gated: bool = False

    @property
    def size(self) -> int:
        """Bytes of all files, equal content counted once."""
        return sum({file.digest.value: file.size for file in self.files}.values())


def hub_file(
    path: str, size: int, git_oid: str, lfs_sha256: str | None = None, xet_hash: str | None = None
) -> HubFile:
    """A file as listed, once its size and digests are seen to be such.

    Raises:
        MlxkError: (`DOWNLOAD_FAILED`) the size is negative or a digest is no digest: neither may become a
            file name or a length.
    """
    digest = expected_digest(git_oid if lfs_sha256 is None else lfs_sha256)
    kind = DigestKind.GIT_BLOB_SHA1 if lfs_sha256 is None else DigestKind.SHA256
    if digest is None or digest.kind is not kind or not _COMMIT.fullmatch(git_oid) or size < 0:
        raise MlxkError(
            ErrorKind.DOWNLOAD_FAILED,
            f"The Hub's file list makes no sense: '{_printable(path)}' has no usable size or digest.",
            hint="check that HF_ENDPOINT is a Hub",
        )
    return HubFile(
        path, size, digest, git_oid, xet_hash if xet_hash and _XET_HASH.fullmatch(xet_hash) else None
    )


def is_commit(revision: str) -> bool:
    """Whether a revision is a full commit hash, which never changes its meaning."""
    return _COMMIT.fullmatch(revision) is not None


def revision_problem(revision: str) -> str | None:
    """Why a revision cannot be asked for, or None. It becomes a file name under `refs/`."""
    return "it is empty" if not revision else name_problem(revision)


def name_problem(path: str) -> str | None:
    """Why a file of this name cannot be written below a folder, or None when it can."""
    if not path:
        return "it is empty"
    if _CONTROL.search(path):
        return "it contains a control character"
    if "\\" in path:
        return "it contains a backslash"
    if path.startswith("/") or _DRIVE.match(path):
        return "it is an absolute path"
    parts = path.split("/")
    if ".." in parts:
        return "it leads out of the folder"
    if "" in parts or "." in parts:
        return "it is not in its shortest form"
    try:
        lengths = [len(part.encode()) for part in parts]
    except UnicodeEncodeError:
        return "it is not valid Unicode"
    if max(lengths) > _MAX_NAME_BYTES or sum(lengths) + len(parts) > _MAX_PATH_BYTES:
        return "it is too long"
    return None


def check_file_names(paths: Sequence[str]) -> None:
    """See that a repository's files can be written into one folder on any volume.

    Volumes may fold case and Unicode forms (APFS does both), where two such names would be one file.

    Raises:
        MlxkError: (`DOWNLOAD_FAILED`) a name leaves the folder or cannot be written, or two names collide;
            the message says which.
    """
    for path in paths:
        if problem := name_problem(path):
            raise _refused(f"'{_printable(path)}': {problem}")
    seen: dict[str, str] = {}
    for path in paths:
        if (other := seen.get(_folded(path))) is not None:
            raise _refused(f"'{_printable(other)}' and '{_printable(path)}' are one name on many volumes")
        seen[_folded(path)] = path
    for path in paths:
        for folder in _folders(_folded(path)):
            if folder in seen:
                raise _refused(f"'{_printable(seen[folder])}' is both a file and a folder")


def _refused(reason: str) -> MlxkError:
    return MlxkError(
        ErrorKind.DOWNLOAD_FAILED,
        f"The repository has a file name that cannot be used: {reason}.",
        hint="nothing was downloaded; tell the repository's owner",
    )


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _folders(path: str) -> Iterable[str]:
    at = path.find("/")
    while at != -1:
        yield path[:at]
        at = path.find("/", at + 1)


def _printable(text: str) -> str:
    shown = text if len(text) <= 120 else f"{text[:117]}…"
    return "".join(char if char.isprintable() else "\ufffd" for char in shown)


@dataclass(frozen=True, slots=True)
class Holdings:
    """What one cache holds of a repository at one commit.

    Attributes:
        blobs: size by digest of the contents that are there, not hashed.
        partials: size by digest of the contents that were begun.
        placed: the paths whose entry in the snapshot leads to the right content.
        ref: the commit that the asked-for revision stands for here, or None.
        foreign: digests of contents that another program has begun.
        replaced: the paths where somebody put a file of other content in the place of a link.
    """

    blobs: Mapping[str, int]
    partials: Mapping[str, int]
    placed: frozenset[str]
    ref: str | None = None
    foreign: frozenset[str] = frozenset()
    replaced: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Missing:
    """What a cache lacks of a repository at one commit.

    Attributes:
        files: files whose content is not there in full, each content once, largest first.
        unplaced: files whose content is there and whose snapshot entry is not.
        bytes: to download, after what earlier downloads have begun.
        begun: bytes that earlier downloads have left and that need no second download.
        stale_ref: the revision's name stands for another commit here, or for none.
        foreign: paths among `files` that another program has begun.
        replaced: paths where a file of other content would have to give way.
    """

    files: tuple[HubFile, ...]
    unplaced: tuple[HubFile, ...]
    bytes: int
    begun: int
    stale_ref: bool
    foreign: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every file is there and in its place."""
        return not self.files and not self.unplaced


def missing(info: RepoInfo, held: Holdings) -> Missing:
    """Compare a repository with what a cache holds of it; sizes decide, contents are not read."""
    wanted: dict[str, HubFile] = {}
    for file in info.files:
        if held.blobs.get(file.digest.value) != file.size:
            wanted.setdefault(file.digest.value, file)
    begun = {key: _usable(held.partials.get(key, 0), file.size) for key, file in wanted.items()}
    return Missing(
        files=tuple(sorted(wanted.values(), key=lambda file: (-file.size, file.path))),
        unplaced=tuple(
            file for file in info.files if file.digest.value not in wanted and file.path not in held.placed
        ),
        bytes=sum(file.size - begun[key] for key, file in wanted.items()),
        begun=sum(begun.values()),
        stale_ref=info.revision != info.commit and held.ref != info.commit,
        foreign=tuple(sorted(file.path for key, file in wanted.items() if key in held.foreign)),
        replaced=tuple(sorted(held.replaced)),
    )


def bytes_to_download(files: Sequence[HubFile], held: Holdings, trust: "Trust") -> int:
    """The most that fetching files can take: what is not trusted counts, less what was begun."""
    wanted = {file.digest.value: file for file in files}
    return sum(
        file.size - _usable(held.partials.get(key, 0), file.size)
        for key, file in wanted.items()
        if trust is Trust.DIGEST or held.blobs.get(key) != file.size
    )


def _usable(begun: int, size: int) -> int:
    return begun if begun <= size else 0


@dataclass(frozen=True, slots=True)
class FetchResult:
    """What a fetch did.

    Attributes:
        snapshot: absolute path of the snapshot directory, which exists when `complete`.
        downloaded: paths of the files whose content was downloaded now, sorted.
        bytes_downloaded: bytes received from the Hub for them, again-fetched ones counted again.
        bytes_resumed: bytes that an earlier, interrupted download had left.
        complete: whether the snapshot now holds everything the Hub lists.
    """

    snapshot: str
    downloaded: tuple[str, ...]
    bytes_downloaded: int
    bytes_resumed: int
    complete: bool


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to keep trying when a Hub does not answer as it should. Times are seconds.

    Attributes:
        attempts: tries in a row without a single new byte until giving up.
        first_wait: before the second try; doubles from try to try.
        longest_wait: where the doubling ends.
        longest_retry_after: the longest `Retry-After` that is waited out.
    """

    attempts: int = 6
    first_wait: float = 1.0
    longest_wait: float = 8.0
    longest_retry_after: float = 60.0

    def wait(self, failures: int, retry_after: float | None = None) -> float | None:
        """Seconds to wait after the given number of failures in a row, or None to give up."""
        if failures >= self.attempts:
            return None
        if retry_after is not None:
            return retry_after if retry_after <= self.longest_retry_after else None
        return min(self.longest_wait, self.first_wait * 2.0 ** max(0, failures - 1))


def space_shortage(needed: int, free: int) -> MlxkError | None:
    """The error to raise when a volume has no room for a download, or None."""
    if needed <= free:
        return None
    return MlxkError(
        ErrorKind.INSUFFICIENT_DISK,
        f"The download needs {human_size(needed)}, the volume has {human_size(free)} free.",
        hint="free some space (`mlxk rm`), or point HF_HOME at a larger volume",
    )
