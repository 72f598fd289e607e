"""The one error type that crosses layers, and the closed list of kinds it comes in."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

__all__ = ["AmbiguousMatch", "ErrorKind", "Interrupted", "InvalidInput", "MlxkError", "ModelNotFound"]

EXIT_ERROR = 1
EXIT_NETWORK = 2
EXIT_FILESYSTEM = 3
EXIT_INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class _Mapping:
    """What a kind of error means outside: its JSON name, process exit code and HTTP status."""

    type: str
    exit_code: int
    http_status: int
    retryable: bool = False


class ErrorKind(Enum):
    """Every kind of error mlxk reports. `type` is the name in the JSON envelope, stable for scripts."""

    VALIDATION = _Mapping("ValidationError", EXIT_ERROR, 400)
    MODEL_NOT_FOUND = _Mapping("model_not_found", EXIT_ERROR, 404)
    AMBIGUOUS_MATCH = _Mapping("ambiguous_match", EXIT_ERROR, 400)
    ACCESS_DENIED = _Mapping("access_denied", EXIT_NETWORK, 403)
    DOWNLOAD_FAILED = _Mapping("download_failed", EXIT_NETWORK, 502, retryable=True)
    NETWORK = _Mapping("NetworkError", EXIT_NETWORK, 502, retryable=True)
    PERMISSION = _Mapping("PermissionError", EXIT_FILESYSTEM, 403)
    OPERATION = _Mapping("OperationError", EXIT_ERROR, 500)
    INTERNAL = _Mapping("InternalError", EXIT_ERROR, 500)
    LOCKS_PRESENT = _Mapping("locks_present", EXIT_ERROR, 409, retryable=True)
    INSUFFICIENT_MEMORY = _Mapping("insufficient_memory", EXIT_ERROR, 507)
    INSUFFICIENT_DISK = _Mapping("insufficient_disk", EXIT_FILESYSTEM, 507)
    NOT_IMPLEMENTED = _Mapping("not_implemented", EXIT_ERROR, 501)
    UNSUPPORTED_MULTIMODAL = _Mapping("unsupported_multimodal", EXIT_ERROR, 501)
    DEPENDENCY_MISSING = _Mapping("dependency_missing", EXIT_ERROR, 501)
    AUTH = _Mapping("auth_error", EXIT_NETWORK, 401)
    WORKSPACE_NOT_FOUND = _Mapping("workspace_not_found", EXIT_ERROR, 404)
    REPO_NOT_FOUND = _Mapping("repo_not_found", EXIT_NETWORK, 404)
    UPLOAD_FAILED = _Mapping("upload_failed", EXIT_NETWORK, 502, retryable=True)
    PUSH_FAILED = _Mapping("push_operation_failed", EXIT_ERROR, 502)
    INVALID_TARGET = _Mapping("InvalidTargetError", EXIT_FILESYSTEM, 400)
    PULL_FAILED = _Mapping("PullFailedError", EXIT_NETWORK, 502, retryable=True)
    CACHE_NOT_FOUND = _Mapping("CacheNotFoundError", EXIT_FILESYSTEM, 404)
    CLONE_FAILED = _Mapping("CloneFailedError", EXIT_ERROR, 500)
    USER_CANCELLED = _Mapping("UserCancelledError", EXIT_INTERRUPTED, 503)
    SERVER_SHUTDOWN = _Mapping("server_shutdown", EXIT_ERROR, 503, retryable=True)
    RUNTIME_LOST = _Mapping("runtime_lost", EXIT_ERROR, 503, retryable=True)
    MODELS_BUSY = _Mapping("models_busy", EXIT_ERROR, 503, retryable=True)
    QUEUE_FULL = _Mapping("queue_full", EXIT_ERROR, 429, retryable=True)
    PAYLOAD_TOO_LARGE = _Mapping("payload_too_large", EXIT_ERROR, 413)
    REQUEST_TIMEOUT = _Mapping("request_timeout", EXIT_ERROR, 408, retryable=True)
    METHOD_NOT_ALLOWED = _Mapping("method_not_allowed", EXIT_ERROR, 405)
    PATH_NOT_FOUND = _Mapping("path_not_found", EXIT_ERROR, 404)

    @property
    def type(self) -> str:
        """The name scripts see in `error.type`."""
        return self.value.type

    @property
    def exit_code(self) -> int:
        """The process exit code: 1 error, 2 network, 3 permission or file system, 130 interrupted."""
        return self.value.exit_code

    @property
    def http_status(self) -> int:
        """The HTTP status the server answers with."""
        return self.value.http_status

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later without a change."""
        return self.value.retryable


class MlxkError(Exception):
    """An error a person can act on: one sentence, and where possible a hint with the way out.

    Args:
        kind: what went wrong, which fixes the exit code and the HTTP status.
        message: one sentence, without a trailing newline.
        hint: what to do next, or None.
        matches: the candidates of an ambiguous or misspelt name, best first.
        data: what the command has to say all the same, such as how far it came; the envelope's `data`.
        param: the field of a request that is wrong, or None.
        retry_after: seconds after which the same request may succeed, or None.
    """

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        *,
        hint: str | None = None,
        matches: Sequence[str] = (),
        data: object | None = None,
        param: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.hint = hint
        self.matches = tuple(matches)
        self.data = data
        self.param = param
        self.retry_after = retry_after


class InvalidInput(MlxkError):
    """What the user gave cannot be used as it is (`ValidationError`)."""

    def __init__(self, message: str, *, hint: str | None = None, param: str | None = None) -> None:
        super().__init__(ErrorKind.VALIDATION, message, hint=hint, param=param)


class ModelNotFound(MlxkError):
    """No model answers to the name; `matches` holds up to three close names."""

    def __init__(self, message: str, *, hint: str | None = None, matches: Sequence[str] = ()) -> None:
        super().__init__(ErrorKind.MODEL_NOT_FOUND, message, hint=hint, matches=matches)


class AmbiguousMatch(MlxkError):
    """Several models answer to the name; `matches` holds them, sorted."""

    def __init__(self, message: str, *, hint: str | None = None, matches: Sequence[str] = ()) -> None:
        super().__init__(ErrorKind.AMBIGUOUS_MATCH, message, hint=hint, matches=matches)


class Interrupted(MlxkError):
    """The user stopped the work (Ctrl-C); exit code 130."""

    def __init__(self, message: str = "Interrupted.", *, hint: str | None = None) -> None:
        super().__init__(ErrorKind.USER_CANCELLED, message, hint=hint)
