"""`/v1/models`: what can be asked, and warming and dropping it."""

from typing import Literal, TypeVar

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request

from mlxk.app.server.dialects.fields import Body, KeepAliveField
from mlxk.app.server.http.documents import answers, reads
from mlxk.app.server.http.posting import read_body
from mlxk.app.server.service import Service
from mlxk.app.server.work import ServedModel
from mlxk.domain.keep_alive import parse_keep_alive

__all__ = ["BODIES", "model_routes"]

BodyT = TypeVar("BodyT", bound=BaseModel)


class LoadBody(Body):
    """How long the model stays after its last use; the server's default if not said."""

    keep_alive: KeepAliveField | None = None


class UnloadBody(Body):
    """There is nothing to say: the body may be left out, or be an empty object."""


class ModelCard(BaseModel):
    """A model, as OpenAI shows it and a little more."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    context_length: int | None
    capabilities: list[str]
    loaded: bool


class ModelList(BaseModel):
    """Healthy and runnable models: preloaded ones first, then by name."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


BODIES = (LoadBody, UnloadBody)


def model_routes(service: Service) -> APIRouter:
    """The models' endpoints; an id may have a slash."""
    router = APIRouter(tags=["models"])

    @router.get("/v1/models", responses=answers(401, 403))
    async def list_models() -> ModelList:
        """List the models that can be asked."""
        return ModelList(data=[_card(model) for model in await service.models()])

    @router.post(
        "/v1/models/{model_id:path}/load",
        openapi_extra=reads(LoadBody, required=False),
        responses=answers(400, 401, 403, 404, 408, 413, 500, 501, 503, 507),
    )
    async def load_model(model_id: str, request: Request) -> ModelCard:
        """Warm a model; it answers when the model is loaded."""
        body = await _optional_body(request, LoadBody)
        keep_alive = None if body is None or body.keep_alive is None else parse_keep_alive(body.keep_alive)
        return _card(await service.load(model_id, keep_alive))

    @router.post(
        "/v1/models/{model_id:path}/unload",
        openapi_extra=reads(UnloadBody, required=False),
        responses=answers(400, 401, 403, 404, 408, 413, 503),
    )
    async def unload_model(model_id: str, request: Request) -> ModelCard:
        """Drop a model; 503 while it is generating."""
        await _optional_body(request, UnloadBody)
        return _card(await service.unload(model_id))

    # The last, as any path below fits it.
    @router.get("/v1/models/{model_id:path}", responses=answers(400, 401, 403, 404, 500, 501))
    async def show_model(model_id: str) -> ModelCard:
        """Show one model."""
        return _card(await service.model(model_id))

    return router


async def _optional_body(request: Request, model: type[BodyT]) -> BodyT | None:
    return await read_body(request, model) if (await request.body()).strip() else None


def _card(model: ServedModel) -> ModelCard:
    return ModelCard(
        id=model.id,
        created=model.created,
        owned_by=model.owned_by,
        context_length=model.context_length,
        capabilities=list(model.capabilities),
        loaded=model.loaded,
    )
