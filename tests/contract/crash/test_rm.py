"""SIGKILL for `mlxk rm`, and the same command again: all of the model is gone, and nothing else."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.contract.cli.conftest import TIMEOUT, environment
from tests.contract.damaged_models import COMMIT, CachedModel, healthy_model
from tests.isolation import Place, delete_tree, isolated_place

NAME = "org/model"
KILLS = int(os.environ.get("MLXK_SOAK_KILLS") or 3)
SEED = int(os.environ.get("MLXK_SOAK_SEED") or 20)
BLOBS = 400
FILES_BESIDE = 11
"""A ref, and five files of a model, each as a link and a blob."""


def place_with_models(root: Path) -> Place:
    """A model with two revisions and many files, and one beside it."""
    place = isolated_place(root)
    model = healthy_model(place.hub, NAME)
    locks = place.hub / ".locks/models--org--model"
    locks.mkdir(parents=True)
    other = CachedModel(model.repository, "b" * 40)
    for revision in (model, other):
        revision.snapshot.mkdir(exist_ok=True)
        blobs, folder = str(model.repository / "blobs"), str(revision.snapshot)
        for number in range(BLOBS // 2):
            name = f"{number:039x}{revision.commit[0]}"
            os.close(os.open(f"{blobs}/{name}", os.O_CREAT | os.O_WRONLY))
            if revision is other:
                os.close(os.open(f"{locks}/{name}.lock", os.O_CREAT | os.O_WRONLY))
            os.symlink(f"../../blobs/{name}", f"{folder}/part-{number}")  # noqa: PTH211 - many
    healthy_model(place.hub, "org/other")
    return place


def start(place: Place, name: str = NAME) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "mlxk", "rm", name, "--force"],
        env=environment(place), cwd=place.work, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def check_gone(place: Place) -> None:
    assert [path.name for path in place.hub.glob("models--*")] == ["models--org--other"]
    files = [path for path in (place.hub / "models--org--other").rglob("*") if path.is_file()]
    assert len(files) == FILES_BESIDE


def wait_for_the_first_to_go(place: Place, blob: str) -> None:
    while (place.hub / "models--org--model/blobs" / blob).exists():
        time.sleep(0.0005)


def test_killed_at_any_moment_and_started_again(tmp_path: Path) -> None:
    place = place_with_models(tmp_path / "unharmed")
    _, err = start(place).communicate(timeout=TIMEOUT)
    assert err == b""
    check_gone(place)
    delete_tree(place.root)
    chance = random.Random(SEED)
    landed = 0
    for number in range(KILLS):
        place = place_with_models(tmp_path / f"place-{number}")
        child = start(place)
        wait_for_the_first_to_go(place, f"{0:039x}{COMMIT[0]}")
        time.sleep(chance.uniform(0, 0.05))
        child.send_signal(signal.SIGKILL)
        child.communicate(timeout=TIMEOUT)
        landed += child.returncode == -signal.SIGKILL
        if (place.hub / "models--org--model").exists():
            again = start(place)
            _, err = again.communicate(timeout=TIMEOUT)
            assert (again.returncode, err) == (0, b"")
        check_gone(place)
        delete_tree(place.root)
    assert landed > 0


def test_one_revision_killed_and_started_again(tmp_path: Path) -> None:
    """The same command frees the rest: no content stays that no revision needs, and the other is whole."""
    chance = random.Random(SEED)
    landed = 0
    for number in range(KILLS):
        place = place_with_models(tmp_path / f"place-{number}")
        model = place.hub / "models--org--model"
        (model / "refs/dev").write_text("b" * 40)
        child = start(place, f"{NAME}@dev")
        wait_for_the_first_to_go(place, f"{0:039x}b")
        time.sleep(chance.uniform(0, 0.01))
        child.send_signal(signal.SIGKILL)
        child.communicate(timeout=TIMEOUT)
        if child.returncode == -signal.SIGKILL and (model / "refs/dev").exists():
            landed += 1
            again = start(place, f"{NAME}@dev")
            _, err = again.communicate(timeout=TIMEOUT)
            assert (again.returncode, err) == (0, b"")
        assert [path.name for path in (model / "snapshots").iterdir()] == [COMMIT]
        needed = {path.readlink().name for path in (model / "snapshots" / COMMIT).iterdir()}
        assert {path.name for path in (model / "blobs").iterdir()} == needed
        assert [path.name for path in (model / "refs").iterdir()] == ["main"]
        delete_tree(place.root)
    assert landed > 0
