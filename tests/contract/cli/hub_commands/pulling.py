"""A model on a Hub, what an earlier pull may have left of it, and pulls as processes."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.contract.cli.conftest import TIMEOUT, environment
from tests.contract.hub_server import Repository
from tests.isolation import Place
from tests.waiting import bytes_at

NAME = "org/model"
FOLDER = "models--org--model"
BIG = os.urandom(3_000_000)
BIG_NAME = "model.safetensors"
BIG_DIGEST = hashlib.sha256(BIG).hexdigest()


def snapshot(place: Place, repository: Repository) -> Path:
    return place.hub / FOLDER / "snapshots" / repository.refs["main"]


def half(place: Place, repository: Repository, count: int = 1_000_000) -> Path:
    """What an earlier download has left of the big file."""
    partial = place.hub / FOLDER / "blobs" / f"{BIG_DIGEST}.mlxk-partial"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(BIG[:count])
    return partial


def begun_by_another(place: Place) -> Path:
    """What the Hub's own client leaves when it is killed."""
    theirs = place.hub / FOLDER / "blobs" / f"{BIG_DIGEST}.0123abcd.incomplete"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(BIG[:1_000_000])
    return theirs


def start(place: Place, environ: dict[str, str | None]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "mlxk", "pull", NAME, "--json"],
        env=environment(place, environ), cwd=place.work, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def answer_of(child: "subprocess.Popen[str]") -> dict[str, Any]:
    out, err = child.communicate(timeout=TIMEOUT)
    assert child.returncode == 0, err
    data: dict[str, Any] = json.loads(out)["data"]
    return data


def begun(place: Place, count: int) -> bool:
    partial = place.hub / FOLDER / "blobs" / f"{BIG_DIGEST}.mlxk-partial"
    return bytes_at(partial) >= count
