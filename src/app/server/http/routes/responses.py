"""`POST /v1/responses`."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from mlxk.app.server.dialects.responses import ResponsesBody, read_responses
from mlxk.app.server.dialects.responses_documents import ResponseObject
from mlxk.app.server.http.documents import GENERATION_ERRORS, answers, reads
from mlxk.app.server.http.posting import Posting

__all__ = ["BODIES", "responses_routes"]

BODIES = (ResponsesBody,)


def responses_routes(posting: Posting) -> APIRouter:
    """The responses endpoint."""
    router = APIRouter(tags=["generation"])

    @router.post(
        "/v1/responses",
        summary="OpenAI Responses",
        openapi_extra=reads(ResponsesBody),
        responses=answers(
            *GENERATION_ERRORS, whole=ResponseObject, stream="named events, `response.completed` last"
        ),
    )
    async def responses(request: Request) -> Response:
        """Answer; nothing is kept, so each request has the whole conversation."""
        return await posting.answer(request, ResponsesBody, read_responses)

    return router
