"""The manifest of a workspace, `.mlxk_workspace.json`: where it came from and what it held when pinned.

The same file name, fields and hash algorithm as MLX-Knife 2.0.6 and newer, so that either tool reads the
other's workspaces. A manifest comes with a directory from anywhere: nothing in it is believed before it is
checked, and no path in it is looked up on disk.
"""

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from mlxk.domain.files import FileRole, role_of
from mlxk.domain.model import FileFact, JsonObject, JsonValue
from mlxk.domain.verification import DigestKind, expected_digest

__all__ = [
    "DEFAULT_EXCLUDE_PATTERNS",
    "HASH_ALGORITHM",
    "MANIFEST_NAME",
    "Baseline",
    "Flaw",
    "IndexedFile",
    "Manifest",
    "Operation",
    "Origin",
    "Refusal",
    "document_of",
    "known_tensor_digests",
    "parse_manifest",
    "path_problem",
    "pinned",
]

MANIFEST_NAME = ".mlxk_workspace.json"
HASH_ALGORITHM = "v2"

DEFAULT_EXCLUDE_PATTERNS = (
    *(".hf_cache/", MANIFEST_NAME, ".git/", ".github/", "__pycache__/"),
    *(".vscode/", ".idea/", ".ipynb_checkpoints/", ".mypy_cache/", ".pytest_cache/", ".ruff_cache/"),
    *(".tox/", "node_modules/", ".venv/", "venv/"),
    *("*.lock", "*.tmp", "*.log", "*.bak"),
    *(".DS_Store", "._*", ".Spotlight-V100/", ".Trashes/", ".fseventsd/", ".TemporaryItems/", ".apdisk"),
    *("Icon\r", "Thumbs.db", "desktop.ini", "$RECYCLE.BIN/", "System Volume Information/"),
    *("*~", ".*.swp", ".*.swo"),
)
"""What a new manifest leaves out: caches, tools' folders, leftovers. Those for directories end in a slash."""

_MAX_PATTERNS = 1000
_MAX_PATTERN_LENGTH = 255
_SHA = re.compile(r"sha256:[0-9a-f]{64}")


class Operation(Enum):
    """What made a workspace."""

    CLONE = "clone"
    CONVERT = "convert"


