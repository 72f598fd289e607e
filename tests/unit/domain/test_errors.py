"""Every kind of error and what it means outside."""

import pytest

from mlxk.domain.errors import AmbiguousMatch, ErrorKind, Interrupted, InvalidInput, MlxkError, ModelNotFound

TABLE = {
    # type: (exit code, HTTP status, retryable)
    "ValidationError": (1, 400, False),
    "model_not_found": (1, 404, False),
    "ambiguous_match": (1, 400, False),
    "access_denied": (2, 403, False),
    "download_failed": (2, 502, True),
    "NetworkError": (2, 502, True),
    "PermissionError": (3, 403, False),
    "OperationError": (1, 500, False),
    "InternalError": (1, 500, False),
    "locks_present": (1, 409, True),
    "insufficient_memory": (1, 507, False),
    "insufficient_disk": (3, 507, False),
    "not_implemented": (1, 501, False),
    "unsupported_multimodal": (1, 501, False),
    "dependency_missing": (1, 501, False),
    "auth_error": (2, 401, False),
    "workspace_not_found": (1, 404, False),
    "repo_not_found": (2, 404, False),
    "upload_failed": (2, 502, True),
    "push_operation_failed": (1, 502, False),
    "InvalidTargetError": (3, 400, False),
    "PullFailedError": (2, 502, True),
    "CacheNotFoundError": (3, 404, False),
    "CloneFailedError": (1, 500, False),
    "UserCancelledError": (130, 503, False),
    "server_shutdown": (1, 503, True),
    "runtime_lost": (1, 503, True),
    "models_busy": (1, 503, True),
    "queue_full": (1, 429, True),
    "payload_too_large": (1, 413, False),
    "request_timeout": (1, 408, True),
    "method_not_allowed": (1, 405, False),
    "path_not_found": (1, 404, False),
}
EXIT_CODES = {1, 2, 3, 130}
HTTP_STATUSES = {400, 401, 403, 404, 405, 408, 409, 413, 422, 429, 500, 501, 502, 503, 504, 507}


def test_the_types_are_those_of_the_contract_each_once() -> None:
    assert [kind.type for kind in ErrorKind] == list(TABLE)


@pytest.mark.parametrize("kind", ErrorKind, ids=lambda kind: kind.type)
def test_what_a_kind_means_outside(kind: ErrorKind) -> None:
    assert (kind.exit_code, kind.http_status, kind.retryable) == TABLE[kind.type]
    assert kind.exit_code in EXIT_CODES
    assert kind.http_status in HTTP_STATUSES


def test_kinds_that_mean_the_same_outside_stay_apart() -> None:
    # Enum members of equal value would be aliases of each other.
    assert len({kind.name for kind in ErrorKind}) == len(TABLE) == len(ErrorKind.__members__)


def test_an_error_carries_what_a_person_can_act_on() -> None:
    error = MlxkError(ErrorKind.LOCKS_PRESENT, "It is locked.", hint="wait", matches=["a", "b"])
    assert str(error) == error.message == "It is locked."
    assert (error.kind, error.hint, error.matches) == (ErrorKind.LOCKS_PRESENT, "wait", ("a", "b"))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InvalidInput("m", hint="h"), ErrorKind.VALIDATION),
        (ModelNotFound("m", hint="h"), ErrorKind.MODEL_NOT_FOUND),
        (AmbiguousMatch("m", hint="h"), ErrorKind.AMBIGUOUS_MATCH),
        (Interrupted("m", hint="h"), ErrorKind.USER_CANCELLED),
    ],
)
def test_named_errors_have_their_kind(error: MlxkError, kind: ErrorKind) -> None:
    assert (error.kind, error.message, error.hint, error.matches) == (kind, "m", "h", ())


def test_an_interruption_needs_no_words() -> None:
    assert Interrupted().kind.exit_code == 130
    assert Interrupted().message == "Interrupted."
