"""`POST /v1/completions`."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from mlxk.app.server.dialects.completion_body import CompletionBody
from mlxk.app.server.dialects.completions import read_completion
from mlxk.app.server.dialects.openai_documents import Completion
from mlxk.app.server.http.documents import GENERATION_ERRORS, answers, reads
from mlxk.app.server.http.posting import Posting

__all__ = ["BODIES", "completion_routes"]

BODIES = (CompletionBody,)


def completion_routes(posting: Posting) -> APIRouter:
    """The completions endpoint."""
    router = APIRouter(tags=["generation"])

    @router.post(
        "/v1/completions",
        summary="OpenAI Completions",
        openapi_extra=reads(CompletionBody),
        responses=answers(
            *GENERATION_ERRORS, whole=Completion, stream="`text_completion` objects, `[DONE]` last"
        ),
    )
    async def completions(request: Request) -> Response:
        """Go on with a text, without a chat template."""
        return await posting.answer(request, CompletionBody, read_completion)

    return router