class Flaw(Enum):
    """Why a manifest, or the baseline in it, cannot be used."""

    UNREADABLE = "it cannot be read"
    NOT_MANAGED = "it does not say that the workspace is managed"
    OTHER_ALGORITHM = "its hash algorithm is not v2"
    NO_INDEX = "it has no list of files"
    BAD_ENTRY = "an entry of its list of files is malformed"
    BAD_PATH = "its list of files names a path that cannot be one of this workspace"
    DUPLICATE_PATH = "its list of files names a path twice"
    BAD_PATTERNS = "its exclude patterns are malformed"


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is wrong, and with what (an entry's position or path, as it may be shown to people)."""

    flaw: Flaw
    subject: str = ""

    @property
    def message(self) -> str:
        """One line for people."""
        return f"the manifest cannot be used: {self.flaw.value}" + (f" ({self.subject})" * bool(self.subject))


@dataclass(frozen=True, slots=True)
class IndexedFile:
    """One file as it was when the workspace was pinned.

    Attributes:
        path: relative, POSIX, NFC.
        size: bytes; 0 for a link.
        mtime_ns: nanoseconds since the epoch; 0 for a link.
        sha: `sha256:<64 hex>`, of what `workspace.hash_kind` says.
        extra: fields of later versions, kept.
    """

    path: str
    size: int
    mtime_ns: int
    sha: str
    extra: JsonObject = field(default_factory=dict)

    @property
    def touched(self) -> bool:
        """Whether its tensor digest is older than its time: only the header is known to be what it was."""
        return self.extra.get(_TOUCHED) is True


@dataclass(frozen=True, slots=True)
class Baseline:
    """What later checks go by: the files, sorted by path, and the patterns that were in force."""

    files: tuple[IndexedFile, ...]
    exclude_patterns: tuple[str, ...] = DEFAULT_EXCLUDE_PATTERNS

    def with_mtimes(self, healed: Mapping[str, int], digests: Collection[str] = ()) -> "Baseline":
        """The same content with other modification times (path to nanoseconds).

        Args:
            digests: paths with a tensor digest. Of these only the header is known to be what it was, which
                is noted for `pinned`.
        """
        return replace(
            self,
            files=tuple(
                _touched(file, healed[file.path], digests) if file.path in healed else file
                for file in self.files
            ),
        )


@dataclass(frozen=True, slots=True)
class Manifest:
    """A workspace's manifest. Texts that are missing or of another type are None.

    Attributes:
        mlxk_version: version of the program that made the workspace.
        created_at: UTC, ISO 8601.
        source_repo: the repository it came from.
        source_revision: the commit it came from.
        operation: `clone` or `convert`, or what another version calls it.
        content_hash: `sha256:<64 hex>` over the baseline.
        hash_modified: when the baseline was taken, UTC, ISO 8601.
        baseline: what checks go by, or why there is nothing to go by.
        tensor_digests: path of a weight file to the sha256 (64 hex) of its whole content, where known.
        recipe: how a conversion was made.
        extra: fields this version does not know, and those of a refused baseline, kept as they are.
    """

    mlxk_version: str | None
    created_at: str | None
    source_repo: str | None
    source_revision: str | None
    operation: str | None
    content_hash: str | None
    hash_modified: str | None
    baseline: Baseline | Refusal
    tensor_digests: Mapping[str, str] = field(default_factory=dict)
    recipe: JsonObject | None = None
    extra: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a new workspace comes from.

    Attributes:
        revision: the commit (40 hex), None when it is not known.
        tensor_digests: see `Manifest`.
        recipe: how a conversion was made; None for clones.
    """

    repo: str | None
    revision: str | None
    operation: Operation
    tensor_digests: Mapping[str, str] = field(default_factory=dict)
    recipe: JsonObject | None = None

    def manifest(self, version: str, created_at: str) -> Manifest:
        """A manifest that holds no baseline yet."""
        return Manifest(
            mlxk_version=version,
            created_at=created_at,
            source_repo=self.repo,
            source_revision=self.revision,
            operation=self.operation.value,
            content_hash=None,
            hash_modified=None,
            baseline=Refusal(Flaw.NO_INDEX),
            tensor_digests=self.tensor_digests,
            recipe=self.recipe,
            extra={"hash_algorithm": HASH_ALGORITHM},
        )


_TEXTS = ("mlxk_version", "created_at", "source_repo", "source_revision", "operation", "hash_modified")
_BASELINE = ("hash_algorithm", "exclude_patterns", "file_index")
_KNOWN = frozenset({*_TEXTS, *_BASELINE, "managed", "content_hash", "tensor_digests", "recipe"})


def parse_manifest(document: JsonObject) -> Manifest | Refusal:
    """Read a manifest from its JSON object. Never raises for bad data.

    Only a document that does not say `managed: true` is no manifest at all. One whose baseline is unusable
    still tells where the workspace came from.
    """
    if document.get("managed") is not True:
        return Refusal(Flaw.NOT_MANAGED)
    baseline = _baseline(document)
    kept = _BASELINE if isinstance(baseline, Refusal) else ()
    texts = {name: _text(document.get(name)) for name in _TEXTS}
    return Manifest(
        **texts,
        content_hash=_sha(document.get("content_hash")),
        baseline=baseline,
        tensor_digests=_digests(document.get("tensor_digests")),
        recipe=_object(document.get("recipe")),
        extra={name: value for name, value in document.items() if name not in _KNOWN or name in kept},
    )


def document_of(manifest: Manifest) -> JsonObject:
    """The JSON object of a manifest; the inverse of `parse_manifest` on whole manifests."""
    document: dict[str, JsonValue] = {
        "mlxk_version": manifest.mlxk_version,
        "created_at": manifest.created_at,
        "source_repo": manifest.source_repo,
        "source_revision": manifest.source_revision,
        "managed": True,
        "operation": manifest.operation,
        "content_hash": manifest.content_hash,
        "hash_modified": manifest.hash_modified,
    }
    if isinstance(manifest.baseline, Baseline):
        document["hash_algorithm"] = HASH_ALGORITHM
        document["exclude_patterns"] = list(manifest.baseline.exclude_patterns)
        document["file_index"] = [_entry(file) for file in manifest.baseline.files]
    if manifest.tensor_digests:
        document["tensor_digests"] = dict(manifest.tensor_digests)
    if manifest.recipe is not None:
        document["recipe"] = manifest.recipe
    return document | dict(manifest.extra)


def pinned(manifest: Manifest, baseline: Baseline, content_hash: str, moment: str) -> Manifest:
    """The manifest with a new baseline, taken at `moment` (UTC, ISO 8601).

    Tensor digests stay only for files that are exactly as when they were recorded, by time too: the content
    hash would not notice other tensors under the same header.
    """
    before = manifest.baseline.files if isinstance(manifest.baseline, Baseline) else ()
    after = {file.path: file for file in baseline.files}
    same = {
        file.path
        for file in before
        if _TOUCHED not in file.extra and _stamped(file) == _stamped(after.get(file.path))
    }
    digests = {path: sha256 for path, sha256 in manifest.tensor_digests.items() if path in same}
    return replace(
        manifest,
        baseline=baseline,
        content_hash=content_hash,
        hash_modified=moment,
        tensor_digests=digests,
        extra={name: value for name, value in manifest.extra.items() if name not in _BASELINE},
    )


def path_problem(path: str) -> str | None:
    """Why a path cannot be that of a file in a workspace, or None.

    Good ones are relative, POSIX and NFC, without `.`, `..` or empty parts, backslash, drive or NUL; a path
    that is good here cannot lead out of the directory it is joined to (links aside).
    """
    if not path:
        return "it is empty"
    if "\0" in path:
        return "it holds a NUL character"
    if "\\" in path:
        return "it holds a backslash"
    if path[0] == "/" or path[1:2] == ":":  # one character and a colon is a drive, whatever character
        return "it is absolute"
    if not {"", ".", ".."}.isdisjoint(path.split("/")):
        return "it has an empty, '.' or '..' part"
    if not path.isascii():
        if any("\ud800" <= character <= "\udfff" for character in path):
            return "it is not valid Unicode"
        if not unicodedata.is_normalized("NFC", path):
            return "it is not in Unicode normal form C"
    return None


def known_tensor_digests(files: Iterable[FileFact]) -> Mapping[str, str]:
    """The sha256 (64 hex) of every weight file whose blob's name states it, by path; costs nothing."""
    found = {}
    for file in files:
        digest = expected_digest(file.blob)
        if digest and digest.kind is DigestKind.SHA256 and role_of(file.path) is FileRole.WEIGHTS:
            found[file.path] = digest.value
    return found


def _baseline(document: JsonObject) -> Baseline | Refusal:
    if document.get("hash_algorithm") != HASH_ALGORITHM:
        return Refusal(Flaw.OTHER_ALGORITHM)
    patterns = _patterns(document.get("exclude_patterns"))
    files = _index(document.get("file_index"))
    if isinstance(patterns, Refusal):
        return patterns
    return files if isinstance(files, Refusal) else Baseline(files, patterns)


def _patterns(value: JsonValue) -> tuple[str, ...] | Refusal:
    if value is None:
        return DEFAULT_EXCLUDE_PATTERNS
    if not isinstance(value, list) or len(value) > _MAX_PATTERNS:
        return Refusal(Flaw.BAD_PATTERNS)
    patterns = tuple(pattern for pattern in value if isinstance(pattern, str))
    if len(patterns) < len(value) or any(len(pattern) > _MAX_PATTERN_LENGTH for pattern in patterns):
        return Refusal(Flaw.BAD_PATTERNS)
    return patterns


def _index(value: JsonValue) -> tuple[IndexedFile, ...] | Refusal:
    if not isinstance(value, list):
        return Refusal(Flaw.NO_INDEX)
    files: dict[str, IndexedFile] = {}
    for position, entry in enumerate(value):
        file = _file(entry)
        if file is None:
            return Refusal(Flaw.BAD_ENTRY, f"number {position + 1}")
        if path_problem(file.path):
            return Refusal(Flaw.BAD_PATH, ascii(file.path[:120]))
        if file.path in files:
            return Refusal(Flaw.DUPLICATE_PATH, file.path)
        files[file.path] = file
    return tuple(files[path] for path in sorted(files))


_ENTRY = ("path", "size", "mtime_ns", "sha")


def _file(entry: JsonValue) -> IndexedFile | None:
    if not isinstance(entry, Mapping):
        return None
    path, size, mtime_ns, sha = (entry.get(name) for name in _ENTRY)
    if type(size) is not int or type(mtime_ns) is not int or size < 0:  # `True` is an int, but no size
        return None
    if not isinstance(path, str) or not isinstance(sha, str) or not _SHA.fullmatch(sha):
        return None
    extra = {name: entry[name] for name in entry if name not in _ENTRY} if len(entry) > len(_ENTRY) else {}
    return IndexedFile(path, size, mtime_ns, sha, extra)


def _entry(file: IndexedFile) -> JsonObject:
    return {"path": file.path, "size": file.size, "mtime_ns": file.mtime_ns, "sha": file.sha, **file.extra}


_TOUCHED = "touched"
"""Field of an entry whose file has a newer time than its tensor digest."""


def _touched(file: IndexedFile, mtime_ns: int, digests: Collection[str]) -> IndexedFile:
    extra = {**file.extra, _TOUCHED: True} if file.path in digests else file.extra
    return replace(file, mtime_ns=mtime_ns, extra=extra)


def _stamped(file: IndexedFile | None) -> tuple[int, int, str] | None:
    return None if file is None else (file.size, file.mtime_ns, file.sha)


def _text(value: JsonValue) -> str | None:
    return value if isinstance(value, str) and value else None


def _sha(value: JsonValue) -> str | None:
    return value if isinstance(value, str) and _SHA.fullmatch(value) else None


def _digests(value: JsonValue) -> Mapping[str, str]:
    if not isinstance(value, Mapping):
        return {}
    return {
        path: digest
        for path, digest in value.items()
        if isinstance(digest, str) and re.fullmatch(r"[0-9a-f]{64}", digest) and not path_problem(path)
    }


def _object(value: JsonValue) -> JsonObject | None:
    return value if isinstance(value, Mapping) else None
