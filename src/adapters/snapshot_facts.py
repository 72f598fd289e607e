"""Gathering facts: one tolerant scan of a snapshot or workspace, without reading weights.

What a model's files say is taken from inside the model only. A link may lead anywhere in the repository
(`models--org--name`) and, for the hub's shared store, in its cache; in a workspace, anywhere in the
workspace. What lies behind any other link is neither read nor measured.
"""

import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mlxk.adapters.bounded_read import describe, open_regular, read_bounded
from mlxk.adapters.model_card import MAX_CARD, parse_card
from mlxk.adapters.safetensors_header import read_header
from mlxk.domain.model import (
    Document,
    FileFact,
    FrontMatter,
    HeaderProblem,
    Invalid,
    JsonValue,
    LinkState,
    ModelRecord,
    SafetensorsHeader,
    SnapshotFacts,
    Source,
)

__all__ = ["DOCUMENT_NAMES", "MAX_DOCUMENT", "MAX_FILES", "SnapshotReader"]

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

MAX_FILES = 20_000
"""Files that are looked at; a directory with more is no single model."""

_MAX_DEPTH = 32
_INDEX_SUFFIX = ".safetensors.index.json"
_WEIGHTS_SUFFIX = ".safetensors"
_PARTIAL_SUFFIX = ".incomplete"
_OTHER_WEIGHTS = (".gguf", ".bin", ".npz", ".pt", ".pth")
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

        Documents and the model card are read only where the link state of their file is good; a document
        behind a broken or escaping link counts as absent, and its `FileFact` says why.
        """
        if record.problem is not None:
            return _facts_without_snapshot(record)
        scan = _Scan(record.path, _layout(record.path))
        scan.walk()
        files = sorted(scan.files, key=lambda file: file.path)
        documents = scan.documents
        if scan.layout.blobs and _has_gaps(files, documents):
            files.extend(_partial_blobs(scan.layout.blobs))
        return SnapshotFacts(
            name=record.name if record.source is not Source.WORKSPACE else Path(record.path).name,
            files=tuple(files),
            documents=documents,
            chat_template=_has_chat_template(files, documents),
            card=scan.card,
            unreadable=tuple(sorted(scan.unreadable)),
        )


def _facts_without_snapshot(record: ModelRecord) -> SnapshotFacts:
    return SnapshotFacts(
        name=record.name,
        files=tuple(_partial_blobs(f"{record.path}/blobs")) if record.source is Source.CACHE else (),
        unreadable=((".", record.problem or ""),),
    )


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where links of a model may lead.

    Attributes:
        bounds: real paths of the directories that files may be in.
        blobs: the blob directory of a cached repository, as the snapshot's links name it.
    """

    bounds: tuple[str, ...]
    blobs: str | None = None

    def holds(self, real_path: str) -> bool:
        return any(real_path.startswith(bound) for bound in self.bounds)


def _layout(directory: str) -> _Layout:
    snapshots = os.path.dirname(directory)  # noqa: PTH120 - hot path
    repository = os.path.dirname(snapshots)  # noqa: PTH120
    if not (snapshots.endswith("/snapshots") and os.path.basename(repository).startswith("models--")):  # noqa: PTH119
        return _Layout((_bound(directory),))
    return _Layout(
        (_bound(os.path.dirname(repository)), _bound(repository), _bound(f"{repository}/blobs")),  # noqa: PTH120
        f"{repository}/blobs",
    )


def _bound(directory: str) -> str:
    return os.path.realpath(directory).rstrip("/") + "/"


@dataclass(slots=True)
class _Scan:
    root: str
    layout: _Layout
    files: list[FileFact] = field(default_factory=list)
    documents: dict[str, Document] = field(default_factory=dict)
    card: FrontMatter = FrontMatter()
    unreadable: list[tuple[str, str]] = field(default_factory=list)

    def walk(self, prefix: str = "", depth: int = 0) -> None:
        """Look at everything below `prefix` (empty, or a relative path that ends in a slash)."""
        try:
            with os.scandir(f"{self.root}/{prefix}") as entries:
                for entry in entries:
                    if len(self.files) >= MAX_FILES:
                        self._note(
                            prefix.rstrip("/") or ".",
                            f"more than {MAX_FILES} files; the rest was not looked at",
                        )
                        return
                    self._look_at(entry, prefix + entry.name, depth)
        except OSError as error:
            self._note(prefix.rstrip("/") or ".", describe(error))
