"""Ctrl-C while a file is on its way."""

import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlxk
from tests.contract.cli.conftest import environment
from tests.contract.hub_server import Fault, Trouble
from tests.contract.push.conftest import REPO, TOKEN, Pushing
from tests.isolation import Place


def test_an_interrupted_push_leaves_the_branch_as_it_was(push: Pushing, place: Place) -> None:
    push.create()
    head = push.repository.refs["main"]
    weights = push.folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\xee")
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    push.server.faults.add(Fault(digest, Trouble.HANG, 1000, method="PUT"))
    push.server.traffic.clear()
    process = subprocess.Popen(
        [sys.executable, "-m", "mlxk", "push", "./model", REPO, "--private", "--json"],
        cwd=place.work, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment(place, {
            "HF_ENDPOINT": push.server.url, "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1",
            "PYTHONPATH": str(Path(mlxk.__file__).parents[1]),
        }),
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while not push.server.traffic.uploads() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, json.loads(out)["error"]["type"]) == (130, "UserCancelledError")
    assert "Traceback" not in err
    assert push.repository.refs["main"] == head
    assert push("--private").data["change_summary"] == {"added": 0, "modified": 1, "deleted": 0}
