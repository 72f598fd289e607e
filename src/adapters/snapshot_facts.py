"""Gathering facts: one tolerant scan of a snapshot or workspace, without reading weights.

What a model's files say is taken from inside the model only. A link may lead anywhere in the repository
(`models--org--name`) and, for the hub's shared store, in its cache; in a workspace, anywhere in the
workspace. What lies behind any other link is neither read nor measured.
"""

import json
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from mlxk.adapters.bounded_read import describe, open_regular, read_bounded, read_part, read_start
from mlxk.adapters.model_bounds import link_bounds, repository_of
from mlxk.adapters.model_card import MAX_CARD, parse_card
from mlxk.adapters.safetensors_header import read_header
from mlxk.domain.model import (
    Document,
    FileFact,
    FrontMatter,
    HeaderProblem,
    Invalid,
    LinkState,
    ModelRecord,
    SafetensorsHeader,
    SnapshotFacts,
    Source,
)
from mlxk.domain.naming import name_of

__all__ = ["DOCUMENT_NAMES", "MAX_DOCUMENT", "MAX_FILES", "SnapshotReader", "parse_document"]

DOCUMENT_NAMES = frozenset(
    {
        "chat_template.json",
        "config.json",
        "config_sentence_transformers.json",
        "generation_config.json",
        "preprocessor_config.json",
        "processor_config.json",
        "sentence_bert_config.json",
        "tokenizer_config.json",
        "video_preprocessor_config.json",
    }
)
"""Documents at the root of a model that are parsed, besides every `*.safetensors.index.json` there."""

MAX_DOCUMENT = 64 * 1024 * 1024
"""Bytes a document may have to be parsed."""

VOCABULARY = "tokenizer.json"
"""Only its end is looked at: a tokenizer is too large to parse in a listing."""

MAX_FILES = 20_000
"""Files that are looked at; a directory with more is no single model."""

_MAX_DEPTH = 32
_INDEX_SUFFIX = ".safetensors.index.json"
_WEIGHTS_SUFFIX = ".safetensors"
_PARTIAL_SUFFIX = ".incomplete"
_WEIGHTS = (_WEIGHTS_SUFFIX, ".gguf", ".bin", ".npz", ".pt", ".pth")
_END_BYTES = 64
_MANIFEST = ".mlxk_workspace.json"
_FOREIGN_DIRECTORIES = frozenset({".git", ".cache", ".hf_cache"})
_DOWNLOADS = ".cache/huggingface/download"
_POINTER = b"version https://git-lfs.github.com/spec/"
_POINTER_SIZES = range(100, 1024)


class SnapshotReader:
    """Reads facts from disk.

    Left out are the manifest of a workspace and what is in `.git`, `.cache` and `.hf_cache`, except
    unfinished downloads there (`.cache/huggingface/download/*.incomplete`). In the cache, unfinished
    downloads lie among the blobs, where one may also belong to another revision or be an orphan of a
    killed process; so `blobs/*.incomplete` are listed only when the snapshot visibly lacks something: a
    link leads nowhere, there are no weights, or an index names a shard that is not there.
    """

    def facts(self, record: ModelRecord) -> SnapshotFacts:
        """Gather facts in one tolerant scan. Never raises for bad data.

        Documents and the model card are read only where the link of their file is good; a document behind
        a broken or escaping link counts as absent, and its `FileFact` says why.
        """
        if record.problem is not None:
            return _facts_without_snapshot(record)
        scan = _Scan(record.path, repository_of(record.path))
        scan.walk()
        files = scan.files
        if _has_gaps(files, scan.documents):
            files.extend(scan.partial_downloads())
        files.sort(key=lambda file: file.path)
        return SnapshotFacts(
            name=_name(record, scan.repository),
            files=tuple(files),
            documents=scan.documents,
            chat_template=_has_chat_template(files, scan.documents),
            card=scan.card,
            unreadable=tuple(sorted(scan.unreadable)),
        )


def _facts_without_snapshot(record: ModelRecord) -> SnapshotFacts:
    partial = _partial_blobs(record.path) if record.source is Source.CACHE else []
    return SnapshotFacts(
        name=record.name,
        files=tuple(partial),
        unreadable=((".", record.problem or ""),),
        absence=record.absence,
    )


def _name(record: ModelRecord, repository: str | None) -> str:
    if record.source is not Source.WORKSPACE:
        return record.name
    path = Path(record.path)
    return name_of(path.parent.parent.name) if repository else path.name


