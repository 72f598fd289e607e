"""A place, and a Hub to clone from."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.hub_server import HubServer, serving
from tests.isolation import Place, isolated_place


@pytest.fixture(scope="module")
def server() -> Iterator[HubServer]:
    with serving() as running:
        yield running


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return isolated_place(tmp_path / "place")
