"""Plan, staging, copier and manifest together, from a snapshot in the cache to a clean workspace."""

from pathlib import Path

import pytest

from mlxk.adapters.staging import StagingArea
from mlxk.adapters.tree_copy import VolumeTreeCopier
from mlxk.adapters.workspace_integrity import DiskIntegrity
from mlxk.domain.clone_plan import (
    CloneObservation,
    ClonePlan,
    CloneRequest,
    CommitSource,
    TargetState,
    plan_clone,
)
from mlxk.domain.clone_steps import (
    Assess,
    CopyTree,
    CreateStaging,
    DiscardCopy,
    DiscardStaging,
    Publish,
    RemoveStaging,
    Step,
    WriteManifest,
)
from mlxk.domain.manifest import Operation, Origin
from mlxk.domain.model import Cleanliness
from mlxk.domain.staging import Sentinel, StagingState, staging_path, staging_state
from tests.contract.tree_copy.conftest import Recorder, make_snapshot

REPO, COMMIT = "org/name", "a" * 40


class Disk:
    """One machine: carries out plans for one target, with the real adapters."""

    def __init__(self, snapshot: Path, target: Path) -> None:
        self.snapshot, self.target = snapshot, str(target)
        self.staging = staging_path(REPO, self.target)
        self.area = StagingArea()

    def plan(self) -> ClonePlan:
        found = self.area.look(self.staging)
        copy_there = Path(self.staging, "workspace").exists()
        if isinstance(found, Sentinel):
            found = staging_state(found, commit=COMMIT, download_healthy=True, copy_there=copy_there)
        target = TargetState.NOT_EMPTY if Path(self.target).exists() else TargetState.ABSENT
        seen = CloneObservation(target, found, self.staging, COMMIT, CommitSource.HUB, str(self.snapshot))
        plan = plan_clone(CloneRequest(REPO, self.target), seen)
        assert isinstance(plan, ClonePlan)
        return plan

    def run(self, plan: ClonePlan, *, steps: int | None = None) -> None:
        with self.area.claimed(self.staging):
            for step in plan.steps[:steps]:
                self.do(step)

    def do(self, step: Step) -> None:
        match step:
            case CreateStaging(path):
                self.area.create(path, REPO, self.target)
            case DiscardStaging(path):
                self.area.discard(path)
            case DiscardCopy(path):
                self.area.clear(path)
            case CopyTree(source, target):
                VolumeTreeCopier.for_this_system().copy(Path(source), Path(target), progress=Recorder())
            case WriteManifest(path, repo, commit):
                DiskIntegrity().found(Path(path), Origin(repo, commit, Operation.CLONE))
            case Publish(_, target):
                self.area.publish(self.staging, target)
            case RemoveStaging(path):
                self.area.remove(path)
            case Assess():
                pass
            case _:
                raise AssertionError(step)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    (tmp_path / "home").mkdir()
    (tmp_path / "cache").mkdir()
    snapshot = make_snapshot(tmp_path / "cache")
    weights = (snapshot / "model.safetensors").resolve()
    weights.chmod(0o644)
    weights.write_bytes((2).to_bytes(8, "little") + b"{}")
    return Disk(snapshot, tmp_path / "home" / "name")


def assert_cloned(disk: Disk) -> None:
    target = Path(disk.target)
    assert [entry.name for entry in target.parent.iterdir()] == ["name"]
    assert (target / "config.json").read_bytes() == (disk.snapshot / "config.json").read_bytes()
    state = DiskIntegrity().state(target)
    assert (state.origin, state.cleanliness) == (REPO, Cleanliness.CLEAN)


def test_from_the_cache_to_a_clean_workspace(disk: Disk) -> None:
    disk.run(disk.plan())

    assert_cloned(disk)
    assert disk.area.look(disk.staging) is StagingState.NONE


def test_a_damaged_model_is_cloned_too(disk: Disk) -> None:
    (disk.snapshot / "model.safetensors").resolve().write_bytes(b"damaged")

    disk.run(disk.plan())
    state = DiskIntegrity().state(Path(disk.target))
    assert (state.origin, state.cleanliness) == (REPO, Cleanliness.UNKNOWN)


@pytest.mark.parametrize("steps", range(6))
def test_stopped_between_steps_the_same_again_finishes(disk: Disk, steps: int) -> None:
    disk.run(disk.plan(), steps=steps)
    disk.run(disk.plan())

    assert_cloned(disk)
