"""Wakes everybody who waits for something to change, so that each looks again."""

import asyncio
from collections.abc import Callable

__all__ = ["Changes"]


class Changes:
    """A broadcast on the event loop. Waiters look at the state again: a change says not what it was."""

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()
        self._listeners: list[Callable[[], None]] = []

    def listen(self, listener: Callable[[], None]) -> None:
        """Call this at each change, before those who wait are woken."""
        self._listeners.append(listener)

    async def wait(self) -> None:
        """Return at the next change."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)

    def notify(self) -> None:
        """Tell all who listen, and wake all who wait."""
        for listener in self._listeners:
            listener()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
