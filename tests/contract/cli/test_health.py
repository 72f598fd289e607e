"""`mlxk health`, over a whole cache of models with one thing wrong each."""

import pytest

from mlxk.domain.findings import Remedy
from tests.contract.cli.conftest import Run
from tests.contract.cli.terminal import Terminal
from tests.contract.damaged_models import (
    DAMAGED,
    healthy_model,
    healthy_sharded_model,
    healthy_vision_model,
)
from tests.isolation import Place

REASONS = {
    "config_missing": "config.json missing",
    "config_invalid": "config.json contains invalid JSON",
    "no_weights": "No model weights found",
    "shard_missing": "Missing weight shards: model-00002-of-00002.safetensors",
    "shard_empty": "Empty weight shards: model-00002-of-00002.safetensors",
    "lfs_pointer": "LFS pointers instead of files: model.safetensors",
    "index_absent_for_shards": "Safetensors index missing for sharded model",
}
"""What scripts have known since MLX-Knife 2.x."""


@pytest.fixture
def zoo(place: Place) -> Place:
    """Three good models, and one for everything that can be wrong."""
    healthy_model(place.hub, "good/plain")
    healthy_sharded_model(place.hub, "good/sharded")
    healthy_vision_model(place.hub, "good/vision")
    for code, damage in DAMAGED.items():
        damage(place.hub, f"bad/{code}")
    return place


def test_every_damaged_model_is_named_with_its_code_and_the_good_are_left_alone(
    zoo: Place, mlxk: Run
) -> None:
    done = mlxk("health", "--json")
    assert done.code == 0
    data = done.data
    assert [(model["name"], model["reason"]) for model in data["healthy"]] == [
        ("good/plain", "Model is healthy"),
        ("good/sharded", "Multi-file model complete"),
        ("good/vision", "Model is healthy"),
        ("demo", "Model is healthy"),
    ]
    assert sorted(model["name"] for model in data["unhealthy"]) == sorted(f"bad/{code}" for code in DAMAGED)
    assert data["summary"] == {
        "total": len(DAMAGED) + 4,
        "healthy_count": 4,
        "unhealthy_count": len(DAMAGED),
    }
    findings = {entry["name"]: entry["findings"] for entry in data["details"]}
    for code in DAMAGED:
        errors = [found["code"] for found in findings[f"bad/{code}"] if found["severity"] == "error"]
        assert code in errors, (code, errors)
        assert all(found["remedy"] for found in findings[f"bad/{code}"])
    reasons = {model["name"].removeprefix("bad/"): model["reason"] for model in data["unhealthy"]}
    assert {code: reasons[code] for code in REASONS} == REASONS


def test_list_and_show_say_the_same(zoo: Place, mlxk: Run) -> None:
    unhealthy = {model["name"]: model["reason"] for model in mlxk("health", "--json").data["unhealthy"]}
    listed = mlxk("list", "--json").data["models"]
    assert {model["name"]: model["reason"] for model in listed if model["health"] == "unhealthy"} == unhealthy
    for name in list(unhealthy)[:5]:
        shown = mlxk("show", name, "--json").data
        assert shown["model"]["reason"] == unhealthy[name]
        assert shown["findings"]


def test_people_read_what_is_wrong_and_what_helps(zoo: Place, mlxk: Run) -> None:
    done = mlxk("health", "shard_missing")
    assert done.out.splitlines() == [
        "UNHEALTHY  bad/shard_missing",
        "  Missing weight shards: model-00002-of-00002.safetensors",
        f"    {Remedy.FETCH_AGAIN.value} [shard_missing]",
        "1 checked: 0 healthy, 1 unhealthy",
    ]
    assert done.err == ""
    everything = mlxk("health").out.splitlines()
    assert everything[-1] == f"{len(DAMAGED) + 4} checked: 4 healthy, {len(DAMAGED)} unhealthy"
    states = [line.split()[0] for line in everything if not line.startswith(" ")]
    assert states.index("UNHEALTHY") == 4
    assert "healthy" not in states[4:]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["health"], 0),
        (["health", "--check"], 1),
        (["health", "--check", "--json"], 1),
        (["health", "good", "--check"], 0),
        (["health", "bad/no_weights", "--check"], 1),
        (["health", "nothing"], 1),
        (["health", "./nothing"], 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_only_check_turns_damage_into_an_exit_code(
    zoo: Place, mlxk: Run, arguments: list[str], code: int
) -> None:
    assert mlxk(*arguments).code == code


def test_check_with_json_still_succeeds_in_the_envelope(zoo: Place, mlxk: Run) -> None:
    done = mlxk("health", "--check", "--json")
    assert done.envelope()["status"] == "success"


def test_verify_finds_a_flipped_bit_and_remembers_what_it_hashed(place: Place, mlxk: Run) -> None:
    healthy_model(place.hub, "org/good")
    blob = healthy_model(place.hub, "org/flipped").blob("model.safetensors")
    content = bytearray(blob.read_bytes())
    content[-1] ^= 1
    blob.write_bytes(content)
    assert mlxk("health", "org", "--check").code == 0

    first = mlxk("health", "org", "--verify", "--check", "--json")
    assert first.code == 1
    (damaged,) = first.data["unhealthy"]
    assert damaged["name"] == "org/flipped"
    assert damaged["reason"].startswith("model.safetensors is damaged")
    details = {entry["name"]: entry for entry in first.data["details"]}
    assert [found["code"] for found in details["org/flipped"]["findings"]] == ["digest_mismatch"]
    assert details["org/good"]["findings"] == []
    verification = details["org/good"]["verification"]
    assert (verification["files_checked"], verification["files_remembered"]) == (5, 0)
    assert verification["files_without_digest"] == 0

    again = mlxk("health", "org", "--verify", "--check", "--json")
    assert again.code == 1
    assert [entry["verification"]["files_remembered"] for entry in again.data["details"]] == [5, 5]
    assert again.data["unhealthy"] == first.data["unhealthy"]

    content[-1] ^= 1
    blob.write_bytes(content)
    assert mlxk("health", "org", "--verify", "--check").code == 0


def test_verify_says_what_it_could_not_verify(place: Place, mlxk: Run) -> None:
    healthy_model(place.hub, "org/good")
    done = mlxk("health", "--verify", "-v")
    assert done.out.splitlines()[0].startswith("healthy    org/good (verified: 5 files, ")
    assert done.out.splitlines()[1] == "healthy    demo (not verified: nothing states its files' digests)"
    assert done.err == ""


def test_verify_on_a_terminal_takes_its_bar_away(place: Place) -> None:
    healthy_model(place.hub, "org/one")
    healthy_model(place.hub, "org/two")
    with Terminal(place, ["health", "org", "--verify"]) as terminal:
        assert terminal.wait() == 0
    assert terminal.output.count("\x1b[?25l") == terminal.output.count("\x1b[?25h") == 2
    assert "2 checked: 2 healthy, 0 unhealthy" in terminal.output


def test_nothing_here_is_healthy(place: Place, mlxk: Run) -> None:
    done = mlxk("health", "--json")
    assert done.data["summary"] == {"total": 1, "healthy_count": 1, "unhealthy_count": 0}
