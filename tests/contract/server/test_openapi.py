"""The OpenAPI document is true: what it allows is taken, what it forbids is refused, answers fit it."""

import json
import os
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import CheckContext
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from mlxk.app.server.dialects.openai_documents import ChatCompletion, Completion
from mlxk.app.server.http.application import create_application
from tests.contract.server.asking import CHAT, HELLO, ask
from tests.memory_service import MODEL, MemoryService

APPLICATION = create_application(MemoryService())
HOST = {"Host": "localhost"}
NEVER = (500, 503, 507)
"""Statuses that no request brings about here, where every model is healthy; 501 (images, audio) may be."""


def not_broken(_context: CheckContext, response: Response, _case: Any) -> None:
    """Nothing that a client sends breaks the server."""
    assert response.status_code not in NEVER


SOAK = os.environ.get("MLXK_SOAK_EXAMPLES")
"""How many bodies of each endpoint are tried, other ones each time; else a few, always the same."""

CHECKS = [
    not_broken,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]

api = schemathesis.openapi.from_asgi("/openapi.json", APPLICATION, headers=HOST)


@api.parametrize()
@settings(
    max_examples=int(SOAK or 12),
    deadline=None,
    derandomize=SOAK is None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_operation_does_as_documented(case: Any) -> None:
    case.call_and_validate(headers=HOST, checks=CHECKS)


def test_answers_are_what_is_documented() -> None:
    chat = ask(MemoryService(), "POST", CHAT, json=HELLO)
    ChatCompletion.model_validate_json(chat.content)
    completion = ask(MemoryService(), "POST", "/v1/completions", json={"model": MODEL, "prompt": "x"})
    Completion.model_validate_json(completion.content)


@pytest.mark.parametrize("path", ["/openapi.json", "/docs"])
def test_the_document_is_served(path: str) -> None:
    response = ask(APPLICATION, "GET", path)
    assert response.status_code == 200


def test_the_page_names_every_endpoint_and_loads_nothing() -> None:
    page = ask(APPLICATION, "GET", "/docs").text
    assert all(f" {path}</code>" in page for path in ask(APPLICATION, "GET", "/openapi.json").json()["paths"])
    assert "//" not in page
    assert "<script" not in page


def test_the_document_refers_to_nothing_that_is_not_in_it() -> None:
    text = ask(APPLICATION, "GET", "/openapi.json").text
    document = json.loads(text)
    schemas = set(document["components"]["schemas"])
    named = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert named <= schemas
    assert document["paths"][CHAT]["post"]["requestBody"]["required"] is True
    assert "422" not in document["paths"][CHAT]["post"]["responses"]
