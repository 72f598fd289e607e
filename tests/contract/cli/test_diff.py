"""`mlxk diff`, on models of the cache, workspaces and the bundled one."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mlxk.adapters.bundled import BundledModels
from mlxk.adapters.hf_cache import HuggingFaceCache
from mlxk.adapters.known_digests import RecordedDigests
from mlxk.adapters.snapshot_facts import SnapshotReader
from mlxk.adapters.tensor_headers import HeaderTensorReader
from mlxk.adapters.verifier import DigestVerifier
from mlxk.adapters.workspace_integrity import DiskIntegrity
from mlxk.adapters.workspaces import WorkspaceHome
from mlxk.app.catalog import Catalog
from mlxk.app.diff import Diff, DiffRequest, DiffResult
from mlxk.domain.errors import ErrorKind, MlxkError
from tests.contract.cache.conftest import shared_hub as shared_hub
from tests.contract.cache.conftest import without_root_rights
from tests.contract.cli.conftest import Run
from tests.contract.damaged_models import COMMIT, healthy_model, weights
from tests.isolation import Place
from tests.memory_ports import ProgressRecorder

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
    names = (f"org/one@{COMMIT[:12]}", f"org/one@{OTHER[:12]}")
    assert (found["first"], found["second"]) == names
    people = mlxk("diff", f"org/one@{COMMIT[:8]}", f"org/one@{OTHER}")
    assert people.out.splitlines()[:2] == [f"--- {names[0]}", f"+++ {names[1]}"]


def test_one_thing_twice_keeps_its_name_where_it_has_no_commit(place: Place, mlxk: Run) -> None:
    found = mlxk("diff", "demo", "demo", "--json").data
    assert (found["first"], found["second"], found["same"]) == ("demo", "demo", True)


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


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "generation_config.json"])
def test_broken_documents_are_compared_too(
    name: str, place: Place, mlxk: Run, demo_copy: Callable[[Path], Path]
) -> None:
    one, other = demo_copy(place.work / "one"), demo_copy(place.work / "other")
    (one / name).write_text("{a")
    (other / name).write_text("{a")
    assert mlxk("diff", "./one", "./other", "--check").code == 0
    (other / name).write_text("{b")
    done = mlxk("diff", "./one", "./other", "--check")
    assert done.code == 1
    assert name in done.out


def test_a_missing_config_is_a_difference(place: Place, mlxk: Run, demo_copy: Callable[[Path], Path]) -> None:
    one, other = demo_copy(place.work / "one"), demo_copy(place.work / "other")
    (one / "config.json").write_text("{}")
    (other / "config.json").unlink()
    assert mlxk("diff", "./one", "./other", "--check").code == 1


def test_broken_links_are_differences(place: Place, mlxk: Run, demo_copy: Callable[[Path], Path]) -> None:
    for name in ("one", "other"):
        copy = demo_copy(place.work / name)
        (copy / "notes.txt").symlink_to("nowhere")
    done = mlxk("diff", "./one", "./other", "--check", "--json")
    assert (done.code, done.data["other"]["changed"]) == (1, ["notes.txt"])


@pytest.mark.parametrize("name", ["README.md", "tokenizer_config.json", "tokenizer.json"])
def test_what_may_not_be_read_is_a_difference(
    name: str, place: Place, shared_hub: Path, demo_copy: Callable[[Path], Path]
) -> None:
    one, other = demo_copy(shared_hub / "one"), demo_copy(shared_hub / "other")
    for copy in (one, other):
        (copy / name).touch()
        (copy / name).chmod(0)
    with without_root_rights():
        found = compared(place, one, other)
    assert not found.same
    assert name in (*found.tokenizer.changed, *found.other.changed)


def test_weights_that_may_not_be_read_are_an_error(
    place: Place, shared_hub: Path, demo_copy: Callable[[Path], Path]
) -> None:
    one, other = demo_copy(shared_hub / "one"), demo_copy(shared_hub / "other")
    (other / "model.safetensors").chmod(0)
    with (
        without_root_rights(),
        pytest.raises(MlxkError, match=r"model.safetensors of .* cannot be read") as told,
    ):
        compared(place, one, other)
    assert told.value.kind is ErrorKind.PERMISSION


def compared(place: Place, one: Path, other: Path) -> DiffResult:
    """The use case itself: the command line would first stumble over the rights of the test's own place."""
    diff = Diff(
        Catalog(HuggingFaceCache(None), WorkspaceHome(None, DiskIntegrity()), BundledModels()),
        SnapshotReader(), HeaderTensorReader(), RecordedDigests(), DigestVerifier(None),
    )  # fmt: skip
    return diff(DiffRequest(str(one), str(other)), ProgressRecorder())
