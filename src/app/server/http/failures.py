"""From exceptions to HTTP answers, at the edge and nowhere else."""

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from mlxk.app.server.dialects.messages_errors import ANTHROPIC_PATH, anthropic_error
from mlxk.app.server.errors import ErrorBody, describe
from mlxk.app.server.http.exchange import exchange_of
from mlxk.domain.errors import ErrorKind, InvalidInput, MlxkError

__all__ = ["as_error", "error_body", "handle_failures", "refuse", "unexpected"]

_log = structlog.get_logger("mlxk.server")


def as_error(error: Exception) -> MlxkError:
    """Any exception as an error of ours; one that nobody expected is logged with its traceback."""
    match error:
        case MlxkError():
            return error
        case HTTPException(status_code=404):
            return MlxkError(ErrorKind.PATH_NOT_FOUND, "There is no such endpoint.", hint="see /docs")
        case HTTPException(status_code=405):
            return MlxkError(
                ErrorKind.METHOD_NOT_ALLOWED, "This endpoint has no such method.", hint="see /docs"
            )
        case HTTPException() if 400 <= error.status_code < 500:
            return InvalidInput(str(error.detail)[:200])
        case RequestValidationError():
            problem = error.errors()[0]
            field = str(problem["loc"][-1])
            return InvalidInput(f"The parameter '{field}' cannot be used: {problem['msg']}.", param=field)
    return unexpected(error)


def unexpected(error: BaseException) -> MlxkError:
    """What a client learns of an error that nobody expected: nothing but that it is in the log."""
    _log.error("unexpected error", exc_info=error)
    return MlxkError(
        ErrorKind.INTERNAL, "Something went wrong inside the server.", hint="its log has the details"
    )


def error_body(error: MlxkError, scope: Scope) -> ErrorBody:
    """The body for an error, which is noted for the access log."""
    exchange = exchange_of(scope)
    exchange.error = error.kind.type
    return describe(error, exchange.request_id, exchange.redact)


async def refuse(error: MlxkError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with an error."""
    await _response(error, scope)(scope, receive, send)


def handle_failures(application: FastAPI) -> None:
    """Answer every exception of the application in the one shape."""
    for kind in (MlxkError, HTTPException, RequestValidationError):
        application.add_exception_handler(kind, _handle)


def _handle(request: Request, error: Exception) -> Response:
    response = _response(as_error(error), request.scope)
    if isinstance(error, HTTPException) and error.headers:
        response.headers.update(
            {key: value for key, value in error.headers.items() if key.lower() == "allow"}
        )
    return response


def _response(error: MlxkError, scope: Scope) -> JSONResponse:
    headers: dict[str, str] = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(1, error.retry_after))
    elif error.kind.http_status in (429, 503):
        headers["Retry-After"] = "1"
    if error.kind.http_status >= 500 and not error.kind.retryable:
        headers["X-Should-Retry"] = "false"  # the SDKs of OpenAI and Anthropic try any 5xx again
    if error.kind is ErrorKind.AUTH:
        headers["WWW-Authenticate"] = "Bearer"
    if error.kind is ErrorKind.REQUEST_TIMEOUT:
        headers["Connection"] = "close"
    body = error_body(error, scope)
    if scope["path"].startswith(ANTHROPIC_PATH):
        return JSONResponse(anthropic_error(body), error.kind.http_status, headers)
    return JSONResponse(body, error.kind.http_status, headers)
