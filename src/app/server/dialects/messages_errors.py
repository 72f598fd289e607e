"""Errors as Anthropic's clients know them: the shape of every other error here, and Anthropic's names."""

from mlxk.app.server.errors import ErrorBody
from mlxk.domain.model import JsonValue

__all__ = ["ANTHROPIC_PATH", "TYPES", "anthropic_error"]

ANTHROPIC_PATH = "/v1/messages"
"""Where Anthropic's clients ask."""

TYPES = {
    "auth": "authentication_error",
    "access_denied": "permission_error",
    "permission": "permission_error",
    "model_not_found": "not_found_error",
    "path_not_found": "not_found_error",
    "payload_too_large": "request_too_large",
    "queue_full": "rate_limit_error",
    "models_busy": "overloaded_error",
    "runtime_lost": "overloaded_error",
    "server_shutdown": "overloaded_error",
    "validation": "invalid_request_error",
    "ambiguous_match": "invalid_request_error",
    "not_implemented": "invalid_request_error",
    "unsupported_multimodal": "invalid_request_error",
}
"""Our error's code to Anthropic's type; the rest are `api_error`."""


def anthropic_error(error: ErrorBody) -> dict[str, JsonValue]:
    """The body of an error, for Anthropic's clients."""
    detail = error["error"]
    return {
        "type": "error",
        "status": error["status"],
        "error": {
            "type": TYPES.get(detail["code"], "api_error"),
            "message": detail["message"],
            "code": detail["code"],
            "param": detail["param"],
            "retryable": detail["retryable"],
        },
        "request_id": error["request_id"],
    }
