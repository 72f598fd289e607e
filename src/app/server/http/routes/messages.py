"""`POST /v1/messages` and `POST /v1/messages/count_tokens`."""

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mlxk.app.server.dialects.messages import CountTokensBody, MessagesBody, counting_work, read_messages
from mlxk.app.server.dialects.messages_documents import AnthropicMessage
from mlxk.app.server.http.documents import GENERATION_ERRORS, answers, reads
from mlxk.app.server.http.posting import Posting, read_body

__all__ = ["BODIES", "messages_routes"]

BODIES = (MessagesBody, CountTokensBody)


class TokenCount(BaseModel):
    """Tokens of a prompt."""

    input_tokens: int


def messages_routes(posting: Posting) -> APIRouter:
    """The messages endpoints."""
    router = APIRouter(tags=["generation"])

    @router.post(
        "/v1/messages",
        summary="Anthropic Messages",
        openapi_extra=reads(MessagesBody),
        responses=answers(
            *GENERATION_ERRORS, whole=AnthropicMessage, stream="named events, `message_stop` last"
        ),
    )
    async def messages(request: Request) -> Response:
        """Answer a conversation."""
        return await posting.answer(request, MessagesBody, read_messages)

    @router.post(
        "/v1/messages/count_tokens",
        summary="Count the tokens of a message's prompt",
        openapi_extra=reads(CountTokensBody),
        response_model=TokenCount,
        responses=answers(*GENERATION_ERRORS),
    )
    async def count_tokens(request: Request) -> JSONResponse:
        """Count the tokens of the prompt, as the model's chat template renders it."""
        work = counting_work(await read_body(request, CountTokensBody))
        return JSONResponse({"input_tokens": await posting.service.prompt_tokens(work)})

    return router