@dataclass(slots=True)
class _Scan:
    """One walk through a model's directory, and what it found.

    Attributes:
        root: the directory, absolute.
        repository: the cached repository it is a snapshot of, or None.
    """

    root: str
    repository: str | None
    files: list[FileFact] = field(default_factory=list)
    documents: dict[str, Document] = field(default_factory=dict)
    card: FrontMatter = field(default_factory=FrontMatter)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    _bounds: tuple[str, ...] = ()

    def walk(self, prefix: str = "", depth: int = 0) -> None:
        """Look at everything below `prefix` (empty, or a relative path that ends in a slash)."""
        place = prefix.rstrip("/") or "."
        if depth > _MAX_DEPTH:
            self.unreadable.append((place, f"deeper than {_MAX_DEPTH} directories; not looked into"))
            return
        try:
            with os.scandir(f"{self.root}/{prefix}") as entries:
                for entry in entries:
                    if len(self.files) >= MAX_FILES:
                        self.unreadable.append((place, f"more than {MAX_FILES} files; the rest was left out"))
                        return
                    self._look_at(entry, prefix + entry.name, depth)
        except OSError as error:
            self.unreadable.append((place, describe(error)))

    def partial_downloads(self) -> list[FileFact]:
        """Unfinished downloads next to this model."""
        if self.repository:
            return _partial_blobs(self.repository)
        return [
            FileFact(os.path.relpath(path, self.root), status.st_size, status.st_mtime_ns)
            for folder, _, names in os.walk(f"{self.root}/{_DOWNLOADS}")
            for name in names
            if name.endswith(_PARTIAL_SUFFIX) and (status := _regular(path := f"{folder}/{name}"))
        ]

    def _look_at(self, entry: os.DirEntry[str], path: str, depth: int) -> None:
        try:
            if entry.is_symlink():
                self._look_through_link(path)
            elif entry.is_dir(follow_symlinks=False):
                if entry.name not in _FOREIGN_DIRECTORIES:
                    self.walk(path + "/", depth + 1)
            elif path != _MANIFEST:
                self._take(path, entry.stat(follow_symlinks=False))
        except OSError as error:
            self.unreadable.append((path, describe(error)))

    def _look_through_link(self, path: str) -> None:
        full = f"{self.root}/{path}"
        target = os.readlink(full)  # noqa: PTH115 - hot path
        blob = target.rpartition("/")[2]
        if self.repository and target == f"{'../' * (path.count('/') + 2)}blobs/{blob}":
            # The one link the hub writes, which need not be resolved step by step.
            status = _status(f"{self.repository}/blobs/{blob}")
            if status is None:
                self.files.append(FileFact(path, 0, link=LinkState.BROKEN, blob=blob))
                return
            if stat.S_ISREG(status.st_mode):
                self._take(path, status, LinkState.INSIDE, blob)
                return
        self._resolve_link(path, full, blob)

    def _resolve_link(self, path: str, full: str, blob: str) -> None:
        try:
            status = os.stat(full)  # noqa: PTH116
        except OSError as error:
            if isinstance(error, PermissionError):
                self.unreadable.append((path, describe(error)))
            self.files.append(FileFact(path, 0, link=LinkState.BROKEN, blob=blob))
            return
        if not self._holds(os.path.realpath(full)):
            self.files.append(FileFact(path, 0, link=LinkState.ESCAPES, blob=blob))
        elif not stat.S_ISDIR(status.st_mode):  # what a linked directory holds is found by its own name
            self._take(path, status, LinkState.INSIDE, blob)

    def _holds(self, real_path: str) -> bool:
        if not self._bounds:
            self._bounds = link_bounds(self.root)
        return real_path.startswith(self._bounds)

    def _take(
        self, path: str, status: os.stat_result, link: LinkState = LinkState.NONE, blob: str | None = None
    ) -> None:
        """Add a file, after a look at its content where that says something."""
        if not stat.S_ISREG(status.st_mode):
            self.unreadable.append((path, "Not a regular file"))
            return
        size, pointer = status.st_size, False
        header: SafetensorsHeader | HeaderProblem | None = None
        if path.endswith(_WEIGHTS_SUFFIX):
            pointer, header = self._weights(path, size)
        elif path in DOCUMENT_NAMES or (path.endswith(_INDEX_SUFFIX) and "/" not in path):
            pointer = self._document(path)
        elif path == "README.md":
            pointer = self._card()
        elif path == VOCABULARY:
            pointer = self._vocabulary(size)
        elif size in _POINTER_SIZES:
            pointer = self._start(path, len(_POINTER)) == _POINTER
        self.files.append(FileFact(path, size, status.st_mtime_ns, link, blob, pointer, header))

    def _weights(self, path: str, size: int) -> tuple[bool, SafetensorsHeader | HeaderProblem | None]:
        if size in _POINTER_SIZES and self._start(path, len(_POINTER)) == _POINTER:
            return True, None
        if not size:
            return False, None
        return False, self._header(path, size)

    def _header(self, path: str, size: int) -> SafetensorsHeader | HeaderProblem:
        try:
            descriptor, _ = open_regular(f"{self.root}/{path}")
        except OSError as error:
            self.unreadable.append((path, describe(error)))
            return HeaderProblem(describe(error))
        try:
            return read_header(descriptor, size)
        finally:
            os.close(descriptor)

    def _document(self, path: str) -> bool:
        content = read_bounded(f"{self.root}/{path}", MAX_DOCUMENT)
        pointer = isinstance(content, bytes) and content.startswith(_POINTER)
        self.documents[path] = (
            Invalid("a Git LFS pointer instead of the file") if pointer else parse_document(content)
        )
        return pointer

    def _vocabulary(self, size: int) -> bool:
        """See that a tokenizer of many megabytes has its end, without parsing it."""
        pointer = size in _POINTER_SIZES and self._start(VOCABULARY, len(_POINTER)) == _POINTER
        if size and not pointer and not self._end(VOCABULARY, size).rstrip().endswith(b"}"):
            self.documents[VOCABULARY] = Invalid("it does not end as a JSON object")
        return pointer

    def _card(self) -> bool:
        content = self._start("README.md", MAX_CARD)
        self.card = parse_card(content)
        return content.startswith(_POINTER)

    def _end(self, path: str, size: int) -> bytes:
        content = read_part(f"{self.root}/{path}", max(0, size - _END_BYTES), _END_BYTES)
        return b"" if isinstance(content, Invalid) else content

    def _start(self, path: str, count: int) -> bytes:
        content = read_start(f"{self.root}/{path}", count)
        if isinstance(content, Invalid):
            self.unreadable.append((path, content.reason))
            return b""
        return content


