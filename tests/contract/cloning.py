"""What tests of cloning share: a Hub with a model, the same model in a cache, and what a clone must be."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from mlxk.adapters.workspace_integrity import DiskIntegrity
from mlxk.domain.model import Cleanliness
from tests.contract.damaged_models import CachedModel, healthy_sharded_model
from tests.contract.hub_server import HubServer
from tests.contract.hub_server.repositories import Access, Content, Repository

__all__ = [
    "REPO",
    "SHARD",
    "assert_clone",
    "contents",
    "in_cache",
    "litter",
    "names",
    "on_hub",
    "tree_digest",
]

REPO = "org/model"
SHARD = "model-00002-of-00002.safetensors"


def contents(scratch: Path, *, padding: int = 0) -> Mapping[str, Content]:
    """The files of a whole model as a Hub has them; `padding` makes one of them that many bytes large."""
    snapshot = healthy_sharded_model(scratch, "org/scratch").snapshot
    files = {path.name: path.read_bytes() for path in snapshot.iterdir()}
    if padding:
        files["vocabulary.bin"] = os.urandom(padding)
    lfs = (".safetensors", "tokenizer.json", ".bin")
    return {name: Content(data, lfs=name.endswith(lfs)) for name, data in files.items()}


def on_hub(
    server: HubServer,
    files: Mapping[str, Content],
    repo: str = REPO,
    access: Access = Access.PUBLIC,
    readers: frozenset[str] = frozenset(),
) -> Repository:
    """Let the Hub have a model."""
    return server.repositories.add(repo, files, access, readers)


def in_cache(hub: Path, files: Mapping[str, Content], commit: str, repo: str = REPO) -> CachedModel:
    """Put a model into a cache, as the Hub's client does, with `main` at the commit."""
    model = CachedModel(hub / f"models--{repo.replace('/', '--')}", commit)
    for name, content in files.items():
        blob = model.repository / "blobs" / content.etag
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(content.data)
        model.snapshot.mkdir(parents=True, exist_ok=True)
        (model.snapshot / name).symlink_to(os.path.relpath(blob, model.snapshot))
    model.refer("main")
    return model


def assert_clone(target: Path, files: Mapping[str, Content]) -> None:
    """A workspace with exactly these files, clean, and nothing beside it that a clone left."""
    found = {path.name for path in target.iterdir()} - {".mlxk_workspace.json"}
    assert found == set(files)
    for name, content in files.items():
        path = target / name
        assert not path.is_symlink()
        assert path.read_bytes() == content.data
    state = DiskIntegrity().state(target)
    assert (state.managed, state.cleanliness) == (True, Cleanliness.CLEAN), state
    assert litter(target.parent) == []


def litter(directory: Path) -> list[str]:
    """What unfinished clones left."""
    return [name for name in names(directory) if name.startswith(".")]


def names(directory: Path) -> list[str]:
    """What is in a directory, sorted."""
    return sorted(path.name for path in directory.iterdir())


def tree_digest(root: Path) -> str:
    """Names, kinds, sizes, times, links and contents of everything below a directory."""
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        what = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        digest.update(f"{path.relative_to(root)} {status.st_mode} {status.st_mtime_ns} {what!r}\n".encode())
    return digest.hexdigest()
