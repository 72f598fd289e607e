"""Value objects: what is known of a model before anything is decided about it.

Facts are gathered by adapters in one tolerant scan, without MLX and without reading weights; everything
in `capabilities`, `health` and `compatibility` is a pure function of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

__all__ = [
    "ABSENT",
    "WHOLE_MODEL",
    "Absence",
    "AudioBackend",
    "Capability",
    "Cleanliness",
    "Description",
    "Document",
    "FileFact",
    "Framework",
    "FrontMatter",
    "HeaderProblem",
    "Invalid",
    "JsonObject",
    "JsonValue",
    "LinkState",
    "ModelRecord",
    "ModelType",
    "Quantization",
    "SafetensorsHeader",
    "SnapshotFacts",
    "Source",
    "WorkspaceState",
]

JsonValue: TypeAlias = "bool | int | float | str | Sequence[JsonValue] | Mapping[str, JsonValue] | None"
JsonObject: TypeAlias = Mapping[str, JsonValue]


class Framework(Enum):
    """What a model's files are made for."""

    MLX = "MLX"
    GGUF = "GGUF"
    PYTORCH = "PyTorch"
    UNKNOWN = "Unknown"


class ModelType(Enum):
    """The one word a person would use for the model's job."""

    EMBEDDING = "embedding"
    AUDIO = "audio"
    CHAT = "chat"
    BASE = "base"
    UNKNOWN = "unknown"


class Capability(Enum):
    """What a model can be asked to do."""

    TEXT_GENERATION = "text-generation"
    CHAT = "chat"
    VISION = "vision"
    AUDIO = "audio"
    AUDIO_TRANSLATE_EN = "audio-translate-en"
    EMBEDDINGS = "embeddings"


class AudioBackend(Enum):
    """Which installed package runs a model's audio side."""

    MLX_AUDIO = "mlx-audio"
    MLX_VLM = "mlx-vlm"


class Source(Enum):
    """Where a model lives."""

    CACHE = "cache"
    WORKSPACE = "workspace"
    BUNDLED = "bundled"


class Absence(Enum):
    """What is missing where nothing of a model is there, rather than only closed to us."""

    SNAPSHOT = "no snapshot"
    LINK_TARGET = "what its directory links to"


class LinkState(Enum):
    """What became of a file that is (or is reached through) a symbolic link."""

    NONE = "not a link"
    INSIDE = "leads to a file of the same repository"
    BROKEN = "leads nowhere"
    ESCAPES = "leads outside"


@dataclass(frozen=True, slots=True)
class SafetensorsHeader:
    """The parsed header of a safetensors file.

    Layout: 8-byte little-endian header length N, N bytes of JSON, then tensor data; offsets in the JSON
    are relative to the data (safetensors format description, "Format").

    Attributes:
        tensors: tensor names.
        data_end: bytes from the start of the file to the end of the last tensor.
        format: what `__metadata__` says the tensors were written by, e.g. `mlx` or `pt`.
    """

    tensors: frozenset[str]
    data_end: int
    format: str | None = None


@dataclass(frozen=True, slots=True)
class HeaderProblem:
    """Why a safetensors header could not be read."""

    reason: str


@dataclass(frozen=True, slots=True)
class FileFact:
    """One file of a snapshot, as seen without reading its content.

    Attributes:
        path: relative to the snapshot, POSIX separators.
        size: bytes of the file behind the link; 0 when the link is broken.
        mtime_ns: modification time of the file behind the link, nanoseconds since the epoch.
        link: what its symbolic link leads to.
        blob: file name of the first link's target, which in the cache is the expected digest
            (64 hex: sha256 of the content; 40 hex: git blob sha1), or None for plain files.
        lfs_pointer: the file's first bytes are those of a Git LFS pointer.
        header: for `*.safetensors` files of at least one byte that are no pointers.
    """

    path: str
    size: int
    mtime_ns: int = 0
    link: LinkState = LinkState.NONE
    blob: str | None = None
    lfs_pointer: bool = False
    header: SafetensorsHeader | HeaderProblem | None = None

    @property
    def readable(self) -> bool:
        """Whether there is a file of this model behind the name."""
        return self.link in (LinkState.NONE, LinkState.INSIDE)


WHOLE_MODEL = "."
"""Path of what concerns a model as a whole rather than one of its files."""


@dataclass(frozen=True, slots=True)
class Invalid:
    """A document that is there but cannot be used."""

    reason: str


class _Absent(Enum):
    ABSENT = "absent"


