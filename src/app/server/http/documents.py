"""OpenAPI: bodies that routes read themselves, documented from the models they are read with."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from mlxk.app.server.errors import ErrorBody

__all__ = ["GENERATION_ERRORS", "answers", "describe_api", "reads"]

GENERATION_ERRORS = (400, 401, 403, 404, 408, 413, 429, 500, 501, 503, 507)
"""What any endpoint that generates can answer with."""

_REFERENCE = "#/components/schemas/{model}"
_ERRORS = {
    400: "Invalid: unknown or unsupported field, wrong value, prompt over the context.",
    401: "No API key, or a wrong one.",
    403: "The Host header or the origin is not one that is served.",
    404: "No such model (close names are in the message), or no such path.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    429: "The queue is full; see Retry-After.",
    500: "An error inside the server, or a damaged model.",
    501: "The model cannot do this.",
    503: "Shutting down, all models busy, or the runtime was lost; see Retry-After.",
    507: "There will never be memory for this.",
}


def reads(body: type[BaseModel], *, required: bool = True) -> dict[str, Any]:
    """`openapi_extra` of a route that reads a JSON body."""
    schema = {"$ref": _REFERENCE.format(model=body.__name__)}
    return {"requestBody": {"required": required, "content": {"application/json": {"schema": schema}}}}


def answers(
    *statuses: int, whole: type[BaseModel] | None = None, stream: str | None = None
) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route: the errors it can answer with, its whole answer and its event stream."""
    documented: dict[int | str, dict[str, Any]] = {
        status: {"model": ErrorBody, "description": _ERRORS[status]} for status in statuses
    }
    if stream is not None and whole is not None:
        documented[200] = {
            "model": whole,
            "description": "The answer, whole or as server-sent events.",
            "content": {"text/event-stream": {"schema": {"type": "string", "description": stream}}},
        }
    return documented


def describe_api(application: FastAPI, bodies: Sequence[type[BaseModel]]) -> None:
    """Let the application's OpenAPI document have the schemas of these bodies."""

    def document() -> dict[str, Any]:
        if application.openapi_schema is None:
            schema = get_openapi(
                title=application.title,
                version=application.version,
                description=application.description,
                routes=application.routes,
            )
            _leave_out_fastapis_own_errors(schema)
            components = schema.setdefault("components", {}).setdefault("schemas", {})
            components.update(_definitions(bodies))
            application.openapi_schema = schema
        return application.openapi_schema

    application.openapi = document  # type: ignore[method-assign]


def _definitions(bodies: Sequence[type[BaseModel]]) -> Mapping[str, Any]:
    _, schema = models_json_schema([(body, "validation") for body in bodies], ref_template=_REFERENCE)
    definitions: Mapping[str, Any] = schema.get("$defs", {})
    return definitions


def _leave_out_fastapis_own_errors(schema: dict[str, Any]) -> None:
    """FastAPI documents a 422 of its own shape, which is never sent here: wrong input is a 400."""
    for operations in schema.get("paths", {}).values():
        for operation in operations.values():
            operation.get("responses", {}).pop("422", None)
    for name in ("HTTPValidationError", "ValidationError"):
        schema.get("components", {}).get("schemas", {}).pop(name, None)
