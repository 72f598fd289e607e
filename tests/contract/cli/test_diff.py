"""`mlxk diff`, on models of the cache, workspaces and the bundled one."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.cli.conftest import Run
from tests.contract.damaged_models import COMMIT, healthy_model, weights
from tests.isolation import Place

OTHER = "f" * 40


def test_a_copy_is_the_same(place: Place, mlxk: Run, demo_copy: Callable[[Path], Path]) -> None:
    demo_copy(place.work / "copy")
    done = mlxk("diff", "demo", "./copy", "--check", "--json")
    assert (done.code, done.data["same"]) == (0, True)
    people = mlxk("diff", "demo", "./copy")
    assert people.out == "--- demo\n+++ ./copy\nNo differences.\n"


def test_what_differs_is_named(place: Place, mlxk: Run, demo_copy: Callable[[Path], Path]) -> None:
    copy = demo_copy(place.work / "copy")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"rope_theta": 5.0, "new": [1]}))
    settings = json.loads((copy / "tokenizer_config.json").read_text())
    (copy / "tokenizer_config.json").write_text(json.dumps(settings | {"chat_template": "other"}))
    raw = bytearray((copy / "model.safetensors").read_bytes())
    raw[-1] ^= 1
    (copy / "model.safetensors").write_bytes(raw)
    done = mlxk("diff", "demo", "./copy", "--json")
    assert done.code == 0
    found = done.data
    assert not found["same"]
    assert found["config"] == {
        "same": False, "added": {"new": [1]}, "removed": {},
        "changed": [{"key": "rope_theta", "first": 10000.0, "second": 5.0}],
    }  # fmt: skip
    assert found["tokenizer"]["same"]
    assert found["chat_template"]["changed"] == ["tokenizer_config.json"]
    assert found["tensors"]["same"]
    assert found["weights"]["changed"] == ["model.safetensors"]
    assert mlxk("diff", "demo", "./copy", "--check").code == 1
    assert mlxk("diff", "demo", "./copy").out.splitlines() == [
        "--- demo",
        "+++ ./copy",
        "config: different",
        "  ~ rope_theta: 10000.0 -> 5.0",
        "  + new: [1]",
        "tokenizer: same",
        "chat template: different",
        "  ~ tokenizer_config.json",
        "tensors: same",
        "weights: different",
        "  ~ model.safetensors",
        "other files: same",
    ]


def test_blob_names_decide_without_reading(place: Place, mlxk: Run) -> None:
    model = healthy_model(place.hub, "org/one")
    twin = healthy_model(place.hub, "org/two")
    for name in ("model.safetensors", "tokenizer.json"):
        blob = twin.blob(name)
        blob.write_bytes(
            bytes(len(model.blob(name).read_bytes())) if name == "tokenizer.json" else blob.read_bytes()
        )
    assert mlxk("diff", "org/one", "org/two", "--json").data["same"]


def test_revisions_of_one_model(place: Place, mlxk: Run) -> None:
    model = healthy_model(place.hub, "org/one")
    newer = healthy_model(place.hub, "org/one", commit=OTHER)
    newer.add("model.safetensors", weights("a.weight", "c.weight"))
    found = mlxk("diff", f"org/one@{COMMIT[:8]}", f"org/one@{OTHER}", "--json").data
    assert [entry["name"] for entry in found["tensors"]["added"]] == ["c.weight"]
    assert [entry["name"] for entry in found["tensors"]["removed"]] == ["b.weight"]
    assert found["weights"]["changed"] == ["model.safetensors"]
    assert model.commit == COMMIT


def test_a_manifest_knows_the_digests_of_what_was_not_touched(place: Place, mlxk: Run) -> None:
    healthy_model(place.hub, "org/one")
    assert mlxk("convert", "org/one", "./made", "--repair-index").code == 0
    made = place.work / "made"
    found = mlxk("diff", "org/one", "./made", "--json").data
    assert found["weights"]["same"]
    assert found["other"]["added"] == ["model.safetensors.index.json"]
    raw = bytearray((made / "model.safetensors").read_bytes())
    raw[-1] ^= 1
    (made / "model.safetensors").write_bytes(raw)
    changed = mlxk("diff", "org/one", "./made", "--json").data
    assert changed["weights"]["changed"] == ["model.safetensors"]


@pytest.mark.parametrize("arguments", [["demo", "nothing"], ["./nothing", "demo"]])
def test_unknown_models(arguments: list[str], place: Place, mlxk: Run) -> None:
    done = mlxk("diff", *arguments, "--json")
    assert done.code == 1
    assert done.error["hint"]


def test_damaged_models_can_be_compared(place: Place, mlxk: Run, demo_copy: Callable[[Path], Path]) -> None:
    copy = demo_copy(place.work / "copy")
    (copy / "model.safetensors").write_bytes(b"broken")
    (copy / "config.json").write_text("{")
    shutil.copy(copy / "config.json", copy / "odd\nname.json")
    done = mlxk("diff", "demo", "./copy", "-v")
    assert done.code == 0
    assert "odd\N{REPLACEMENT CHARACTER}name.json" in done.out or "odd" in done.out
