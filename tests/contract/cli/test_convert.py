"""`mlxk convert`, from the command line to files on disk."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.contract.cli.conftest import Run
from tests.contract.damaged_models import (
    DAMAGED,
    INDEX,
    SHARDS,
    healthy_sharded_model,
    healthy_vision_model,
)
from tests.contract.volumes import memory_disk
from tests.isolation import Place

QUESTION = "What does mlxk clone do?"
Copy = Callable[[Path], Path]


def contents(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def litter(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir() if path.name.startswith(".mlxk")]


def test_the_demo_in_four_bits_still_answers(place: Place, mlxk: Run) -> None:
    done = mlxk("convert", "demo", "small", "--quantize", "4", "--json")
    assert done.code == 0
    target = place.workspaces / "small"
    assert done.data == {
        "source": "demo", "target": str(target), "mode": "quantize", "health_check": True,
        "health_status": "healthy", "health_reason": "Multi-file model complete",
        "message": "The weights were quantized (4 bits, group size 64)",
        "content_hash": done.data["content_hash"], "bits": 4, "group_size": 64,
    }  # fmt: skip
    before, after = (
        mlxk("run", name, QUESTION, "--temperature", "0", "--json").data["response"]
        for name in ("demo", "small")
    )
    assert after == before
    shown = mlxk("show", "small", "--json").data["model"]
    assert (shown["clean"], shown["content_hash"]) == (True, done.data["content_hash"])
    assert shown["quantization"] == {"bits": 4, "group_size": 64}
    manifest = json.loads((target / ".mlxk_workspace.json").read_text())
    assert manifest["operation"] == "convert"
    recipe = manifest["recipe"]
    assert set(recipe.pop("versions")) == {"mlx", "mlx-lm"}
    assert recipe == {"operation": "quantize", "bits": 4, "group_size": 64, "mode": "affine"}
    assert litter(place.workspaces) == []


def test_again_with_a_warning_and_back(place: Place, mlxk: Run) -> None:
    assert mlxk("convert", "demo", "./small", "--quantize", "8", "--q-group-size", "32").code == 0
    again = mlxk("convert", "./small", "./smaller", "--quantize", "4", "--q-mode", "mxfp4", "--json")
    assert "8 bits already" in again.data["warning"]
    assert "8 bits already" in again.err
    assert again.data["group_size"] == 32
    back = mlxk("convert", "./small", "./back", "--dequantize")
    assert back.code == 0
    assert back.out == f"The weights were dequantized: {place.work / 'back'} (healthy)\n"
    compared = mlxk("diff", "demo", "./back", "--json").data
    assert compared["config"]["same"]
    assert compared["tensors"]["same"]


def test_people_and_scripts_can_ask_for_quiet(place: Place, mlxk: Run) -> None:
    done = mlxk("convert", "demo", "./x", "--repair-index", "-q")
    assert (done.code, done.err) == (0, "")


REPAIRABLE = ["index_invalid", "index_mismatch", "index_absent_for_shards", "tensor_not_in_shard"]


@pytest.mark.parametrize("code", REPAIRABLE)
def test_what_an_index_can_repair_is_repaired(code: str, place: Place, mlxk: Run) -> None:
    model = DAMAGED[code](place.hub, "bad/model")
    before = contents(place.hub)
    done = mlxk("convert", "bad/model", "./whole", "--repair-index", "--json")
    assert done.code == 0, done.err
    assert (done.data["mode"], done.data["health_status"]) == ("repair-index", "healthy")
    assert contents(place.hub) == before
    made, original = contents(place.work / "whole"), contents(model.snapshot)
    for files in (made, original):
        files.pop(INDEX, None)
    manifest = json.loads(made.pop(".mlxk_workspace.json"))
    assert made == original
    assert manifest["source_repo"] == "bad/model"
    assert manifest["source_revision"] == model.commit
    assert manifest["recipe"] == {"operation": "repair-index"}
    assert set(manifest["tensor_digests"]) == {name for name in made if name.endswith(".safetensors")}
    assert mlxk("health", "./whole", "--check").code == 0


@pytest.mark.parametrize("weight_map", [[1], {}, None, "x", {"a.weight": 1}, {"a.weight": "../../evil"}])
def test_any_weight_map_is_repaired(weight_map: object, place: Place, mlxk: Run) -> None:
    model = healthy_sharded_model(place.hub, "bad/map")
    model.add_json(INDEX, {"weight_map": weight_map})
    assert mlxk("convert", "bad/map", "./whole", "--repair-index").code == 0
    found = json.loads((place.work / "whole" / INDEX).read_text())
    assert found["weight_map"] == {"a.weight": SHARDS[0], "b.weight": SHARDS[1]}
    assert found["metadata"] == {"total_size": 256}


@pytest.mark.parametrize("code", sorted(set(DAMAGED) - set(REPAIRABLE)))
def test_other_damage_is_refused(code: str, place: Place, mlxk: Run) -> None:
    DAMAGED[code](place.hub, "bad/model")
    for mode in (["--repair-index"], ["--quantize", "4"], ["--dequantize"]):
        done = mlxk("convert", "bad/model", "./out", *mode, "--json")
        if done.code == 0:  # an index that names shards outside is wrong too, and nothing else is
            assert (mode, code) == (["--repair-index"], "path_escapes_snapshot")
            continue
        assert done.error["type"] == "OperationError"
        assert done.error["hint"]
        assert list(place.work.iterdir()) == []


def test_damage_can_be_carried_over(place: Place, mlxk: Run) -> None:
    DAMAGED["tokenizer_missing"](place.hub, "bad/model")
    done = mlxk("convert", "bad/model", "./out", "--repair-index", "--skip-health", "--json")
    assert (done.code, done.data["health_check"], done.data["health_status"]) == (0, False, None)


def refused(done: object, kind: str, code: int) -> str:
    assert done.code == code, done  # type: ignore[attr-defined]
    error: dict[str, str] = done.error  # type: ignore[attr-defined]
    assert error["type"] == kind
    assert error["hint"]
    return error["message"]


@pytest.mark.parametrize(
    ("arguments", "kind", "code"),
    [
        (["demo", "./x"], "ValidationError", 1),
        (["demo", "./x", "--quantize", "4", "--dequantize"], "ValidationError", 1),
        (["demo", "./x", "--quantize", "5"], "ValidationError", 1),
        (["demo", "./x", "--quantize", "4", "--q-group-size", "48"], "ValidationError", 1),
        (["demo", "./x", "--quantize", "4", "--q-mode", "q4_0"], "ValidationError", 1),
        (["demo", "./x", "--repair-index", "--q-mode", "affine"], "ValidationError", 1),
        (["demo", "./x", "--dequantize"], "ValidationError", 1),
        (["demo", "./no/x", "--quantize", "4"], "InvalidTargetError", 3),
        (["demo", "./file", "--quantize", "4"], "InvalidTargetError", 3),
        (["demo", "./full", "--quantize", "4"], "InvalidTargetError", 3),
        (["demo", "", "--quantize", "4"], "ValidationError", 1),
        (["./nothing", "./x", "--quantize", "4"], "workspace_not_found", 1),
        (["./full", "./x", "--quantize", "4"], "workspace_not_found", 1),
        (["no-such-model", "./x", "--quantize", "4"], "model_not_found", 1),
        (["./copy", "./copy", "--quantize", "4"], "InvalidTargetError", 3),
        (["./copy", "./copy/inside", "--repair-index"], "InvalidTargetError", 3),
    ],
)
def test_refusals_come_before_any_work(
    arguments: list[str], kind: str, code: int, place: Place, mlxk: Run, demo_copy: Copy
) -> None:
    demo_copy(place.work / "copy")
    (place.work / "full").mkdir()
    (place.work / "full" / "mine.txt").write_text("mine")
    (place.work / "file").write_text("mine")
    before = contents(place.work)
    refused(mlxk("convert", *arguments, "--json"), kind, code)
    assert contents(place.work) == before


def test_never_into_the_cache(place: Place, mlxk: Run) -> None:
    for target in (place.hub / "models--a--b", place.hub):
        refused(mlxk("convert", "demo", str(target), "--quantize", "4", "--json"), "InvalidTargetError", 3)
    assert list(place.hub.iterdir()) == []


def test_an_empty_directory_is_filled(place: Place, mlxk: Run) -> None:
    (place.work / "empty").mkdir()
    assert mlxk("convert", "demo", "./empty", "--quantize", "4").code == 0


def test_models_that_see(place: Place, mlxk: Run) -> None:
    model = healthy_vision_model(place.hub, "org/sees")
    model.add_json("config.json", {"model_type": "florence2", "vision_config": {"depth": 2}})
    told = refused(
        mlxk("convert", "org/sees", "./x", "--quantize", "4", "--json"), "unsupported_multimodal", 1
    )
    assert "florence2" in told


def test_a_model_that_sees_keeps_its_eyes(place: Place, mlxk: Run) -> None:
    pytest.importorskip("mlx_vlm")
    from tests.contract.tiny_vision import build_vision_model

    build_vision_model(place.work / "sees", "qwen2_vl")
    done = mlxk("convert", "./sees", "./small", "--quantize", "4", "--q-group-size", "32", "--json")
    assert (done.code, done.data["health_status"]) == (0, "healthy"), done.err
    tensors = mlxk("diff", "./sees", "./small", "--json").data["tensors"]
    assert tensors["removed"] == []
    assert not any("vision" in change["name"] for change in tensors["retyped"])


def test_speech_is_left_alone(place: Place, mlxk: Run) -> None:
    model = healthy_sharded_model(place.hub, "org/hears")
    model.add_json("config.json", {"model_type": "whisper"})
    refused(mlxk("convert", "org/hears", "./x", "--quantize", "4", "--json"), "not_implemented", 1)


@pytest.mark.parametrize("mode", [["--dequantize"], ["--quantize", "4", "--q-group-size", "32"]])
def test_weights_that_no_package_opens_are_refused(mode: list[str], place: Place, mlxk: Run) -> None:
    from tests.contract.tiny_models import build_bitnet

    build_bitnet(place.work / "ternary")
    done = mlxk("convert", "./ternary", "./x", *mode, "--json")
    assert "bitnet" in refused(done, "not_implemented", 1)
    assert [path.name for path in place.work.iterdir()] == ["ternary"]


def test_a_disk_that_is_too_small(place: Place, mlxk: Run) -> None:
    with memory_disk(place.root, size=128 * 1024) as disk:
        for mode in (["--quantize", "4"], ["--repair-index"]):
            refused(mlxk("convert", "demo", str(disk / "x"), *mode, "--json"), "insufficient_disk", 3)
            assert list(disk.iterdir()) == []


def test_a_disk_that_turns_out_too_small(place: Place, mlxk: Run) -> None:
    with memory_disk(place.root, size=560 * 1024) as disk:
        refused(mlxk("convert", "demo", str(disk / "x"), "--quantize", "4", "--json"), "insufficient_disk", 3)
        assert list(disk.iterdir()) == []


def test_a_full_disk_is_left_as_it_was(place: Place, mlxk: Run, demo_copy: Copy) -> None:
    with memory_disk(place.root, size=2600 * 1024) as disk:
        demo_copy(disk / "demo")
        with suppress(OSError), (disk / "fill").open("wb") as fill:
            while True:
                fill.write(bytes(4096))
        before = sorted(path.name for path in disk.iterdir())
        done = mlxk("convert", str(disk / "demo"), str(disk / "x"), "--repair-index", "--json")
        refused(done, "insufficient_disk", 3)
        assert sorted(path.name for path in disk.iterdir()) == before


def test_a_foreign_directory_in_the_way_is_left_alone(place: Place, mlxk: Run) -> None:
    from mlxk.domain.staging import staging_path

    path = Path(staging_path("convert", str(place.work / "x")))
    path.mkdir()
    (path / "mine.txt").write_text("mine")
    refused(mlxk("convert", "demo", "./x", "--quantize", "4", "--json"), "OperationError", 1)
    assert (path / "mine.txt").read_text() == "mine"


def test_two_at_once_to_one_target(place: Place, mlxk: Run) -> None:
    from mlxk.adapters.staging import StagingArea
    from mlxk.domain.staging import staging_path

    with StagingArea().claimed(staging_path("convert", str(place.work / "x"))):
        told = refused(mlxk("convert", "demo", "./x", "--repair-index", "--json"), "OperationError", 1)
    assert "Another process" in told
