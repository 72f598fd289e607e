"""What `mlxk clone` answers, and how it words what went wrong."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias

from mlxk.app.results import HealthStatus
from mlxk.domain.clone_plan import ClonePlan, Outcome, clean_up
from mlxk.domain.errors import ErrorKind, MlxkError

__all__ = [
    "CloneDetails",
    "CloneResult",
    "CloneStatus",
    "cancelled",
    "failed_clone",
    "system_errors",
    "with_advice",
]

CloneStatus: TypeAlias = Literal[
    "success",
    "error",
    "cancelled",
    "preparing",
    "pulling",
    "resuming",
    "cloning",
    "health_checking",
    "pull_failed",
    "cache_not_found",
    "filesystem_error",
    "unknown",
]


@dataclass(frozen=True)
class CloneDetails:
    """How it was done.

    Attributes:
        commit: the commit that was cloned; absent for what has none.
        copy_method: how the files were copied; absent when none were.
        bytes_downloaded: bytes received from the Hub.
        bytes_resumed: bytes that an earlier, interrupted download had left.
        plan: with `--dry-run`, the steps, a line each.
    """

    commit: str | None = None
    copy_method: Literal["clonefile", "reflink", "copy"] | None = None
    bytes_downloaded: int = 0
    bytes_resumed: int = 0
    plan: tuple[str, ...] = ()


@dataclass(frozen=True)
class CloneResult:
    """`mlxk clone`; errors bring one too, once the target is known.

    Attributes:
        model: `org/model`, a workspace's absolute path, or the bundled model's name.
        clone_status: `success`, `preparing` for a dry run; of errors `cancelled`, `pull_failed`,
            `filesystem_error` or `error`.
        target_dir: absolute.
        health_check: whether the clone was to be checked; without, `health` and `health_reason` are absent.
    """

    model: str
    clone_status: CloneStatus
    message: str
    target_dir: str
    health_check: bool
    health: HealthStatus | None = None
    health_reason: str | None = None
    details: CloneDetails = CloneDetails()


_STATUS: dict[ErrorKind, CloneStatus] = {
    ErrorKind.USER_CANCELLED: "cancelled",
    ErrorKind.PULL_FAILED: "pull_failed",
    ErrorKind.NETWORK: "pull_failed",
    ErrorKind.ACCESS_DENIED: "pull_failed",
    ErrorKind.AUTH: "pull_failed",
    ErrorKind.REPO_NOT_FOUND: "pull_failed",
    ErrorKind.MODEL_NOT_FOUND: "pull_failed",
    ErrorKind.DOWNLOAD_FAILED: "pull_failed",
    ErrorKind.PERMISSION: "filesystem_error",
    ErrorKind.INVALID_TARGET: "filesystem_error",
    ErrorKind.INSUFFICIENT_DISK: "filesystem_error",
}


def cancelled(plan: ClonePlan) -> MlxkError:
    """The error of an interrupted clone: how to go on, and what to delete."""
    advice = clean_up(plan, Outcome.INTERRUPTED).advice
    message = "Interrupted; what was downloaded is kept." if advice else "Interrupted; nothing is left of it."
    return MlxkError(ErrorKind.USER_CANCELLED, message, hint=advice or "the same command begins again")


def with_advice(error: MlxkError, advice: str | None) -> MlxkError:
    """The error, with what to do about what was kept."""
    hint = "; ".join(part for part in (error.hint, advice) if part)
    return MlxkError(error.kind, error.message, hint=hint or None, matches=error.matches)


def failed_clone(error: MlxkError, model: str, target: str, *, health_check: bool) -> MlxkError:
    """The error, with what scripts read of a clone that failed."""
    status = _STATUS.get(error.kind, "error")
    result = CloneResult(model, status, error.message, target, health_check)
    return MlxkError(error.kind, error.message, hint=error.hint, matches=error.matches, data=result)


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


@contextmanager
def system_errors(model: str, target: str) -> Iterator[None]:
    """What the system refuses, as errors a person can act on."""
    try:
        yield
    except OSError as error:
        kind = ErrorKind.CLONE_FAILED
        if error.errno in _FULL:
            kind = ErrorKind.INSUFFICIENT_DISK
        elif error.errno in _FORBIDDEN:
            kind = ErrorKind.PERMISSION
        where = f" ({error.filename})" if error.filename else ""
        raise MlxkError(
            kind,
            f"{model} could not be cloned to {target}: {error.strerror or error}{where}.",
            hint="free some space, or give a target on another volume"
            if kind is ErrorKind.INSUFFICIENT_DISK
            else "check the permissions of the target's directory",
        ) from error
