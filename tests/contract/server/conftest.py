"""What the server logs, kept for the tests to look at."""

from collections.abc import Iterator
from typing import TypeAlias

import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs
from structlog.typing import EventDict

Logged: TypeAlias = list[EventDict]


@pytest.fixture(autouse=True)
def logged() -> Iterator[Logged]:
    with capture_logs(processors=[merge_contextvars]) as entries:
        yield entries
