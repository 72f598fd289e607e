"""A server whose models can be made to hang or to die by a prompt, for tests of what happens then.

    python tests/contract/serving/faulty_server.py

The models are real; the fault is in an adapter around the real runtime, which only this program has.
"""

import asyncio
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

from mlxk.app.container import container_for
from mlxk.app.logs import configure, redactor_for
from mlxk.app.server.engine.limits import ServiceLimits
from mlxk.app.server.engine.text_service import TextService
from mlxk.app.server.http.application import create_application
from mlxk.app.server.http.hosting import StopSignal, host_until_stopped
from mlxk.app.server.http.listening import base_url, bind
from mlxk.domain.generation import Delta, GenerationRequest, Prompt
from mlxk.domain.ports import BatchingTextModel, BatchingTextRuntime, Prepared

__all__ = ["FADE", "FAULTY", "HANG", "KILL", "STEP_LIMIT"]

HANG, KILL, FADE = "HANG", "KILL", "FADE"
"""Words of a prompt: the model's thread never comes back, or ends, in the middle of a step; or ends later."""

STEPS_BEFORE_THE_END = 20
"""Steps that a thread whose prompt says `FADE` still makes."""

STEP_LIMIT = float(os.environ.get("STEP_LIMIT", "1"))
"""Seconds; five times as much for a step that computes prompt tokens."""

FAULTY = (sys.executable, __file__)


class ModelLost(BaseException):
    """Ends the thread as nothing that a model raises would."""


class FaultyModel:
    """A real model, with faults on demand."""

    def __init__(self, model: BatchingTextModel) -> None:
        self._model = model
        self._faults: dict[int, str] = {}
        self._due: set[str] = set()
        self._steps_left = STEPS_BEFORE_THE_END

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def prepare(self, request: GenerationRequest, *, default_limit: int | None) -> Prepared:
        prepared = self._model.prepare(request, default_limit=default_limit)
        text = request.prompt.text if isinstance(request.prompt, Prompt) else request.prompt[-1].content
        self._faults[id(prepared)] = text
        return prepared

    def submit(self, prepared: Prepared) -> int:
        text = self._faults.pop(id(prepared))
        self._due |= {fault for fault in (HANG, KILL, FADE) if fault in text}
        return self._model.submit(prepared)

    def step(self) -> list[tuple[int, Delta]]:
        if KILL in self._due:
            raise ModelLost
        if HANG in self._due:
            threading.Event().wait()
        if FADE in self._due:
            self._steps_left -= 1
            if not self._steps_left:
                raise ModelLost
        return list(self._model.step())


class FaultyRuntime:
    """Loads real models, and puts the faults around them."""

    def __init__(self, runtime: BatchingTextRuntime) -> None:
        self._runtime = runtime

    def load(self, path: Path) -> BatchingTextModel:
        model: Any = FaultyModel(self._runtime.load(path))
        return model  # type: ignore[no-any-return]


async def _serve() -> None:
    container = container_for(os.environ)
    configure(container.settings(), redactor_for(os.environ))
    runtime = FaultyRuntime(container.batching_runtime())
    limits = ServiceLimits(step_limit=STEP_LIMIT)
    service = TextService(container.catalog(), container.inspector(), container.host(), runtime, limits)
    listener = bind("127.0.0.1", 0)
    with StopSignal().listening() as stop:
        service.start()
        await host_until_stopped(
            create_application(service),
            listener,
            stop,
            started=lambda: print(json.dumps({"data": {"base_url": base_url(listener)}}), flush=True),  # noqa: T201
            drain=lambda: service.shutdown(600),
        )


if __name__ == "__main__":
    asyncio.run(_serve())
