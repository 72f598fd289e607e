"""`POST /v1/chat/completions`."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from mlxk.app.server.dialects.chat import read_chat
from mlxk.app.server.dialects.chat_body import ChatBody
from mlxk.app.server.dialects.openai_documents import ChatCompletion
from mlxk.app.server.http.documents import GENERATION_ERRORS, answers, reads
from mlxk.app.server.http.posting import Posting

__all__ = ["BODIES", "chat_routes"]

BODIES = (ChatBody,)


def chat_routes(posting: Posting) -> APIRouter:
    """The chat endpoint."""
    router = APIRouter(tags=["generation"])

    @router.post(
        "/v1/chat/completions",
        summary="OpenAI Chat Completions",
        openapi_extra=reads(ChatBody),
        responses=answers(
            *GENERATION_ERRORS,
            whole=ChatCompletion,
            stream="`chat.completion.chunk` objects, `[DONE]` last",
        ),
    )
    async def chat_completions(request: Request) -> Response:
        """Answer a conversation."""
        return await posting.answer(request, ChatBody, read_chat)

    return router
