"""The HTTP application: routes behind guards, over a `Service`."""

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect

import mlxk
from mlxk.app.server.http.documents import describe_api
from mlxk.app.server.http.failures import handle_failures
from mlxk.app.server.http.guards.access_log import AccessLog
from mlxk.app.server.http.guards.body_limits import BodyLimits
from mlxk.app.server.http.guards.hosts import Hosts
from mlxk.app.server.http.guards.keys import ApiKeys
from mlxk.app.server.http.guards.request_ids import RequestIds
from mlxk.app.server.http.metrics import Metrics
from mlxk.app.server.http.options import HttpOptions
from mlxk.app.server.http.posting import Posting, note_client_left
from mlxk.app.server.http.routes import chat, completions, messages, models, responses
from mlxk.app.server.http.routes.documentation import documentation_routes
from mlxk.app.server.http.routes.health import health_routes
from mlxk.app.server.http.routes.metrics import metrics_routes
from mlxk.app.server.service import Service

__all__ = ["create_application"]


def create_application(service: Service, options: HttpOptions | None = None) -> FastAPI:
    """Make the application.

    Args:
        options: the defaults are those of a server on loopback.
    """
    options = options or HttpOptions()
    metrics = Metrics(service)
    posting = Posting(service, metrics, options)
    application = FastAPI(
        title="mlxk",
        version=mlxk.__version__,
        description="Local MLX models, spoken to as to OpenAI and Anthropic. Requests download nothing.",
        middleware=_guards(metrics, options),
        redirect_slashes=False,
        docs_url=None,  # they load their scripts from elsewhere
        redoc_url=None,
    )
    handle_failures(application)
    application.add_exception_handler(ClientDisconnect, note_client_left)
    application.include_router(health_routes(service))
    application.include_router(metrics_routes(metrics))
    application.include_router(models.model_routes(service))
    application.include_router(chat.chat_routes(posting))
    application.include_router(completions.completion_routes(posting))
    application.include_router(responses.responses_routes(posting))
    application.include_router(messages.messages_routes(posting))
    bodies = (*models.BODIES, *chat.BODIES, *completions.BODIES, *responses.BODIES, *messages.BODIES)
    describe_api(application, bodies)
    application.include_router(documentation_routes(lambda: application.openapi()))
    return application


def _guards(metrics: Metrics, options: HttpOptions) -> list[Middleware]:
    """The outermost first: every answer has an id and a log line, also a refusal."""
    cors = Middleware(
        CORSMiddleware,
        allow_origins=options.cors_origins,
        allow_methods=("GET", "POST"),
        allow_headers=("*",),
        expose_headers=("X-Request-ID", "Retry-After"),
    )
    return [
        Middleware(RequestIds, redact=options.redact),
        Middleware(AccessLog, metrics=metrics),
        Middleware(
            Hosts,
            allowed=options.allowed_hosts,
            any_address=options.any_address,
            origins=options.cors_origins,
        ),
        *([cors] if options.cors_origins else []),
        Middleware(ApiKeys, keys=options.api_keys),
        Middleware(
            BodyLimits,
            limit=options.body_limit,
            all_limit=options.bodies_limit,
            pause=options.body_pause,
            total=options.body_time,
        ),
    ]
