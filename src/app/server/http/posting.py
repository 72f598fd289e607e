"""A JSON body posted to an endpoint becomes an answer, in whatever dialect."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import structlog
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from mlxk.app.server.dialects.dialect import Ask
from mlxk.app.server.http.answering import AnswerResponse
from mlxk.app.server.http.bodies import parse_body
from mlxk.app.server.http.exchange import exchange_of
from mlxk.app.server.http.metrics import Metrics
from mlxk.app.server.http.options import HttpOptions
from mlxk.app.server.service import Service
from mlxk.domain.errors import InvalidInput

__all__ = ["Posting", "read_body"]

BodyT = TypeVar("BodyT", bound=BaseModel)
_LARGE = 1024 * 1024
"""Bytes from which a body is parsed beside the event loop."""

_log = structlog.get_logger("mlxk.server")


class Posting:
    """Answers posted bodies; what every route of a dialect needs."""

    def __init__(self, service: Service, metrics: Metrics, options: HttpOptions) -> None:
        self.service = service
        self._metrics = metrics
        self._options = options

    async def answer(self, request: Request, body: type[BodyT], read: Callable[[BodyT], Ask]) -> Response:
        """Read the body and answer it.

        Raises:
            MlxkError: the body is no good; what `Service.answer` raises comes when the response is sent.
        """
        ask = read(await read_body(request, body))
        if self._options.log_prompts:
            for first in ask.work.requests[:: ask.work.choices]:
                _log.info("prompt", model=ask.work.model, prompt=first.prompt)
        return AnswerResponse(ask, self.service, self._metrics, self._options.keep_alive_interval)


async def read_body(request: Request, model: type[BodyT]) -> BodyT:
    """Read a JSON body within the limits.

    JSON must be declared: a web page can post any other type here without being asked for its origin.

    Raises:
        InvalidInput: see `parse_body`; or the content type is another.
        MlxkError: (`PAYLOAD_TOO_LARGE`, `REQUEST_TIMEOUT`) it is too large or comes too slowly.
        ClientDisconnect: the client hung up.
    """
    _check_content_type(request)
    # Not `request.body()`, which would keep the bytes for as long as the answer takes.
    raw = b"".join([piece async for piece in request.stream()])
    if len(raw) >= _LARGE:
        return await asyncio.to_thread(parse_body, raw, model)
    return parse_body(raw, model)


def _check_content_type(request: Request) -> None:
    declared = request.headers.get("content-type", "")
    kind, *parameters = (part.strip().lower() for part in declared.split(";"))
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise InvalidInput(
            "The body's Content-Type is not application/json.", hint="send JSON", param="Content-Type"
        )
    charsets = [part.partition("=")[2].strip('"') for part in parameters if part.startswith("charset=")]
    if any(charset not in ("utf-8", "utf8", "us-ascii") for charset in charsets):
        raise InvalidInput("JSON is UTF-8; the Content-Type names another charset.", param="Content-Type")
    if request.headers.get("content-encoding", "identity").lower() not in ("identity", ""):
        raise InvalidInput("The body must not be compressed.", param="Content-Encoding")


async def note_client_left(request: Request, _error: Exception) -> Response:
    """The client hung up while it sent its body; nobody reads this answer."""
    exchange_of(request.scope).client_left = True
    return Response(status_code=400)
