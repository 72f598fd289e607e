"""What the commands answer: one frozen dataclass per command, with the field names of the JSON contract.

The published schema is generated from these types (`mlxk schema`), so a field added, removed or retyped
here is a change of that contract. A field with a default is optional: it is left out while it holds the
default. Fields that scripts know from the MLX-Knife 2.x JSON API keep their names and meanings.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = [
    "SPEC_VERSION",
    "CheckedModel",
    "FileEntry",
    "FindingEntry",
    "FixView",
    "HealthDetails",
    "HealthResult",
    "HealthStatus",
    "HealthSummary",
    "ListResult",
    "MetadataView",
    "ModelView",
    "QuantizationView",
    "RunResult",
    "ServeResult",
    "ShowResult",
    "SystemView",
    "VerificationView",
    "VersionResult",
]

SPEC_VERSION = "0.3.0"
"""Version of the JSON contract: 0.2.3 is MLX-Knife's, ours adds keys to it."""

HealthStatus: TypeAlias = Literal["healthy", "unhealthy"]


@dataclass(frozen=True)
class QuantizationView:
    """Bits per weight and weights per scale."""

    bits: int
    group_size: int | None


@dataclass(frozen=True)
class ModelView:
    """One model, as `list` and `show` print it.

    Attributes:
        name: `org/model`, a workspace's absolute path, or the bundled model's name.
        hash: the snapshot's commit, 40 hex digits; null outside the cache.
        size_bytes: bytes of its files, shared blobs counted once.
        last_modified: newest file, UTC, `YYYY-MM-DDTHH:MM:SSZ`.
        reason: why it is unhealthy or does not run here; null when it is healthy and runs.
        cached: true in the Hugging Face cache, false elsewhere.
        origin: the repository a workspace came from.
        content_hash: a workspace's recorded content, `sha256:<64 hex>`.
        hash_modified: when that hash was taken.
        clean: whether a workspace still holds that content; null when unknown.
        display_name: how the workspace was asked for, when by a relative path.
        source: where the model lives.
        context_length: tokens; null when its config does not say.
    """

    name: str
    hash: str | None
    size_bytes: int
    last_modified: str
    framework: Literal["MLX", "GGUF", "PyTorch", "Unknown"]
    model_type: Literal["embedding", "audio", "chat", "base", "unknown"]
    capabilities: tuple[
        Literal["text-generation", "chat", "vision", "audio", "audio-translate-en", "embeddings"], ...
    ]
    health: HealthStatus
    runtime_compatible: bool
    reason: str | None
    cached: bool
    origin: str | None
    content_hash: str | None
    hash_modified: str | None
    clean: bool | None
    display_name: str | None
    source: Literal["cache", "workspace", "bundled"]
    context_length: int | None
    quantization: QuantizationView | None

    @property
    def usable(self) -> bool:
        """Whether it is whole and runs here, which is what `list` shows people by default."""
        return self.framework == "MLX" and self.runtime_compatible


@dataclass(frozen=True)
class ListResult:
    """`mlxk list`."""

    models: tuple[ModelView, ...]
    count: int


@dataclass(frozen=True)
class MetadataView:
    """Numbers of config.json; null where it does not say. `quantization` reads `4bit`."""

    model_type: str | None
    quantization: str | None
    context_length: int | None
    vocab_size: int | None
    hidden_size: int | None
    num_attention_heads: int | None
    num_hidden_layers: int | None


@dataclass(frozen=True)
class FileEntry:
    """One file: `size` for people (`1.2KB`), `size_bytes` for programs."""

    name: str
    size: str
    type: Literal["weights", "tokenizer", "config", "other"]
    size_bytes: int


@dataclass(frozen=True)
class FindingEntry:
    """One thing wrong with a model's files, and what helps."""

    code: str
    severity: Literal["error", "warning"]
    file: str
    message: str
    remedy: str


@dataclass(frozen=True)
class ShowResult:
    """`mlxk show`; `files` and `config` only when asked for. `path` is the model's directory."""

    model: ModelView
    path: str
    metadata: MetadataView | None
    findings: tuple[FindingEntry, ...]
    files: tuple[FileEntry, ...] | None = None
    config: Mapping[str, object] | None = None


@dataclass(frozen=True)
class CheckedModel:
    """One model's health in a line; `display_name` as for a model of `list`."""

    name: str
    status: HealthStatus
    reason: str
    display_name: str | None = None


@dataclass(frozen=True)
class HealthSummary:
    """How many of each."""

    total: int
    healthy_count: int
    unhealthy_count: int


@dataclass(frozen=True)
class VerificationView:
    """What `--verify` hashed.

    Attributes:
        files_checked: files compared with their digest, remembered ones among them.
        files_remembered: of these, files whose receipt still holds and that were not read again.
        files_without_digest: files that nothing states a digest for.
        bytes_checked: their bytes.
        unverified: the files without a digest; in a workspace also those edited since it was recorded.
    """

    files_checked: int
    files_remembered: int
    files_without_digest: int
    bytes_checked: int
    unverified: tuple[str, ...] = ()


@dataclass(frozen=True)
class HealthDetails:
    """The findings behind one model's health, and the verification if there was one."""

    name: str
    findings: tuple[FindingEntry, ...]
    verification: VerificationView | None


@dataclass(frozen=True)
class FixView:
    """What `--fix` did about one unhealthy model.

    Attributes:
        files: the files that were damaged or missing and that the Hub has.
        message: one line for people: what was fetched, or why no download helps.
    """

    name: str
    status: Literal["fixed", "not_fixed"]
    files: tuple[str, ...]
    bytes_downloaded: int
    message: str


@dataclass(frozen=True)
class HealthResult:
    """`mlxk health`; `fixes` only with `--fix`, where the rest is what was found afterwards."""

    healthy: tuple[CheckedModel, ...]
    unhealthy: tuple[CheckedModel, ...]
    summary: HealthSummary
    details: tuple[HealthDetails, ...]
    fixes: tuple[FixView, ...] = ()


@dataclass(frozen=True)
class RunResult:
    """`mlxk run`.

    Attributes:
        reasoning: what a thinking model thought; left out when it did not.
        generation_time_s: seconds from the request to the last token, without loading.
        tokens_per_second: generated tokens over the time from the first token to the last.
    """

    model: str
    prompt: str
    response: str
    finish_reason: Literal["stop", "length", "tool_calls", "cancelled"]
    tokens_generated: int
    prompt_tokens: int
    generation_time_s: float
    tokens_per_second: float
    reasoning: str | None = None


@dataclass(frozen=True)
class SystemView:
    """This machine."""

    memory_total_bytes: int


@dataclass(frozen=True)
class VersionResult:
    """`mlxk --version`; `system` is null where it cannot be measured."""

    cli_version: str
    json_api_spec_version: str
    system: SystemView | None


@dataclass(frozen=True)
class ServeResult:
    """Where the server is, printed once it listens.

    Attributes:
        base_url: what clients of this machine connect to; OpenAI clients add `/v1`.
        model: the first model that was loaded at the start.
    """

    host: str
    port: int
    base_url: str
    model: str | None
