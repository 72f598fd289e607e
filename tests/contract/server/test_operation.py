"""Health, readiness, models, metrics and logs."""

from collections.abc import MutableMapping
from typing import Any

import pytest

import mlxk
from mlxk.app.server.http.application import create_application
from mlxk.app.server.http.options import HttpOptions
from mlxk.domain.errors import ErrorKind, MlxkError
from mlxk.domain.generation import TextDelta
from mlxk.domain.keep_alive import KeepAlive
from tests.contract.server.asking import CHAT, HELLO, ask, chat, error_of
from tests.memory_service import MODEL, MemoryService, saying

Logged = list[MutableMapping[str, Any]]


def test_health() -> None:
    response = ask(MemoryService(), "GET", "/health")
    assert response.status_code == 200
    assert response.json() == {"status": "ok", "service": "mlxk", "version": mlxk.__version__}


def test_health_is_never_well_while_a_runtime_is_lost() -> None:
    response = ask(MemoryService(lost="The model is stuck."), "GET", "/health")
    assert response.status_code == 503
    assert response.json()["reason"] == "The model is stuck."
    assert response.json()["status"] != "ok"


def test_ready() -> None:
    response = ask(MemoryService(waiting=3), "GET", "/ready")
    assert response.status_code == 200
    body = response.json()
    assert body["waiting"] == 3
    assert body["queue_limit"] == 64
    assert body["models"] == [{"id": MODEL, "active": 0, "waiting": 3}]


@pytest.mark.parametrize("fields", [{"stopping": True}, {"lost": "Stuck."}, {"waiting": 64}], ids=str)
def test_not_ready(fields: dict[str, Any]) -> None:
    response = ask(MemoryService(**fields), "GET", "/ready")
    assert response.status_code == 503
    assert response.json()["reason"]


def test_models_are_listed_and_shown() -> None:
    listed = ask(MemoryService(), "GET", "/v1/models").json()
    assert listed["object"] == "list"
    (model,) = listed["data"]
    assert model == {
        "id": MODEL,
        "object": "model",
        "created": 1_700_000_000,
        "owned_by": "mlx-community",
        "context_length": 4096,
        "capabilities": ["text", "chat"],
        "loaded": False,
    }
    assert ask(MemoryService(), "GET", f"/v1/models/{MODEL}").json() == model
    assert ask(MemoryService(), "GET", f"/v1/models/{MODEL.replace('/', '%2F')}").json() == model
    unknown = ask(MemoryService(), "GET", "/v1/models/other/one")
    assert unknown.status_code == 404
    assert MODEL in error_of(unknown)["message"]


@pytest.mark.parametrize("body", [None, {}, {"keep_alive": "10m"}, {"keep_alive": -1}], ids=str)
def test_a_model_is_warmed_and_dropped(body: object) -> None:
    service = MemoryService()
    loaded = ask(service, "POST", f"/v1/models/{MODEL}/load", json=body)
    assert loaded.status_code == 200
    assert loaded.json()["loaded"] is True
    assert service.keep_alives[-1] == (
        KeepAlive(600.0) if body == {"keep_alive": "10m"} else service.keep_alives[-1]
    )
    dropped = ask(service, "POST", f"/v1/models/{MODEL}/unload")
    assert dropped.json()["loaded"] is False


@pytest.mark.parametrize("body", [{"keep_alive": "soon"}, {"revision": "main"}, []], ids=str)
def test_a_wrong_load_is_refused(body: object) -> None:
    service = MemoryService()
    assert ask(service, "POST", f"/v1/models/{MODEL}/load", json=body).status_code == 400
    assert service.loaded == set()


def test_metrics_count_requests_tokens_and_times() -> None:
    service = MemoryService(script=saying("a", "b"))
    application = create_application(service)
    chat(application)
    chat(application, n=2, stream=True)
    chat(application, model="other")
    for path in ("/a", "/b", "/v1/models/x/y"):
        ask(application, "GET", path)
    response = ask(application, "GET", "/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    lines = response.text.splitlines()
    assert f'mlxk_requests_total{{route="{CHAT}",status="200"}} 2.0' in lines
    assert f'mlxk_requests_total{{route="{CHAT}",status="404"}} 1.0' in lines
    assert 'mlxk_requests_total{route="other",status="404"} 2.0' in lines
    assert 'mlxk_requests_total{route="/v1/models/{model_id:path}",status="404"} 1.0' in lines
    assert "mlxk_prompt_tokens_total 14.0" in lines
    assert "mlxk_completion_tokens_total 9.0" in lines
    assert "mlxk_time_to_first_token_seconds_count 2.0" in lines
    assert "mlxk_time_per_output_token_seconds_count 3.0" in lines
    assert "mlxk_requests_in_flight 1.0" in lines
    assert f'mlxk_model_bytes{{model="{MODEL}",use="weights"}} 100.0' in lines
    assert "mlxk_queue_limit 64.0" in lines


def test_every_request_is_logged_once_without_its_prompt(logged: Logged) -> None:
    service = MemoryService()
    ask(service, "POST", CHAT, json=HELLO, headers={"X-Request-ID": "mine"})
    (entry,) = logged
    assert entry["event"] == "request"
    assert entry["request_id"] == "mine"
    assert entry["method"] == "POST"
    assert entry["path"] == CHAT
    assert entry["status"] == 200
    assert entry["model"] == MODEL
    assert entry["prompt_tokens"] == 7
    assert entry["completion_tokens"] == 4
    assert entry["ms"] > 0
    assert "Hi" not in str(entry)


def test_prompts_are_logged_where_that_was_asked_for(logged: Logged) -> None:
    chat(MemoryService(), messages=[{"role": "user", "content": "Zebra"}])
    assert "Zebra" not in str(logged)
    ask(MemoryService(), "POST", CHAT, json={**HELLO, "model": "tiny"}, options=HttpOptions(log_prompts=True))
    assert "Hi" in str(logged)


def test_errors_are_logged_with_their_type_and_unexpected_ones_in_full(logged: Logged) -> None:
    chat(MemoryService(refusal=MlxkError(ErrorKind.QUEUE_FULL, "Full.")))
    assert [entry.get("error") for entry in logged] == ["queue_full"]
    logged.clear()
    service = MemoryService(script=lambda work: [(0, TextDelta("a"))], failure=RuntimeError("inner"))
    chat(service, stream=True)
    unexpected, request = logged
    assert isinstance(unexpected["exc_info"], RuntimeError)
    assert unexpected["request_id"] == request["request_id"]
    assert request["error"] == "InternalError"
