"""`mlxk health --fix`: only what is damaged is fetched again."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.cli.conftest import Run
from tests.contract.damaged_models import SHARDS, CachedModel, healthy_model, healthy_sharded_model
from tests.contract.hub_server import Fault, HubServer, Repository, Trouble
from tests.isolation import Place

NAME = "org/model"
Publish = Callable[..., Repository]


@pytest.fixture
def model(server: HubServer, place: Place, publish: Publish) -> CachedModel:
    """A whole model, here and on the Hub."""
    here = healthy_sharded_model(place.hub, NAME)
    commit = publish(here, NAME).refs["main"]
    return CachedModel(here.repository, commit)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def downloaded(server: HubServer) -> list[str]:
    return sorted(request.path.rpartition("/")[2] for request in server.traffic.downloads())


def test_a_whole_model_needs_nothing(model: CachedModel, server: HubServer, mlxk: Run) -> None:
    done = mlxk("health", NAME, "--fix", "--json")
    assert done.code == 0
    assert "fixes" not in done.data
    assert done.data["details"][0]["verification"]["files_checked"] > 0
    assert server.traffic.all() == []


def test_a_flipped_bit_costs_one_file(model: CachedModel, server: HubServer, mlxk: Run) -> None:
    flip(model.blob(SHARDS[1]))
    size = model.blob(SHARDS[1]).stat().st_size
    assert mlxk("health", NAME, "--check").code == 0, "not to be seen without hashing"
    done = mlxk("health", NAME, "--fix", "--json")
    assert done.code == 0
    assert done.data["fixes"] == [
        {
            "name": NAME,
            "status": "fixed",
            "files": [SHARDS[1]],
            "bytes_downloaded": size,
            "message": done.data["fixes"][0]["message"],
        }
    ]
    assert done.data["summary"] == {"total": 1, "healthy_count": 1, "unhealthy_count": 0}
    assert downloaded(server) == [SHARDS[1]]
    assert mlxk("health", NAME, "--verify", "--check").code == 0


def _no_blob(model: CachedModel) -> None:
    model.blob("tokenizer.json").unlink()


def _no_link(model: CachedModel) -> None:
    (model.snapshot / SHARDS[0]).unlink()


def _cut(model: CachedModel) -> None:
    blob = model.blob(SHARDS[0])
    blob.write_bytes(blob.read_bytes()[:-7])


def _empty(model: CachedModel) -> None:
    model.blob(SHARDS[0]).write_bytes(b"")


def _pointer(model: CachedModel) -> None:
    model.blob(SHARDS[0]).write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")


@pytest.mark.parametrize("damage", [_no_blob, _no_link, _cut, _empty, _pointer])
def test_damage(model: CachedModel, mlxk: Run, damage: Callable[[CachedModel], None]) -> None:
    damage(model)
    assert mlxk("health", NAME, "--check").code == 1
    done = mlxk("health", NAME, "--fix")
    assert done.code == 0, done.out
    assert f"fixed      {NAME}: " in done.out
    assert mlxk("health", NAME, "--verify", "--check").code == 0


def test_a_file_that_was_put_there_by_hand_is_kept(model: CachedModel, mlxk: Run) -> None:
    mine = model.snapshot / "config.json"
    mine.unlink()
    mine.write_text("{")
    done = mlxk("health", NAME, "--fix", "--json")
    assert (done.code, done.data["fixes"][0]["status"]) == (1, "not_fixed")
    assert all(word in done.data["fixes"][0]["message"] for word in ("config.json", "mlxk clone"))
    assert mine.read_text() == "{"


def test_an_exact_name_means_that_model_only(
    model: CachedModel, server: HubServer, place: Place, publish: Publish, mlxk: Run
) -> None:
    sibling = healthy_model(place.hub, f"{NAME}-8bit")
    commit = publish(sibling, f"{NAME}-8bit").refs["main"]
    for damaged in (model, CachedModel(sibling.repository, commit)):
        damaged.blob("config.json").unlink()
    done = mlxk("health", NAME, "--fix", "--json")
    assert (done.code, [fix["name"] for fix in done.data["fixes"]]) == (0, [NAME])
    assert done.data["summary"]["total"] == 1
    assert mlxk("health", f"{NAME}-8bit", "--check").code == 1


def test_without_a_pattern_all_that_look_unhealthy(
    model: CachedModel, server: HubServer, place: Place, publish: Publish, mlxk: Run
) -> None:
    other = healthy_model(place.hub, "org/other")
    commit = publish(other, "org/other").refs["main"]
    _no_blob(model)
    CachedModel(other.repository, commit).blob("config.json").unlink()
    done = mlxk("health", "--fix", "--json")
    assert done.code == 0
    assert [fix["name"] for fix in done.data["fixes"]] == [NAME, "org/other"]
    assert downloaded(server) == ["config.json", "tokenizer.json"]


def test_what_no_download_repairs_is_said(
    model: CachedModel, server: HubServer, place: Place, mlxk: Run
) -> None:
    shutil.copytree(model.snapshot, place.workspaces / "mine")
    (place.workspaces / "mine/config.json").unlink()
    alone = healthy_model(place.hub, "org/gone-from-hub")
    alone.blob("config.json").unlink()
    begun = place.hub / "models--org--begun/blobs"
    begun.mkdir(parents=True)
    (begun / "x").touch()
    done = mlxk("health", "--fix", "--json")
    assert done.code == 1
    fixes = {Path(fix["name"]).name: fix for fix in done.data["fixes"]}
    assert {fix["status"] for fix in fixes.values()} == {"not_fixed"}
    assert "workspace" in fixes["mine"]["message"]
    assert "no public model" in fixes["gone-from-hub"]["message"]
    assert "mlxk pull org/begun" in fixes["begun"]["message"]


def test_what_the_hub_itself_has_wrong_stays_wrong(
    server: HubServer, place: Place, publish: Publish, mlxk: Run
) -> None:
    broken = healthy_model(place.hub, NAME)
    broken.add("config.json", b"{")
    publish(broken, NAME)
    done = mlxk("health", NAME, "--fix")
    assert done.code == 1
    assert f"NOT FIXED  {NAME}: " in done.out
    assert "did not make it whole" in done.out
    assert downloaded(server) == []


def test_no_network_is_an_error(model: CachedModel, place: Place, process: Run) -> None:
    _no_blob(model)
    done = process("health", NAME, "--fix", "--json", environ={"HF_ENDPOINT": "http://127.0.0.1:9"})
    assert (done.code, done.error["type"]) == (2, "NetworkError")


def test_wrong_bytes_do_not_replace_anything(model: CachedModel, server: HubServer, mlxk: Run) -> None:
    flip(model.blob(SHARDS[0]))
    damaged = model.blob(SHARDS[0]).read_bytes()
    server.faults.add(Fault(SHARDS[0], Trouble.WRONG_BYTES, times=9))
    done = mlxk("health", NAME, "--fix", "--json")
    assert done.code == 1
    assert done.data["fixes"][0]["status"] == "not_fixed"
    assert model.blob(SHARDS[0]).read_bytes() == damaged
    server.faults.clear()
    assert mlxk("health", NAME, "--fix").code == 0


def test_progress_as_json_lines_while_verifying_and_fetching(model: CachedModel, mlxk: Run) -> None:
    flip(model.blob(SHARDS[0]))
    done = mlxk("health", NAME, "--fix", "--json", "--progress")
    assert '"phase": "verify"' in done.err
    assert '"phase": "download"' in done.err
