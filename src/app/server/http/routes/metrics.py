"""`GET /metrics`."""

from fastapi import APIRouter
from starlette.responses import PlainTextResponse, Response

from mlxk.app.server.http.metrics import CONTENT_TYPE, Metrics

__all__ = ["metrics_routes"]


def metrics_routes(metrics: Metrics) -> APIRouter:
    """Prometheus' endpoint."""
    router = APIRouter(tags=["server"])

    @router.get("/metrics", response_class=PlainTextResponse)
    async def read_metrics() -> Response:
        """Counters, histograms and gauges in Prometheus' text format."""
        return Response(metrics.render(), media_type=CONTENT_TYPE)

    return router