ABSENT = _Absent.ABSENT
"""A document that is not there."""

Document: TypeAlias = Mapping[str, JsonValue] | Invalid | _Absent
"""A JSON document as found: its object, what is wrong with it, or `ABSENT`."""


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """The parts of a model card's YAML front matter that say what the model is."""

    tags: tuple[str, ...] = ()
    library_name: str | None = None
    pipeline_tag: str | None = None
    base_model: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SnapshotFacts:
    """Everything one scan of a snapshot or workspace found.

    Attributes:
        name: the model's name (`org/model`, or a workspace's directory name); family rules read it.
        files: every file below the root, sorted by path; broken and escaping links are among them.
        documents: parsed JSON documents by path, for those of `facts.DOCUMENT_NAMES` that exist
            (and every `*.safetensors.index.json`). A missing key means absent.
        chat_template: whether the tokenizer brings one (in `tokenizer_config.json`,
            `chat_template.jinja` or `chat_template.json`).
        card: the model card's front matter.
        unreadable: paths (directories or files) that could not be read, with the system's reason.
        absence: what is missing when nothing could be scanned for the lack of it, else None.
    """

    name: str
    files: tuple[FileFact, ...] = ()
    documents: Mapping[str, Document] = field(default_factory=dict)
    chat_template: bool = False
    card: FrontMatter = FrontMatter()
    unreadable: tuple[tuple[str, str], ...] = ()
    absence: Absence | None = None

    def document(self, path: str) -> Document:
        """The document at `path`: a mapping, `Invalid` or `ABSENT`."""
        return self.documents.get(path, ABSENT)

    def config(self) -> JsonObject:
        """`config.json` if it is a readable object, else an empty one."""
        return self.read("config.json")

    def read(self, path: str) -> JsonObject:
        """The document at `path` if it is a readable object, else an empty one."""
        found = self.document(path)
        return {} if isinstance(found, Invalid | _Absent) else found

    def has(self, path: str) -> bool:
        """Whether a file of that path was listed, readable or not."""
        return any(file.path == path for file in self.files)

    @property
    def size(self) -> int:
        """Bytes of all readable files, each blob counted once."""
        seen = {(file.blob or file.path): file.size for file in self.files if file.readable}
        return sum(seen.values())

    @property
    def modified_ns(self) -> int:
        """Newest modification time of a file, nanoseconds since the epoch; 0 without files."""
        return max((file.mtime_ns for file in self.files), default=0)


@dataclass(frozen=True, slots=True)
class Quantization:
    """How weights are packed: bits per weight, weights per scale, MLX mode (`affine`, `mxfp4`, …)."""

    bits: int
    group_size: int | None = None
    mode: str | None = None


@dataclass(frozen=True, slots=True)
class Description:
    """What a model is, as decided from its facts.

    Attributes:
        context_length: tokens, or None when the config does not say.
        architecture: `model_type` of config.json, or None.
    """

    framework: Framework
    model_type: ModelType
    capabilities: tuple[Capability, ...]
    audio_backend: AudioBackend | None
    context_length: int | None
    quantization: Quantization | None
    architecture: str | None


class Cleanliness(Enum):
    """Whether a workspace still holds what its manifest says."""

    CLEAN = "clean"
    MODIFIED = "modified"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class WorkspaceState:
    """What a workspace's manifest says of it.

    Attributes:
        managed: it holds a readable manifest.
        origin: the repository it came from.
        content_hash: `sha256:<64 hex>` as recorded.
        hash_modified: when the hash was last taken, as recorded.
        hint: why it is not clean, and what helps; None when it is, or was not checked.
    """

    managed: bool
    origin: str | None = None
    content_hash: str | None = None
    hash_modified: str | None = None
    cleanliness: Cleanliness = Cleanliness.UNKNOWN
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """One model on this machine: where it is and what it is called; nothing is decided about it.

    Attributes:
        name: `org/model` in the cache, the absolute path for a workspace, `demo` for the bundled one.
        path: absolute path of the snapshot or workspace directory.
        revision: the snapshot's commit (40 hex), None outside the cache.
        display_name: how the user asked for it, when that differs (a relative path stays relative).
        problem: why the model cannot be looked into (no snapshot, directory unreadable), else None.
        absence: what is missing, where that is the problem.
    """

    name: str
    path: str
    source: Source
    revision: str | None = None
    display_name: str | None = None
    problem: str | None = None
    workspace: WorkspaceState | None = None
    absence: Absence | None = None
