"""The one place that runs work for a client: whole or streamed, watched for its hanging up."""

import asyncio
import secrets
import time

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from mlxk.app.server.dialects.dialect import Ask, Opening
from mlxk.app.server.http.exchange import Exchange, exchange_of
from mlxk.app.server.http.failures import as_error, error_body
from mlxk.app.server.http.metrics import Metrics
from mlxk.app.server.service import Answering, Service
from mlxk.domain.generation import Delta, collect

__all__ = ["AnswerResponse"]

_log = structlog.get_logger("mlxk.server")

_KEEP_ALIVE = b": keep-alive\n\n"
_STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


class AnswerResponse(Response):
    """Answers an `Ask`; the generation is cancelled as soon as the client hangs up.

    Raises:
        MlxkError: the work was not admitted, or failed before anything was sent.
    """

    def __init__(self, ask: Ask, service: Service, metrics: Metrics, keep_alive_interval: float) -> None:
        super().__init__()
        self._ask = ask
        self._service = service
        self._metrics = metrics
        self._interval = keep_alive_interval
        self._streaming = False
        self._sending_last = False
        self._last_sent = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Generate and send, as ASGI has it."""
        exchange = exchange_of(scope)
        answer = self._stream(scope, send) if self._ask.stream else self._whole(scope, receive, send)
        generating = asyncio.ensure_future(answer)
        hanging_up = asyncio.ensure_future(_until_disconnect(receive))
        try:
            while not generating.done() and not hanging_up.done():
                await asyncio.wait(
                    (generating, hanging_up),
                    timeout=max(0, self._quiet_for()),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if self._streaming and not generating.done() and self._quiet_for() <= 0:
                    await self._send(send, _KEEP_ALIVE)
            if self._sending_last:
                await generating  # a client that has its whole answer may hang up
            exchange.client_left = not generating.done()
        finally:
            await _cancel(hanging_up)
            await _cancel(generating)
        if not exchange.client_left:
            generating.result()

    def _quiet_for(self) -> float:
        """Seconds until a silent stream needs a sign of life."""
        if not self._streaming:
            return self._interval
        return self._last_sent + self._interval - time.monotonic()

    async def _whole(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = exchange_of(scope)
        async with self._service.answer(self._ask.work) as answering:
            opening = _opening(answering, exchange)
            choices: dict[int, list[Delta]] = {index: [] for index in range(len(self._ask.work.requests))}
            async for batch in answering:
                self._metrics.observe(exchange, batch)
                for index, delta in batch:
                    choices[index].append(delta)
        body = self._ask.renderer.whole(opening, [collect(deltas) for deltas in choices.values()])
        self._sending_last = True
        await Response(body, media_type="application/json")(scope, receive, send)

    async def _stream(self, scope: Scope, send: Send) -> None:
        exchange = exchange_of(scope)
        renderer = self._ask.renderer
        try:
            async with self._service.answer(self._ask.work) as answering:
                opening = _opening(answering, exchange)
                await send({"type": "http.response.start", "status": 200, "headers": _STREAM_HEADERS})
                await self._send(send, renderer.begin(opening))
                self._streaming = True
                async for batch in answering:
                    self._metrics.observe(exchange, batch)
                    if events := renderer.deltas(batch):
                        await self._send(send, events)
            last = renderer.end()
        except Exception as error:
            if not self._streaming:
                raise
            # The status was sent: the last event tells what went wrong.
            last = renderer.failure(error_body(as_error(error), scope))
        self._streaming = False
        self._sending_last = True
        await send({"type": "http.response.body", "body": last, "more_body": False})

    async def _send(self, send: Send, events: bytes) -> None:
        self._last_sent = time.monotonic()
        await send({"type": "http.response.body", "body": events, "more_body": True})


def _opening(answering: Answering, exchange: Exchange) -> Opening:
    exchange.model = answering.model
    exchange.prompt_tokens = answering.prompt_tokens
    return Opening(
        token=secrets.token_hex(16),
        created=int(time.time()),
        model=answering.model,
        prompt_tokens=answering.prompt_tokens,
    )


async def _until_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _cancel(task: "asyncio.Future[None]") -> None:
    """Cancel a task and wait until it has cleaned up; nobody is left to be told of what fails then."""
    if task.done():
        return
    task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.warning("cancelled work failed", exc_info=error)
