"""`GET /health` and `GET /ready`."""

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.responses import JSONResponse

import mlxk
from mlxk.app.server.service import Service

__all__ = ["health_routes"]


class Health(BaseModel):
    """Liveness; `reason` says why the status is not `ok`."""

    status: str
    service: str
    version: str
    reason: str | None = None


class LoadedModel(BaseModel):
    """A warm model and what it is doing."""

    id: str
    active: int
    waiting: int


class Readiness(BaseModel):
    """Whether a request would be taken now; `reason` says why not."""

    status: str
    reason: str | None = None
    active: int
    waiting: int
    queue_limit: int
    models: list[LoadedModel]


def health_routes(service: Service) -> APIRouter:
    """Liveness and readiness."""
    router = APIRouter(tags=["server"])

    @router.get("/health", response_model=Health, responses={503: {"model": Health}})
    async def health() -> JSONResponse:
        """Whether the server lives: 503 when a runtime is dead or stuck."""
        lost = service.state().lost
        answer = {"status": "ok" if lost is None else "lost", "service": "mlxk", "version": mlxk.__version__}
        if lost is not None:
            answer["reason"] = lost
        return JSONResponse(answer, 200 if lost is None else 503)

    @router.get("/ready", response_model=Readiness, responses={503: {"model": Readiness}})
    async def ready() -> JSONResponse:
        """Whether the server can take a request now."""
        state = service.state()
        reason = _unready(service)
        answer = {
            "status": "ready" if reason is None else "unready",
            "reason": reason,
            "active": state.active,
            "waiting": state.waiting,
            "queue_limit": state.queue_limit,
            "models": [
                {"id": model.id, "active": model.active, "waiting": model.waiting} for model in state.models
            ],
        }
        return JSONResponse(answer, 200 if reason is None else 503)

    return router


def _unready(service: Service) -> str | None:
    state = service.state()
    if state.stopping:
        return "The server is shutting down."
    if state.lost is not None:
        return state.lost
    return "The queue is full." if state.waiting >= state.queue_limit else None
