from dataclasses import replace

import pytest

from mlxk.app.inspection import Inspector, view
from mlxk.app.results import ModelView, QuantizationView
from mlxk.domain.compatibility import RuntimePackage, Runtimes
from mlxk.domain.model import (
    Cleanliness,
    FileFact,
    JsonObject,
    LinkState,
    ModelRecord,
    SnapshotFacts,
    Source,
    WorkspaceState,
)
from tests.memory_ports import FixedHost, MemoryFactReader
from tests.unit.app.facts import MLX, facts_of, weights

COMMIT = "c" * 40
SECOND = 1_000_000_000
CACHED = ModelRecord("mlx-community/tiny", "/hub/tiny", Source.CACHE, COMMIT)
CONFIG: JsonObject = {
    "model_type": "llama",
    "max_position_embeddings": 8192,
    "quantization": {"bits": 4, "group_size": 32},
}


def seen(facts: SnapshotFacts, record: ModelRecord = CACHED, host: FixedHost | None = None) -> ModelView:
    inspector = Inspector(MemoryFactReader({record.path: facts}), host or FixedHost())
    return view(inspector(record))


def whole(record: ModelRecord = CACHED, config: JsonObject = CONFIG) -> SnapshotFacts:
    files = (replace(weights(), mtime_ns=1_700_000_000 * SECOND),)
    return facts_of(record.name, *files, config=config, card=MLX, chat_template=True)


def test_a_whole_model_of_the_cache_field_by_field() -> None:
    assert seen(whole()) == ModelView(
        name="mlx-community/tiny",
        hash=COMMIT,
        size_bytes=1010,
        last_modified="2023-11-14T22:13:20Z",
        framework="MLX",
        model_type="chat",
        capabilities=("text-generation", "chat"),
        health="healthy",
        runtime_compatible=True,
        reason=None,
        cached=True,
        origin=None,
        content_hash=None,
        hash_modified=None,
        clean=None,
        display_name=None,
        source="cache",
        context_length=8192,
        quantization=QuantizationView(bits=4, group_size=32),
    )


def test_a_workspace_brings_what_its_manifest_says() -> None:
    state = WorkspaceState(
        managed=True,
        origin="org/origin",
        content_hash=f"sha256:{'0' * 64}",
        hash_modified="2026-01-01T00:00:00Z",
        cleanliness=Cleanliness.CLEAN,
    )
    record = ModelRecord("/ws/x", "/ws/x", Source.WORKSPACE, display_name="./x", workspace=state)
    found = seen(whole(record), record)
    assert (found.name, found.hash, found.cached, found.source) == ("/ws/x", None, False, "workspace")
    assert (found.origin, found.content_hash, found.hash_modified, found.clean, found.display_name) == (
        "org/origin",
        f"sha256:{'0' * 64}",
        "2026-01-01T00:00:00Z",
        True,
        "./x",
    )


@pytest.mark.parametrize(
    ("cleanliness", "clean"),
    [(Cleanliness.CLEAN, True), (Cleanliness.MODIFIED, False), (Cleanliness.UNKNOWN, None)],
)
def test_clean_is_yes_no_or_unknown(cleanliness: Cleanliness, clean: bool | None) -> None:
    state = WorkspaceState(managed=True, cleanliness=cleanliness)
    record = ModelRecord("/ws/x", "/ws/x", Source.WORKSPACE, workspace=state)
    assert seen(whole(record), record).clean is clean


def test_the_bundled_model_is_not_cached() -> None:
    record = ModelRecord("demo", "/package/demo", Source.BUNDLED)
    found = seen(whole(record), record)
    assert (found.source, found.cached, found.hash, found.clean) == ("bundled", False, None, None)


def test_damage_beats_what_would_not_run_anyway() -> None:
    facts = facts_of("org/x", weights(missing=7), config={"model_type": "no-such-family"}, card=MLX)
    found = seen(facts)
    assert (found.health, found.runtime_compatible) == ("unhealthy", False)
    assert "7 bytes missing" in (found.reason or "")


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (facts_of("org/x", weights()), "PyTorch weights do not run on MLX"),
        (facts_of("org/x", FileFact("x.gguf", 10)), "GGUF weights do not run on MLX"),
        (whole(config={"model_type": "no-such-family"}), "Model type 'no-such-family' is not supported"),
    ],
)
def test_a_healthy_model_that_does_not_run_says_why(facts: SnapshotFacts, reason: str) -> None:
    found = seen(facts)
    assert (found.health, found.runtime_compatible, found.usable) == ("healthy", False, False)
    assert reason in (found.reason or "")


def test_without_a_runtime_nothing_runs() -> None:
    found = seen(whole(), host=FixedHost(runtimes=Runtimes(None)))
    assert found.reason == "mlx-lm is not installed: pip install mlx-lm"


def test_a_newer_runtime_may_know_more() -> None:
    newer = Runtimes(RuntimePackage("mlx-lm", "9", frozenset({"tomorrow"})))
    assert seen(whole(config={"model_type": "tomorrow"}), host=FixedHost(runtimes=newer)).runtime_compatible


def test_runtimes_are_asked_once_for_many_models() -> None:
    host = FixedHost()
    inspector = Inspector(MemoryFactReader({CACHED.path: whole()}), host)
    for _ in range(3):
        inspector(CACHED)
    assert host.asked_for_runtimes == 1


def test_a_model_that_cannot_be_looked_into_is_unhealthy() -> None:
    record = replace(CACHED, problem="no snapshot: its download was interrupted")
    found = view(Inspector(MemoryFactReader({}), FixedHost())(record))
    assert (found.health, found.size_bytes, found.framework) == ("unhealthy", 0, "MLX")
    assert found.reason == "no snapshot: its download was interrupted"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59Z"),
        (2**40, "9999-12-31T23:59:59Z"),
        (-(2**40), "0001-01-01T00:00:00Z"),
    ],
)
def test_no_file_time_is_too_strange(seconds: int, shown: str) -> None:
    facts = facts_of("org/x", replace(weights(), mtime_ns=seconds * SECOND))
    facts = replace(facts, files=facts.files[-1:])
    assert seen(facts).last_modified == shown


def test_a_blob_under_two_names_counts_once_and_a_broken_link_not_at_all() -> None:
    files = (
        FileFact("a.bin", 100, blob="f" * 64, link=LinkState.INSIDE),
        FileFact("b.bin", 100, blob="f" * 64, link=LinkState.INSIDE),
        FileFact("c.bin", 0, link=LinkState.BROKEN),
    )
    assert seen(SnapshotFacts("org/x", files)).size_bytes == 100
