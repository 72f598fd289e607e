"""A Hub, and the adapters that talk to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlxk.adapters.hub.blob_download import BlobSource
from mlxk.adapters.hub.client import HuggingFaceHub
from mlxk.adapters.hub.fetcher import HubCacheFetcher
from mlxk.domain.hub import RetryPolicy
from mlxk.domain.ports import CacheFetcher, Hub
from tests.contract.hub_server import HubServer, serving

_HUB: type[Hub] = HuggingFaceHub  # the type checker holds the adapters to their ports
_FETCHER: type[CacheFetcher] = HubCacheFetcher

IMPATIENT = RetryPolicy(attempts=3, first_wait=0.01, longest_wait=0.05, longest_retry_after=2)


@pytest.fixture(autouse=True)
def _no_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The user's own token stays out of it. (The client reads its environment only when it is imported.)"""
    from huggingface_hub import constants

    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)


@pytest.fixture(scope="session")
def running_hub() -> Iterator[HubServer]:
    with serving() as server:
        yield server


@pytest.fixture
def server(running_hub: HubServer) -> Iterator[HubServer]:
    """The Hub, empty and without trouble."""
    running_hub.repositories.models.clear()
    running_hub.repositories.users.clear()
    running_hub.faults.clear()
    running_hub.traffic.clear()
    running_hub.state.page_size = 1000
    yield running_hub
    running_hub.faults.clear()


@pytest.fixture
def hub(server: HubServer) -> HuggingFaceHub:
    return HuggingFaceHub(endpoint=server.url, timeout=2, retries=IMPATIENT)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "hub"


@pytest.fixture
def fetcher(server: HubServer, cache: Path) -> HubCacheFetcher:
    return HubCacheFetcher(cache, BlobSource(endpoint=server.url, timeout=0.5, retries=IMPATIENT))
