"""Where `mlxk convert` may put its result, what an earlier run left there, and what the manifest says."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from mlxk.app.container import container_for
from mlxk.app.convert import ConvertCommand
from mlxk.domain.convert_work import Quantize
from mlxk.domain.errors import Interrupted
from mlxk.domain.quantization import Packing
from tests.contract.cli.conftest import Run
from tests.contract.cli.test_convert import contents, refused
from tests.contract.damaged_models import (
    healthy_model,
)
from tests.isolation import Place
from tests.memory_ports import ProgressRecorder

# What an earlier run left


def left_after_publishing(place: Place, target: Path, spec: str) -> Path:
    """What a process that was killed between renaming and cleaning up leaves beside a target."""
    from mlxk.adapters.staging import StagingArea
    from mlxk.domain.staging import staging_path

    path, area = staging_path("convert", str(target)), StagingArea()
    area.create(path, spec, str(target))
    (Path(path) / "workspace").mkdir()
    area.publish(path, str(place.root / "elsewhere"))
    return Path(path)


@pytest.mark.parametrize("there", ["files", "clone", "another recipe", "another source"])
def test_what_took_the_place_of_a_result_is_not_called_one(there: str, place: Place, mlxk: Run) -> None:
    from mlxk.adapters.bundled import BundledModels

    healthy_model(place.hub, "org/one")
    target = place.work / "made"
    match there:
        case "files":
            target.mkdir()
            (target / "mine.txt").write_text("mine")
        case "clone":
            assert mlxk("clone", "demo", "./made").code == 0
        case "another recipe":
            assert mlxk("convert", "demo", "./made", "--quantize", "4").code == 0
        case _:
            assert mlxk("convert", "org/one", "./made", "--repair-index").code == 0
    before = contents(target)
    (demo,) = BundledModels().records()
    left = left_after_publishing(place, target, f"convert {demo.path} repair-index")
    done = mlxk("convert", "demo", "./made", "--repair-index", "--json")
    assert "not empty" in refused(done, "InvalidTargetError", 3)
    assert contents(target) == before
    assert not left.exists()


# Targets that can be none


@pytest.mark.parametrize("target", ["~nosuchuser/x", "~nosuchuser", "n" * 300, "./" + "n" * 300, "a/" * 3000])
@pytest.mark.parametrize("command", ["convert", "clone"])
def test_paths_that_can_be_none(command: str, target: str, place: Place, mlxk: Run) -> None:
    options = ["--quantize", "4"] if command == "convert" else []
    told = refused(mlxk(command, "demo", target, *options, "--json"), "InvalidTargetError", 3)
    assert told.endswith(".")
    assert list(place.work.iterdir()) == list(place.workspaces.iterdir()) == []


def test_an_absolute_target_needs_no_working_directory(place: Place, process: Run) -> None:
    script = 'mkdir gone && cd gone && rmdir ../gone && exec "$0" -m mlxk convert demo "$@"'
    done = process(str(place.work / "made"), "--repair-index", "--json", shell=script)
    assert done.code == 0, done
    relative = process("./made", "--repair-index", "--json", shell=script)
    assert "is gone" in refused(relative, "InvalidTargetError", 3)


# Where it comes from


def manifest_of(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / ".mlxk_workspace.json").read_text())
    return found


def sums_of(directory: Path) -> dict[str, str]:
    return {
        path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*.safetensors")
    }


def test_a_workspace_passes_on_where_it_comes_from_and_what_it_knows(place: Place, mlxk: Run) -> None:
    model = healthy_model(place.hub, "org/one")
    assert mlxk("convert", "org/one", "./first", "--repair-index").code == 0
    assert mlxk("convert", "./first", "./second", "--repair-index").code == 0
    first, second = (manifest_of(place.work / name) for name in ("first", "second"))
    assert (second["source_repo"], second["source_revision"]) == ("org/one", model.commit)
    assert second["tensor_digests"] == first["tensor_digests"]
    assert first["tensor_digests"]
    raw = bytearray((place.work / "second" / "model.safetensors").read_bytes())
    raw[-1] ^= 1
    (place.work / "second" / "model.safetensors").write_bytes(raw)
    assert mlxk("convert", "./second", "./third", "--repair-index").code == 0
    assert not manifest_of(place.work / "third").get("tensor_digests")


@pytest.mark.parametrize("mode", [["--quantize", "4"], ["--repair-index"]])
def test_the_bundled_model_is_named(mode: list[str], place: Place, mlxk: Run) -> None:
    assert mlxk("convert", "demo", "./made", *mode).code == 0
    assert manifest_of(place.work / "made")["source_repo"] == "demo"


def test_converted_weights_can_be_verified(place: Place, mlxk: Run) -> None:
    made = place.work / "made"
    assert mlxk("convert", "demo", "./made", "--quantize", "4").code == 0
    assert manifest_of(made)["tensor_digests"] == sums_of(made)
    assert mlxk("health", "./made", "--verify", "--check").code == 0
    assert mlxk("convert", "./made", "./open", "--dequantize").code == 0
    assert manifest_of(place.work / "open")["tensor_digests"] == sums_of(place.work / "open")
    file = made / "model.safetensors"
    times = file.stat()
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert mlxk("health", "./made", "--verify", "--check").code == 1


# Ctrl-C


class Impatient(ProgressRecorder):
    """Somebody who presses Ctrl-C as soon as a phase begins."""

    def __init__(self, phase: str) -> None:
        super().__init__()
        self._phase = phase

    def start(self, phase: str, total: int) -> None:
        super().start(phase, total)
        if phase == self._phase:
            raise KeyboardInterrupt


@pytest.mark.parametrize("phase", ["copy", "quantize", "verify"])
def test_who_interrupts_is_told_that_nothing_is_left(phase: str, place: Place) -> None:
    convert = container_for(os.environ).convert()
    command = ConvertCommand("demo", "./made", Quantize(Packing(4, 64)))
    with pytest.raises(Interrupted, match="nothing is left") as told:
        convert(command, Impatient(phase), print)
    assert told.value.hint
    assert list(place.work.iterdir()) == []
