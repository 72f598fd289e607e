"""Ctrl-C while a file is on its way."""

import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import mlxk
from tests.contract.cli.conftest import environment
from tests.contract.hub_server import Fault, Trouble
from tests.contract.push.conftest import REPO, TOKEN, Pushing
from tests.isolation import Place


@pytest.mark.parametrize("trouble", [Trouble.SLOW, Trouble.HANG])
def test_an_interrupted_push_leaves_the_branch_as_it_was(
    push: Pushing, place: Place, trouble: Trouble
) -> None:
    """Slow: two large files, which the client sends from threads. Hang: one, which it sends by itself."""
    push.create()
    head = push.repository.refs["main"]
    count = 2 if trouble is Trouble.SLOW else 1
    for number in range(count):
        data = bytes([number]) * 8_000_000
        (push.folder / f"extra-{number}.bin").write_bytes(data)
        push.server.faults.add(Fault(hashlib.sha256(data).hexdigest(), trouble, 200_000, method="PUT"))
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
    while len(push.server.traffic.uploads()) < count and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, json.loads(out)["error"]["type"]) == (130, "UserCancelledError")
    assert "Traceback" not in err
    assert push.repository.refs["main"] == head
    push.server.faults.clear()
    assert push("--private").data["change_summary"] == {"added": count, "modified": 0, "deleted": 0}
