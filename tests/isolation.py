"""A home, a cache and a workspace home of the test's own, which nothing but its own delete helper removes.

The tree carries a marker signed with a key of this test run. `delete_tree` refuses whatever does not lie in
a tree with such a marker, so no mistake in a test can delete the user's models.
"""

import hashlib
import hmac
import os
import secrets
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["MARKER", "ForeignTree", "Place", "delete_tree", "isolated_place"]

MARKER = ".mlxk-test-tree"
_KEY = secrets.token_bytes(32)
_KEPT = ("PATH", "PYTHONPATH", "TMPDIR", "LANG", "SYSTEMROOT")
_FOREIGN = ("MLXK_", "HF_", "HUGGING", "XDG_", "TRANSFORMERS_", "_TYPER", "_MLXK", "COMP_")


class ForeignTree(Exception):
    """What should be deleted is no tree of these tests."""


@dataclass(frozen=True)
class Place:
    """Where one test's models live.

    Attributes:
        root: the tree with the marker.
        hub: the cache (`HF_HOME/hub`).
        workspaces: the workspace home.
        work: the working directory of commands.
    """

    root: Path

    @property
    def hub(self) -> Path:
        return self.root / "hf" / "hub"

    @property
    def workspaces(self) -> Path:
        return self.root / "workspaces"

    @property
    def work(self) -> Path:
        return self.root / "work"

    @property
    def home(self) -> Path:
        return self.root / "home"

    def environment(self) -> dict[str, str]:
        """Everything a command may look at, and nothing of the user's."""
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        return {
            **kept,
            "HOME": str(self.home),
            "HF_HOME": str(self.root / "hf"),
            "XDG_CACHE_HOME": str(self.root / "xdg-cache"),
            "XDG_STATE_HOME": str(self.root / "xdg-state"),
            "XDG_CONFIG_HOME": str(self.root / "xdg-config"),
            "XDG_DATA_HOME": str(self.root / "xdg-data"),
            "MLXK_WORKSPACE_HOME": str(self.workspaces),
            "PYTHONPYCACHEPREFIX": sys.pycache_prefix or "",
        }


def isolated_place(root: Path) -> Place:
    """Make the directories, and sign the tree."""
    place = Place(root.resolve())
    for directory in (place.hub, place.workspaces, place.work, place.home):
        directory.mkdir(parents=True)
    (place.root / MARKER).write_text(_signature(place.root))
    return place


def is_foreign(variable: str) -> bool:
    """Whether an environment variable of the user's would change what a command does."""
    return variable.startswith(_FOREIGN)


def delete_tree(path: Path) -> None:
    """Delete a directory inside a signed tree, or such a tree.

    Raises:
        ForeignTree: it lies in no tree that this test run signed.
    """
    resolved = path.resolve()
    if not any(_is_signed(directory) for directory in (resolved, *resolved.parents)):
        raise ForeignTree(f"{resolved} is no tree of these tests")
    shutil.rmtree(resolved)


def _is_signed(directory: Path) -> bool:
    try:
        found = (directory / MARKER).read_text()
    except OSError:
        return False
    return hmac.compare_digest(found, _signature(directory))


def _signature(directory: Path) -> str:
    return hmac.new(_KEY, str(directory).encode(), hashlib.sha256).hexdigest()
