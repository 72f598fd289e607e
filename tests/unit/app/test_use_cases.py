"""List, show and health, over models in memory."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from mlxk.adapters.workspace_integrity import DiskIntegrity
from mlxk.app.catalog import Catalog
from mlxk.app.health import CheckHealth, HealthRequest
from mlxk.app.inspection import Inspector
from mlxk.app.list_models import ListModels
from mlxk.app.results import FileEntry, HealthDetails, HealthSummary, MetadataView, VerificationView
from mlxk.app.show import Show, ShowRequest
from mlxk.domain.errors import ModelNotFound
from mlxk.domain.model import FileFact, JsonObject, LinkState, SnapshotFacts
from mlxk.domain.verification import DigestKind
from tests.memory_ports import (
    FixedHost,
    MemoryFactReader,
    MemoryModelStore,
    MemoryVerifier,
    MemoryWorkspaceStore,
    ProgressRecorder,
    Repository,
    digest_of,
)
from tests.unit.app.facts import MLX, facts_of, weights

COMMIT = "c" * 40
WEIGHTS = b"w" * 1000
CONFIG: JsonObject = {
    "model_type": "llama",
    "vocab_size": 32000,
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "max_position_embeddings": 2048,
    "quantization": {"bits": 8, "group_size": 64},
}


def blob(content: bytes, kind: DigestKind = DigestKind.SHA256) -> str:
    return digest_of(content, kind).value


def good(name: str) -> SnapshotFacts:
    """A whole model: weights with a digest, a config without."""
    linked = replace(weights(), link=LinkState.INSIDE, blob=blob(WEIGHTS))
    return facts_of(name, linked, config=CONFIG, card=MLX, chat_template=True)


class Machine:
    """Some cached models, and the use cases over them."""

    def __init__(self, models: Mapping[str, SnapshotFacts], contents: Mapping[str, bytes]) -> None:
        store = MemoryModelStore(*(Repository(name, [COMMIT], {"main": COMMIT}) for name in models))
        facts = {record.path: models[record.name] for record in store.records()}
        catalog = Catalog(store, MemoryWorkspaceStore(), MemoryModelStore())
        inspector = Inspector(MemoryFactReader(facts), FixedHost())
        self.progress = ProgressRecorder()
        self.list_models = ListModels(catalog, inspector)
        integrity = DiskIntegrity()  # all models are in the cache, so that it has nothing to look at
        self.show = Show(catalog, inspector, integrity)
        self.check_health = CheckHealth(catalog, inspector, MemoryVerifier(contents), integrity)


@pytest.fixture
def machine() -> Machine:
    models = {
        "org/good": good("org/good"),
        "org/cut": facts_of("org/cut", weights(missing=3), card=MLX),
        "org/torch": facts_of("org/torch", weights()),
    }
    return Machine(models, {"model.safetensors": WEIGHTS})


# list


def test_list_has_every_model_whatever_its_state(machine: Machine) -> None:
    result = machine.list_models()
    assert [model.name for model in result.models] == ["org/cut", "org/good", "org/torch"]
    assert [model.usable for model in result.models] == [False, True, False]
    assert result.count == 3


def test_list_filters_by_pattern(machine: Machine) -> None:
    assert [model.name for model in machine.list_models("GOOD").models] == ["org/good"]
    assert machine.list_models("nothing").count == 0


# show


def test_show_tells_what_the_config_says(machine: Machine) -> None:
    result = machine.show(ShowRequest("good"))
    assert result.metadata == MetadataView(
        model_type="llama",
        quantization="8bit",
        context_length=2048,
        vocab_size=32000,
        hidden_size=64,
        num_attention_heads=4,
        num_hidden_layers=2,
    )
    assert (result.findings, result.files, result.config) == ((), None, None)
    assert result.model == machine.list_models("good").models[0]


def test_show_lists_files_and_config_when_asked(machine: Machine) -> None:
    result = machine.show(ShowRequest("good", files=True, config=True))
    assert result.files == (
        FileEntry("config.json", "10B", "config", 10),
        FileEntry("model.safetensors", "1.0KB", "weights", 1000),
    )
    assert result.config == CONFIG


def test_show_has_the_findings_of_a_damaged_model(machine: Machine) -> None:
    (finding,) = machine.show(ShowRequest("cut")).findings
    assert (finding.code, finding.severity, finding.file) == (
        "safetensors_truncated",
        "error",
        "model.safetensors",
    )
    assert finding.remedy.startswith("download the file again")
    assert "mlxk health NAME --fix" in finding.remedy


def test_a_model_without_config_has_no_metadata() -> None:
    machine = Machine({"org/x": facts_of("org/x", config=None)}, {})
    result = machine.show(ShowRequest("x", config=True))
    assert (result.metadata, result.config) == (None, {})


def test_numbers_in_a_config_that_are_none_are_left_out() -> None:
    odd: JsonObject = {"model_type": 7, "vocab_size": "many", "hidden_size": True, "quantization": "4bit"}
    machine = Machine({"org/x": facts_of("org/x", config=odd)}, {})
    metadata = machine.show(ShowRequest("x")).metadata
    assert metadata == MetadataView(None, None, None, None, None, None, None)


# health


def test_health_separates_the_whole_from_the_damaged(machine: Machine) -> None:
    result = machine.check_health(HealthRequest(), machine.progress)
    assert [(model.name, model.status, model.reason) for model in result.healthy] == [
        ("org/good", "healthy", "Model is healthy"),
        ("org/torch", "healthy", "Model is healthy"),
    ]
    ((name, reason),) = [(model.name, model.reason) for model in result.unhealthy]
    assert (name, reason) == ("org/cut", "model.safetensors is cut short: 3 bytes missing")
    assert result.summary == HealthSummary(total=3, healthy_count=2, unhealthy_count=1)
    assert [entry.name for entry in result.details] == ["org/cut", "org/good", "org/torch"]
    assert result.details[1] == HealthDetails("org/good", (), None)
    assert machine.progress.started == []


def test_health_of_a_pattern_that_matches_nothing_is_an_error(machine: Machine) -> None:
    with pytest.raises(ModelNotFound) as caught:
        machine.check_health(HealthRequest("nothing"), machine.progress)
    assert caught.value.hint
    empty = Machine({}, {}).check_health(HealthRequest(), machine.progress)
    assert empty.summary == HealthSummary(0, 0, 0)


def test_verify_hashes_and_then_remembers(machine: Machine) -> None:
    def verification() -> VerificationView | None:
        (details,) = machine.check_health(HealthRequest("good", verify=True), machine.progress).details
        return details.verification

    assert verification() == VerificationView(
        files_checked=1,
        files_remembered=0,
        files_without_digest=1,
        bytes_checked=1000,
        unverified=("config.json",),
    )
    assert verification() == VerificationView(
        files_checked=1,
        files_remembered=1,
        files_without_digest=1,
        bytes_checked=1000,
        unverified=("config.json",),
    )


def test_verify_draws_one_bar_per_model(machine: Machine) -> None:
    machine.check_health(HealthRequest("good", verify=True), machine.progress)
    assert len(machine.progress.started) == machine.progress.finished == 1


def test_verify_finds_what_a_quick_look_cannot() -> None:
    machine = Machine({"org/good": good("org/good")}, {"model.safetensors": b"W" + WEIGHTS[1:]})
    assert machine.check_health(HealthRequest(), machine.progress).unhealthy == ()
    result = machine.check_health(HealthRequest(verify=True), machine.progress)
    (damaged,) = result.unhealthy
    assert damaged.reason.startswith("model.safetensors is damaged")
    assert [finding.code for finding in result.details[0].findings] == ["digest_mismatch"]


def test_verify_says_when_nothing_states_a_digest() -> None:
    machine = Machine({"org/flat": facts_of("org/flat", config=CONFIG)}, {})
    (details,) = machine.check_health(HealthRequest(verify=True), machine.progress).details
    assert details.verification == VerificationView(0, 0, 2, 0, ("config.json", "model.safetensors"))


def test_verify_counts_a_shared_blob_once_and_a_broken_link_not() -> None:
    files = (
        FileFact("a.bin", 1000, link=LinkState.INSIDE, blob=blob(WEIGHTS)),
        FileFact("b.bin", 1000, link=LinkState.INSIDE, blob=blob(WEIGHTS)),
        FileFact("c.bin", 0, link=LinkState.BROKEN, blob="e" * 64),
    )
    machine = Machine({"org/x": SnapshotFacts("org/x", files)}, {"a.bin": WEIGHTS})
    (details,) = machine.check_health(HealthRequest(verify=True), machine.progress).details
    assert details.verification == VerificationView(1, 0, 0, 1000)
