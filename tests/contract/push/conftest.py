"""A Hub that can be pushed to, a user with a token, and folders to push."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlxk.adapters.hub.uploads import HuggingFaceUploads
from mlxk.adapters.push_folders import DiskPushFolders
from mlxk.domain.ports import HubUploader, PushFolders
from tests.contract.cli.conftest import Outcome, Run, demo_copy, mlxk, place
from tests.contract.hub_server import HubServer, Repository, serving
from tests.isolation import Place

__all__ = ["demo_copy", "mlxk", "place"]

_UPLOADER: type[HubUploader] = HuggingFaceUploads  # the type checker holds the adapters to their ports
_FOLDERS: type[PushFolders] = DiskPushFolders

USER = "ada"
TOKEN = "hf_" + "aB3dE6gH9j" * 4
READ_TOKEN = "hf_" + "readREAD99" * 4
REPO = f"{USER}/model"


@pytest.fixture(scope="session")
def running_hub() -> Iterator[HubServer]:
    with serving() as server:
        yield server


@pytest.fixture
def server(running_hub: HubServer, place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """The Hub, empty and without trouble, which this process takes for the Hub; its user is logged in.

    (The client reads its environment when it is imported. Retries wait a hundredth of their time.)
    """
    import time

    from huggingface_hub import constants
    from huggingface_hub.utils import _http

    class Hurried:
        def __getattr__(self, name: str) -> Any:
            return getattr(time, name)

        def sleep(self, seconds: float) -> None:
            time.sleep(seconds / 100)

    running_hub.repositories.clear()
    running_hub.faults.clear()
    running_hub.traffic.clear()
    running_hub.repositories.users.update({TOKEN: USER, READ_TOKEN: USER, "other": "eve"})
    running_hub.repositories.read_only.add(READ_TOKEN)
    monkeypatch.setattr(constants, "ENDPOINT", running_hub.url)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(place.home / "no-token"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(_http, "time", Hurried())
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield running_hub
    running_hub.faults.clear()


@pytest.fixture
def folder(place: Place, demo_copy: Callable[[Path], Path]) -> Path:
    """A healthy model."""
    return demo_copy(place.work / "model")


@dataclass(frozen=True)
class Pushing:
    """`mlxk push` of one folder to one repository, and what is on the Hub afterwards."""

    mlxk: Run
    server: HubServer
    folder: Path

    def __call__(self, *options: str, repo: str = REPO) -> Outcome:
        """Run the command with `--json`."""
        return self.mlxk("push", str(self.folder), repo, "--json", *options)

    def create(self) -> dict[str, Any]:
        """The first push, of a private repository."""
        return self("--private", "--create").data

    @property
    def repository(self) -> Repository:
        return self.server.repositories.models[REPO]

    def contents(self, branch: str = "main") -> dict[str, bytes]:
        """What a branch holds, without the Hub's own file."""
        files = self.repository.commits[self.repository.refs[branch]]
        return {path: file.data for path, file in files.items() if path != ".gitattributes"}

    def local(self) -> dict[str, bytes]:
        """What the folder holds."""
        return {
            path.relative_to(self.folder).as_posix(): path.read_bytes()
            for path in self.folder.rglob("*")
            if path.is_file()
        }


@pytest.fixture
def push(mlxk: Run, server: HubServer, folder: Path) -> Pushing:
    return Pushing(mlxk, server, folder)
