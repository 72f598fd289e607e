"""A workspace to check, and the written format of content hash v2 once more, word for word.

`golden_index` and `golden_hash` are made from the text of the specification, share no code with mlxk, and
are what MLX-Knife 2.0.6 writes too.
"""

import fnmatch
import hashlib
import json
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlxk.adapters.workspace_integrity import DiskIntegrity

MANIFEST = ".mlxk_workspace.json"

GOLDEN_PATTERNS = (
    ".hf_cache/ .mlxk_workspace.json .git/ .github/ __pycache__/ .vscode/ .idea/ .ipynb_checkpoints/ "
    ".mypy_cache/ .pytest_cache/ .ruff_cache/ .tox/ node_modules/ .venv/ venv/ *.lock *.tmp *.log *.bak "
    ".DS_Store ._* .Spotlight-V100/ .Trashes/ .fseventsd/ .TemporaryItems/ .apdisk Icon\r Thumbs.db "
    "desktop.ini $RECYCLE.BIN/ System§Volume§Information/ *~ .*.swp .*.swo"
)
PATTERNS = [pattern.replace("§", " ") for pattern in GOLDEN_PATTERNS.split(" ")]


def golden_index(root: Path, patterns: list[str] = PATTERNS) -> list[dict[str, object]]:
    index: list[dict[str, object]] = []
    for entry in _walk(root, "", patterns):
        file, parts = root / entry, entry.split("/")
        if file.is_symlink():
            target = os.path.relpath(file.resolve(), root.resolve())
            size, mtime_ns, data = 0, 0, b"SYMLINK" + b"\x00" + target.encode()
        elif any(fnmatch.fnmatch(parts[-1], pattern) for pattern in patterns):
            continue
        else:
            size, mtime_ns = file.stat().st_size, file.stat().st_mtime_ns
            if entry.endswith(".safetensors"):
                length = int.from_bytes(file.read_bytes()[:8], "little")
                data = file.read_bytes()[8 : 8 + length]
            elif size > 2**30:
                data = parts[-1].encode() + b"\x00" + str(size).encode()
            else:
                data = file.read_bytes()
        sha = "sha256:" + hashlib.sha256(data).hexdigest()
        path = unicodedata.normalize("NFC", entry)
        index.append({"path": path, "size": size, "mtime_ns": mtime_ns, "sha": sha})
    return sorted(index, key=lambda entry: str(entry["path"]))


def _walk(root: Path, prefix: str, patterns: list[str]) -> Iterator[str]:
    for child in (root / prefix).iterdir():
        path = prefix + child.name
        if child.is_symlink() or child.is_file():
            yield path
        elif child.is_dir() and not any(fnmatch.fnmatch(child.name + "/", pattern) for pattern in patterns):
            yield from _walk(root, path + "/", patterns)


def golden_hash(index: list[dict[str, object]]) -> str:
    joined = b"".join(f"{entry['path']}\x00{entry['sha']}".encode() for entry in index)
    return "sha256:" + hashlib.sha256(joined).hexdigest()


def golden_manifest(root: Path, **changes: object) -> dict[str, object]:
    """Write the manifest that MLX-Knife would write for a directory as it is."""
    index = golden_index(root)
    document: dict[str, object] = {
        "mlxk_version": "2.0.6",
        "created_at": "2026-04-20T10:30:00.123456Z",
        "source_repo": "org/model",
        "source_revision": "a" * 40,
        "managed": True,
        "operation": "clone",
        "hash_algorithm": "v2",
        "content_hash": golden_hash(index),
        "hash_modified": "2026-04-20T10:30:00.123456Z",
        "exclude_patterns": PATTERNS,
        "file_index": index,
    }
    document |= changes
    (root / MANIFEST).write_text(json.dumps(document, indent=2) + "\n")
    return document


def safetensors(header: bytes, data: bytes = b"") -> bytes:
    return len(header).to_bytes(8, "little") + header + data


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Every kind of entry: content, header, over a GiB, links, folders, names beyond ASCII, excluded."""
    root = tmp_path / "ws"
    (root / "sub" / "deeper").mkdir(parents=True)
    (root / "config.json").write_text('{"model_type": "llama"}')
    (root / "model.safetensors").write_bytes(safetensors(b'{"a": 1}', b"tensors"))
    (root / "sub" / "adapter.safetensors").write_bytes(safetensors(b"{}"))
    (root / "sub" / "deeper" / "empty").touch()
    (root / "sub.txt").write_text("sorts between sub and sub/")
    (root / "video.mp4").touch()
    os.truncate(root / "video.mp4", 2**30 + 1)
    (root / "just.bin").write_bytes(b"just")
    (root / unicodedata.normalize("NFD", "naïve café.txt")).write_text("decomposed on disk")
    (root / "日本.json").write_text("{}")
    (root / "link.json").symlink_to("config.json")
    (root / "folder").symlink_to("sub/deeper")
    (root / "dangling").symlink_to("sub/nowhere")
    (root / "back.log").symlink_to("sub/../sub.txt")
    for excluded in (
        ".git/HEAD",
        "sub/.hf_cache/x/y",
        "run.log",
        "sub/.DS_Store",
        "._x",
        "Icon\r",
        "a~",
        ".a.swp",
    ):
        (root / excluded).parent.mkdir(parents=True, exist_ok=True)
        (root / excluded).write_text("x")
    return root


@pytest.fixture
def integrity() -> DiskIntegrity:
    return DiskIntegrity()
