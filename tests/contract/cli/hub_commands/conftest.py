"""Commands that speak to a Hub, and a Hub on loopback for them to speak to."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.contract.cli.hub_commands.pulling import BIG, BIG_NAME, NAME
from tests.contract.damaged_models import CachedModel, healthy_sharded_model
from tests.contract.hub_server import Access, Content, HubServer, Repository, serving
from tests.isolation import Place


@pytest.fixture(scope="session")
def running_hub() -> Iterator[HubServer]:
    with serving() as server:
        yield server


@pytest.fixture
def server(running_hub: HubServer, place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """The Hub of this process, empty and without trouble; nobody is logged in."""
    from huggingface_hub import constants

    running_hub.repositories.models.clear()
    running_hub.repositories.users.clear()
    running_hub.faults.clear()
    running_hub.traffic.clear()
    monkeypatch.setenv("HF_ENDPOINT", running_hub.url)
    # The client reads its environment once, when it is imported.
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(place.root / "no-token"))
    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 2)
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 2)
    yield running_hub
    running_hub.faults.clear()


@pytest.fixture
def at_hub(server: HubServer) -> dict[str, str | None]:
    """What a process of its own needs to find the Hub."""
    return {"HF_ENDPOINT": server.url, "HF_HUB_DISABLE_XET": "1"}


@pytest.fixture
def publish(server: HubServer) -> Callable[..., Repository]:
    """Puts a cached model on the Hub, as it is now; the copy in the cache takes the Hub's commit."""

    def put(
        model: CachedModel,
        name: str,
        access: Access = Access.PUBLIC,
        readers: frozenset[str] = frozenset(),
    ) -> Repository:
        files = {
            path: Content(data, lfs=path.endswith((".safetensors", "tokenizer.json")))
            for path, data in contents_of(model).items()
        }
        repository = server.repositories.add(name, files, access, readers)
        commit = repository.refs["main"]
        model.snapshot.rename(model.snapshot.with_name(commit))
        model.refer("main", commit)
        return repository

    return put


@pytest.fixture
def on_hub(server: HubServer, tmp_path: Path) -> Repository:
    """A whole model that is only on the Hub."""
    return server.repositories.add(NAME, contents_of(healthy_sharded_model(tmp_path / "elsewhere", NAME)))


@pytest.fixture
def big(server: HubServer) -> Repository:
    """A model with a file that takes a moment."""
    return server.repositories.add(NAME, {"config.json": b"{}", BIG_NAME: BIG})


def contents_of(model: CachedModel) -> dict[str, bytes]:
    """The files of a snapshot by name."""
    root = model.snapshot
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*"))}


def left_behind(hub: Path) -> list[str]:
    """Everything in a cache that belongs to no finished download."""
    found = [
        os.path.relpath(path, hub)
        for path in hub.rglob("*")
        if path.name.endswith((".incomplete", ".mlxk-partial", ".tmp", ".mlxk-placing"))
    ]
    return sorted(found)
