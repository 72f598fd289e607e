"""What can be wrong with a model's files: a closed list of codes, and findings that carry one."""

from dataclasses import dataclass
from enum import Enum

__all__ = ["Code", "Finding", "Remedy", "Severity"]


class Code(Enum):
    """Everything that can be wrong with a model's files, in order of precedence."""

    UNREADABLE = "unreadable"
    CONFIG_MISSING = "config_missing"
    CONFIG_INVALID = "config_invalid"
    NO_WEIGHTS = "no_weights"
    INDEX_INVALID = "index_invalid"
    SHARD_MISSING = "shard_missing"
    SHARD_TOTALS_INCONSISTENT = "shard_totals_inconsistent"
    SHARD_EMPTY = "shard_empty"
    INDEX_MISMATCH = "index_mismatch"
    INDEX_ABSENT_FOR_SHARDS = "index_absent_for_shards"
    TENSOR_NOT_IN_SHARD = "tensor_not_in_shard"
    LFS_POINTER = "lfs_pointer"
    SAFETENSORS_HEADER_INVALID = "safetensors_header_invalid"
    SAFETENSORS_TRUNCATED = "safetensors_truncated"
    SAFETENSORS_OVERSIZED = "safetensors_oversized"
    DIGEST_MISMATCH = "digest_mismatch"
    PARTIAL_DOWNLOAD = "partial_download"
    BROKEN_LINK = "broken_link"
    PATH_ESCAPES_SNAPSHOT = "path_escapes_snapshot"
    TOKENIZER_MISSING = "tokenizer_missing"
    TOKENIZER_CONFIG_INVALID = "tokenizer_config_invalid"
    PROCESSOR_MISSING = "processor_missing"
    PROCESSOR_INVALID = "processor_invalid"

    @property
    def precedence(self) -> int:
        """Position in this list; of several findings the lowest is the model's `reason`."""
        return _PRECEDENCE[self]


_PRECEDENCE = {code: position for position, code in enumerate(Code)}


class Severity(Enum):
    """An error makes the model unhealthy; a warning is only told."""

    ERROR = "error"
    WARNING = "warning"


class Remedy(Enum):
    """What helps against a finding."""

    FETCH_AGAIN = "download the file again; in the cache: `mlxk health NAME --fix`, or `mlxk pull NAME`"
    REPAIR_INDEX = "rebuild the weight index from the shards' headers"
    FIX_FILE = "correct the file by hand, or download it again"
    FIX_PERMISSIONS = "make it readable for you"
    PULL = "download the model: `mlxk pull NAME`"
    RESTORE_LINK_TARGET = "mount the volume it is on, or delete the link"
    REPLACE_LINK = "replace the link by the file it leads to"
    REMOVE_LEFTOVER = "remove the leftover shards of the other set"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a model's files.

    Attributes:
        file: relative to the model, POSIX separators; `.` when it concerns the whole model.
        message: one line for people.
    """

    code: Code
    file: str
    message: str
    remedy: Remedy
    severity: Severity = Severity.ERROR
