"""A Hub to clone from, and a model on it."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.contract.cli.cloning.asking import ask
from tests.contract.cloning import (
    contents,
)
from tests.contract.hub_server import HubServer, serving
from tests.contract.hub_server.repositories import Content
from tests.isolation import Place


@pytest.fixture(scope="module")
def running_hub() -> Iterator[HubServer]:
    with serving() as server:
        yield server


@pytest.fixture
def server(running_hub: HubServer, monkeypatch: pytest.MonkeyPatch, place: Place) -> Iterator[HubServer]:
    """An empty Hub, which commands ask. (The client reads most of its environment when imported.)"""
    from huggingface_hub import constants

    running_hub.repositories.models.clear()
    running_hub.repositories.users.clear()
    running_hub.faults.clear()
    running_hub.traffic.clear()
    ask(running_hub.url, monkeypatch, place)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    yield running_hub
    running_hub.faults.clear()


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch, place: Place) -> None:
    """Nobody answers."""
    ask("http://127.0.0.1:9", monkeypatch, place)


@pytest.fixture
def files(tmp_path: Path) -> Mapping[str, Content]:
    return contents(tmp_path / "scratch")
