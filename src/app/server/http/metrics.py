"""What Prometheus may ask of the server; one registry per application, no label that clients can fill."""

import time
from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from mlxk.app.server.http.exchange import Exchange
from mlxk.app.server.service import Service
from mlxk.domain.generation import Delta, Finish

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_FIRST_TOKEN_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_TOKEN_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.25, 0.5, 1)


class Metrics:
    """The server's counters and histograms.

    Args:
        service: asked for its state whenever the metrics are read.
    """

    def __init__(self, service: Service) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_State(service))
        self._requests = Counter(
            "mlxk_requests", "Requests answered.", ("route", "status"), registry=self._registry
        )
        self._in_flight = Gauge("mlxk_requests_in_flight", "Requests in progress.", registry=self._registry)
        self._prompt = Counter("mlxk_prompt_tokens", "Tokens of prompts.", registry=self._registry)
        self._cached = Counter(
            "mlxk_prompt_tokens_cached",
            "Tokens of prompts found in the prompt cache.",
            registry=self._registry,
        )
        self._completion = Counter("mlxk_completion_tokens", "Tokens generated.", registry=self._registry)
        self._first_token = Histogram(
            "mlxk_time_to_first_token_seconds",
            "From the request to its first delta.",
            buckets=_FIRST_TOKEN_SECONDS,
            registry=self._registry,
        )
        self._per_token = Histogram(
            "mlxk_time_per_output_token_seconds",
            "Mean time of a token after the first, per choice.",
            buckets=_TOKEN_SECONDS,
            registry=self._registry,
        )

    def begin(self) -> None:
        """A request came."""
        self._in_flight.inc()

    def end(self, route: str, status: int) -> None:
        """A request was answered.

        Args:
            route: the template of its path, not the path.
        """
        self._in_flight.dec()
        self._requests.labels(route, str(status)).inc()

    def observe(self, exchange: Exchange, batch: Sequence[tuple[int, Delta]]) -> None:
        """Deltas came."""
        if exchange.first_token is None:
            exchange.first_token = time.perf_counter()
            self._first_token.observe(exchange.first_token - exchange.started)
        for index, delta in batch:
            if type(delta) is Finish:
                self._finished(exchange, index, delta)

    def _finished(self, exchange: Exchange, index: int, finish: Finish) -> None:
        usage = finish.usage
        exchange.completion_tokens += usage.completion_tokens
        self._completion.inc(usage.completion_tokens)
        self._cached.inc(usage.cached_tokens)
        if index == 0:
            self._prompt.inc(exchange.prompt_tokens or 0)
        if usage.completion_tokens > 1 and exchange.first_token is not None:
            seconds = time.perf_counter() - exchange.first_token
            self._per_token.observe(seconds / (usage.completion_tokens - 1))

    def render(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)


class _State(Collector):
    """Gauges read from the service when asked for."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def describe(self) -> list[Metric]:
        """Nothing: registering must not ask the service."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The gauges."""
        state = self._service.state()
        yield GaugeMetricFamily("mlxk_queue_waiting", "Requests that wait.", value=state.waiting)
        yield GaugeMetricFamily("mlxk_queue_limit", "Requests that may wait.", value=state.queue_limit)
        yield GaugeMetricFamily("mlxk_generations_active", "Generations in progress.", value=state.active)
        yield GaugeMetricFamily("mlxk_models_loaded", "Warm models.", value=len(state.models))
        yield GaugeMetricFamily(
            "mlxk_runtime_lost", "1 while a runtime is dead or stuck.", value=int(state.lost is not None)
        )
        memory = GaugeMetricFamily("mlxk_model_bytes", "Bytes a warm model takes.", labels=("model", "use"))
        for model in state.models:
            memory.add_metric((model.id, "weights"), model.weight_bytes)
            memory.add_metric((model.id, "prompt_cache"), model.prompt_cache_bytes)
            memory.add_metric((model.id, "running"), model.running_bytes)
        yield memory
