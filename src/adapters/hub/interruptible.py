"""Uploads that Ctrl-C ends, and that do not wait for ever.

By LFS the client sends several files at once from a pool of threads, and an interruption waits until they
are through, which may be hours; and no request of it has a time limit. By Xet it stops by itself.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import httpx2

__all__ = ["interruptible"]

_LONGEST_SILENCE = 600.0
"""Seconds without a byte after which a connection counts as lost; large commits take the Hub minutes."""

_FAREWELL = 2.0
"""Seconds that the threads of an interrupted upload get to end."""

_T = TypeVar("_T")


class _Stopped(Exception):
    """The upload was called off."""


def interruptible(work: Callable[[], _T]) -> _T:
    """Do it, in a way that `KeyboardInterrupt` ends within one chunk of every file that is being sent."""
    from importlib.util import find_spec

    from huggingface_hub import constants

    if not constants.HF_HUB_DISABLE_XET and find_spec("hf_xet") is not None:
        return work()
    stop = threading.Event()
    outcome: Future[_T] = Future()
    thread = threading.Thread(target=_fulfil, args=(outcome, work), daemon=True)
    with _stoppable(stop):
        thread.start()
        try:
            return outcome.result()
        except KeyboardInterrupt:
            stop.set()
            thread.join(_FAREWELL)
            raise


def _fulfil(outcome: "Future[_T]", work: Callable[[], _T]) -> None:
    try:
        outcome.set_result(work())
    except BaseException as error:  # noqa: BLE001 - raised again by whoever waits for the outcome
        outcome.set_exception(error)


@contextmanager
def _stoppable(stop: threading.Event) -> Iterator[None]:
    """Inside, the client's requests have a time limit and end when the event is set."""
    from huggingface_hub.utils import get_session

    def prepare(request: "httpx2.Request") -> None:
        if stop.is_set():
            raise _Stopped
        limits = request.extensions.get("timeout", {})
        unlimited = dict.fromkeys(("connect", "read", "write"), _LONGEST_SILENCE)
        given = {name: seconds for name, seconds in limits.items() if seconds is not None}
        request.extensions["timeout"] = {"pool": None, **unlimited, **given}
        request.stream = _until(stop, request.stream)

    session = get_session()
    hooks = session.event_hooks
    session.event_hooks = {**hooks, "request": [*hooks["request"], prepare]}
    try:
        yield
    finally:
        session.event_hooks = hooks


def _until(
    stop: threading.Event, stream: "httpx2.SyncByteStream | httpx2.AsyncByteStream"
) -> "httpx2.SyncByteStream":
    import httpx2

    assert isinstance(stream, httpx2.SyncByteStream)
    sent = stream

    class Stoppable(httpx2.SyncByteStream):
        """The same bytes, until the event is set."""

        def __iter__(self) -> Iterator[bytes]:
            for chunk in sent:
                if stop.is_set():
                    raise _Stopped
                yield chunk

        def close(self) -> None:
            """Close what is sent."""
            sent.close()

    return Stoppable()
