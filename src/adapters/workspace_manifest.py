"""Reading and writing `.mlxk_workspace.json`, in one step: a reader sees the old one or the new."""

import json
import os
import threading
from pathlib import Path

from mlxk.adapters.bounded_read import read_bounded
from mlxk.domain.manifest import MANIFEST_NAME, Flaw, Manifest, Refusal, document_of, parse_manifest
from mlxk.domain.model import Invalid, WorkspaceState

__all__ = ["MAX_MANIFEST", "read_manifest", "replace_manifest", "state_of", "write_manifest"]

MAX_MANIFEST = 64 * 1024 * 1024
"""Bytes a manifest may have to be read."""


def read_manifest(workspace: str) -> Manifest | Refusal:
    """The manifest of a workspace; one that is a link, too large or no JSON object is refused, not raised."""
    return _parsed(_content(workspace))


def state_of(manifest: Manifest) -> WorkspaceState:
    """What a manifest says of its workspace, in the words of `list` and `show`; nothing is checked."""
    return WorkspaceState(
        managed=True,
        origin=manifest.source_repo,
        content_hash=manifest.content_hash,
        hash_modified=manifest.hash_modified,
    )


def write_manifest(workspace: str, manifest: Manifest) -> None:
    """Put a manifest into a workspace: a temporary file beside it, synced, then renamed.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    text = json.dumps(document_of(manifest), indent=2) + "\n"
    _write(f"{workspace}/{MANIFEST_NAME}", text.encode())


def replace_manifest(workspace: str, known: Manifest, better: Manifest) -> None:
    """Write a manifest unless the one on disk is no longer the one known: somebody else's news win.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    if read_manifest(workspace) == known:
        write_manifest(workspace, better)


def _content(workspace: str) -> bytes | Invalid:
    file = f"{workspace}/{MANIFEST_NAME}"
    if os.path.islink(file):  # noqa: PTH114 - hot path
        return Invalid("a link")
    return read_bounded(file, MAX_MANIFEST)


def _parsed(content: bytes | Invalid) -> Manifest | Refusal:
    if isinstance(content, Invalid):
        return Refusal(Flaw.UNREADABLE, content.reason)
    try:
        value: object = json.loads(content.decode())
    except (ValueError, RecursionError):
        return Refusal(Flaw.UNREADABLE, "it is not valid JSON")
    return parse_manifest(value) if isinstance(value, dict) else Refusal(Flaw.UNREADABLE, "no JSON object")


def _write(file: str, content: bytes) -> None:
    # `.tmp`: were it ever left behind, the default patterns keep it out of the hash.
    temporary = f"{file}.{threading.get_native_id()}.tmp"
    descriptor = os.open(
        temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666
    )
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