def parse_document(content: bytes | Invalid) -> Document:
    """The JSON object in a document's content, or what is wrong with it. Never raises for bad data."""
    if isinstance(content, Invalid):
        return content
    if not content.strip():
        return Invalid("it is empty")
    try:
        value = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _parse_as_python_does(content)
    return value if isinstance(value, dict) else Invalid("it is not a JSON object")


def _parse_as_python_does(content: bytes) -> Document:
    """Parse what strict JSON refuses: configs are written by Python, which knows NaN and Infinity."""
    try:
        value = json.loads(content.decode())
    except UnicodeDecodeError:
        return Invalid("it is not UTF-8")
    except RecursionError:
        return Invalid("its JSON is nested too deeply")
    except ValueError as error:  # JSONDecodeError, and numbers of more digits than Python converts
        return Invalid(f"it is not valid JSON: {error}")
    return value if isinstance(value, dict) else Invalid("it is not a JSON object")


def _has_chat_template(files: Sequence[FileFact], documents: Mapping[str, Document]) -> bool:
    for name in ("tokenizer_config.json", "chat_template.json"):
        document = documents.get(name)
        if isinstance(document, Mapping) and document.get("chat_template"):
            return True
    return any(
        file.size
        and (file.path == "chat_template.jinja" or file.path.startswith("additional_chat_templates/"))
        for file in files
    )


def _has_gaps(files: Sequence[FileFact], documents: Mapping[str, Document]) -> bool:
    """Whether a download visibly did not finish: a broken link, no weights, or a shard missing."""
    weights = [file.path for file in files if file.path.endswith(_WEIGHTS)]
    return (
        not weights
        or any(file.link is LinkState.BROKEN for file in files)
        or any(
            _names_missing_shard(documents[path], weights)
            for path in documents
            if path.endswith(_INDEX_SUFFIX)
        )
    )


def _names_missing_shard(index: Document, weights: Sequence[str]) -> bool:
    shards = index.get("weight_map") if isinstance(index, Mapping) else None
    if not isinstance(shards, Mapping):
        return False
    return not {shard for shard in shards.values() if isinstance(shard, str)}.issubset(weights)


def _partial_blobs(repository: str) -> list[FileFact]:
    """The unfinished downloads of a repository whose blob did not arrive otherwise."""
    try:
        with os.scandir(f"{repository}/blobs") as entries:
            names = {entry.name for entry in entries}
    except OSError:  # no blobs, no downloads; an unreadable directory shows in the broken links
        return []
    # `<etag>.incomplete`, or `<etag>.<8 hex digits>.incomplete` of newer clients
    waiting = sorted(
        name for name in names if name.endswith(_PARTIAL_SUFFIX) and name.split(".")[0] not in names
    )
    return [
        FileFact(f"blobs/{name}", status.st_size, status.st_mtime_ns)
        for name in waiting
        if (status := _regular(f"{repository}/blobs/{name}"))
    ]


def _status(path: str) -> os.stat_result | None:
    """What lies at a path itself, links not followed; None when there is nothing."""
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def _regular(path: str) -> os.stat_result | None:
    status = _status(path)
    return status if status and stat.S_ISREG(status.st_mode) else None
