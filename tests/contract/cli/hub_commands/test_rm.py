"""`mlxk rm`: what goes, what stays, and that nothing outside the model's own directory is ever touched."""

import os
import shlex
import shutil
from pathlib import Path

import pytest
from huggingface_hub import scan_cache_dir

from tests.contract.cache.conftest import without_root_rights
from tests.contract.cli.conftest import Run
from tests.contract.cli.terminal import Terminal
from tests.contract.damaged_models import CachedModel, healthy_model
from tests.isolation import Place

NAME = "org/model"
OLD, NEW = "a" * 40, "b" * 40


@pytest.fixture
def two(place: Place) -> CachedModel:
    """A model with two revisions that share all but one file; `main` is the newer."""
    older = healthy_model(place.hub, NAME, commit=OLD)
    older.refer("refs/pr/1", OLD)
    (older.repository / "trees").mkdir()
    (older.repository / f"trees/{OLD}.json").write_text("{}")
    newer = healthy_model(place.hub, NAME, commit=NEW)
    newer.add("README.md", b"# Newer")
    newer.refer("main", NEW)
    return newer


def tree(root: Path) -> dict[str, bytes | str]:
    """Every file of a directory by path, links by what they say."""
    return {
        os.path.relpath(path, root): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def freed_by_the_library(hub: Path, *commits: str) -> int:
    return scan_cache_dir(hub).delete_revisions(*commits).expected_freed_size


# What goes


@pytest.mark.parametrize("revision", [OLD, OLD[:8], "refs/pr/1", NEW, "main"])
def test_one_revision_goes_as_the_library_has_it(
    two: CachedModel, place: Place, mlxk: Run, revision: str
) -> None:
    commit = NEW if revision in (NEW, "main") else OLD
    copy = place.root / "copy"
    shutil.copytree(place.hub, copy, symlinks=True)
    strategy = scan_cache_dir(copy).delete_revisions(commit)
    strategy.execute()
    shutil.rmtree(copy / "models--org--model/trees")

    dry = mlxk("rm", f"{NAME}@{revision}", "--dry-run", "--json").data
    done = mlxk("rm", f"{NAME}@{revision}", "--force", "--json").data
    assert (dry["action"], done["action"]) == ("would_delete", "deleted")
    assert dry["bytes_freed"] == done["bytes_freed"] == strategy.expected_freed_size > 0
    assert done["revisions"] == [commit]
    shutil.rmtree(place.hub / "models--org--model/trees")
    assert tree(place.hub) == tree(copy)
    assert mlxk("health", NAME, "--verify", "--check").code == 0
    assert not scan_cache_dir(place.hub).warnings


def test_the_whole_model_goes_with_its_directory_and_locks(two: CachedModel, place: Place, mlxk: Run) -> None:
    locks = place.hub / ".locks/models--org--model"
    locks.mkdir(parents=True)
    (locks / "free.lock").touch()
    other = healthy_model(place.hub, "org/other")
    before = tree(other.repository)
    freed = freed_by_the_library(place.hub, OLD, NEW)
    done = mlxk("rm", NAME, "--force", "--json").data
    assert done == {
        "model": NAME,
        "action": "deleted",
        "message": done["message"],
        "bytes_freed": freed,
        "revisions": [OLD, NEW],
    }
    assert not two.repository.exists()
    assert not locks.exists()
    assert tree(other.repository) == before


def test_the_last_revision_is_the_whole_model(place: Place, mlxk: Run) -> None:
    model = healthy_model(place.hub, NAME)
    assert mlxk("rm", f"{NAME}@main", "--force").code == 0
    assert not model.repository.exists()


def test_unfinished_downloads_count_and_go(place: Place, mlxk: Run) -> None:
    model = healthy_model(place.hub, NAME)
    size = freed_by_the_library(place.hub, model.commit)
    (model.repository / "blobs" / f"{'c' * 64}.mlxk-partial").write_bytes(b"x" * 1000)
    assert mlxk("rm", NAME, "--force", "--json").data["bytes_freed"] == size + 1000


def test_shared_contents_stay_while_another_model_needs_them(place: Place, mlxk: Run) -> None:
    from huggingface_hub.utils import _shared_blobs

    assert _shared_blobs._ensure_shared_blobs_dir(place.hub)
    digest = "d" * 64
    models = [healthy_model(place.hub, name) for name in ("org/one", "org/two")]
    for model in models:
        blob = model.blob("model.safetensors")
        assert _shared_blobs.publish_blob_to_shared_store(
            blob_path=str(blob), xet_hash=digest, cache_dir=place.hub, expected_size=blob.stat().st_size
        ) or _shared_blobs.try_link_from_shared_store(
            blob_path=str(blob), xet_hash=digest, cache_dir=place.hub, expected_size=blob.stat().st_size
        )
    stored = _shared_blobs.shared_blob_path(place.hub, digest)
    weights = stored.stat().st_size
    first, second = (mlxk("rm", name, "--force", "--json").data for name in ("org/one", "org/two"))
    assert second["bytes_freed"] == first["bytes_freed"] + weights
    assert not stored.exists()


# Damage is no obstacle


def test_what_the_library_does_not_see_goes_too(place: Place, mlxk: Run) -> None:
    model = healthy_model(place.hub, NAME)
    model.blob("config.json").unlink()
    model.refer("gone", "e" * 40)
    (model.snapshot / "loop").symlink_to("loop")
    assert mlxk("rm", NAME, "--force").code == 0
    assert list(place.hub.glob("models--*")) == []


@pytest.mark.parametrize("part", ["snapshots", "blobs", "refs", "snapshots blobs", "snapshots blobs refs"])
def test_a_model_deleted_in_part_can_be_deleted(place: Place, mlxk: Run, part: str) -> None:
    model = healthy_model(place.hub, NAME)
    for name in part.split():
        shutil.rmtree(model.repository / name)
    assert mlxk("rm", NAME, "--force").code == 0
    assert not model.repository.exists()
    assert mlxk("rm", NAME, "--force", "--json").error["type"] == "model_not_found"


def test_odd_directories_are_handled_by_their_real_name(place: Place, mlxk: Run) -> None:
    model = healthy_model(place.hub, NAME)
    odd = place.hub / "models--org--a---b"
    model.repository.rename(odd)
    assert mlxk("rm", "org/a/-b", "--force").code == 0
    assert not odd.exists()


def test_a_revision_whose_snapshot_is_gone_leaves_no_name(two: CachedModel, place: Place, mlxk: Run) -> None:
    shutil.rmtree(two.repository / f"snapshots/{OLD}")
    assert mlxk("rm", f"{NAME}@refs/pr/1", "--force").code == 0
    assert not (two.repository / "refs/refs").exists()
    assert mlxk("health", NAME, "--check").code == 0


# Which one is meant


def test_a_part_of_a_name_deletes_nothing_without_a_person(place: Place, mlxk: Run) -> None:
    """`rm org/a --force` twice must not take `org/a-8bit` the second time."""
    for name in ("org/a", "org/a-8bit"):
        healthy_model(place.hub, name)
    assert mlxk("rm", "org/a", "--force").code == 0
    for arguments in (["org/a", "--force"], ["org/a"], ["a-8", "--force"], ["a-8"], ["8BIT", "--json"]):
        done = mlxk("rm", *arguments, "--json")
        assert (done.code, done.error["type"], done.error["matches"]) == (
            1,
            "model_not_found",
            ["org/a-8bit"],
        )
    assert (place.hub / "models--org--a-8bit/snapshots").exists()


def test_a_part_of_a_name_is_asked_about_by_the_full_one(place: Place, mlxk: Run) -> None:
    model = healthy_model(place.hub, "org/a-8bit")
    assert "org/a-8bit" in mlxk("rm", "a-8", "--dry-run").out
    with Terminal(place, ["rm", "org/a-8"]) as terminal:
        assert terminal.wait() == 1
    with Terminal(place, ["rm", "a-8"]) as terminal:
        terminal.wait_for("Delete 'org/a-8bit'")
        terminal.type("y\n")
        assert terminal.wait() == 0
    assert not model.repository.exists()


@pytest.mark.parametrize("typed", ["ORG/Model", "org/model"])
def test_the_case_of_an_id_does_not_matter(place: Place, mlxk: Run, typed: str) -> None:
    model = healthy_model(place.hub, "Org/model")
    assert mlxk("rm", typed, "--force").code == 0
    assert not model.repository.exists()


def test_a_bare_name_is_one_of_mlx_community(place: Place, mlxk: Run) -> None:
    model = healthy_model(place.hub, "mlx-community/name")
    other = healthy_model(place.hub, "org/name")
    assert mlxk("rm", "name", "--force").code == 0
    assert (model.repository.exists(), other.repository.exists()) == (False, True)


# Nothing outside


def test_links_out_of_the_model_are_unlinked_and_never_followed(
    two: CachedModel, place: Place, mlxk: Run
) -> None:
    outside = place.root / "precious"
    outside.mkdir()
    (outside / "file").write_text("mine")
    shutil.copytree(outside, place.hub / "also-precious")
    (two.snapshot / "escape").symlink_to(outside / "file")
    (two.snapshot / "folder").symlink_to(outside)
    (two.snapshot / "neighbour").symlink_to("../../../also-precious/file")
    (two.repository / "blobs" / "f0").symlink_to(outside / "file")
    assert mlxk("rm", f"{NAME}@{NEW}", "--force").code == 0
    assert mlxk("rm", NAME, "--force").code == 0
    assert not two.repository.exists()
    assert (outside / "file").read_text() == "mine"
    assert (place.hub / "also-precious/file").read_text() == "mine"


@pytest.mark.parametrize("revision", ["", f"@{OLD}"])
def test_folders_of_the_model_that_are_links_are_not_entered(
    two: CachedModel, place: Place, mlxk: Run, revision: str
) -> None:
    outside = place.root / "volume"
    outside.mkdir()
    for name in ("blobs", "trees"):
        shutil.move(two.repository / name, outside / name)
        (two.repository / name).symlink_to(outside / name)
    (outside / "locks").mkdir()
    (outside / "locks" / f"{OLD}.lock").touch()
    (place.hub / ".locks").mkdir()
    (place.hub / ".locks/models--org--model").symlink_to(outside / "locks")
    before = tree(outside)
    done = mlxk("rm", f"{NAME}{revision}", "--force", "--json").data
    assert done["bytes_freed"] == 0
    assert tree(outside) == before
    assert (two.repository / "snapshots" / OLD).exists() is False


def test_of_a_model_that_is_a_link_only_the_link_goes(place: Place, mlxk: Run) -> None:
    model = healthy_model(place.root / "volume", NAME)
    link = place.hub / "models--org--model"
    link.symlink_to(model.repository)
    refused = mlxk("rm", f"{NAME}@main", "--force", "--json")
    assert (refused.code, refused.error["type"]) == (1, "ValidationError")
    done = mlxk("rm", NAME, "--force", "--json").data
    assert done["bytes_freed"] == 0
    assert "stays" in done["message"]
    assert not link.is_symlink()
    assert (model.snapshot / "config.json").exists()


def test_workspaces_and_the_bundled_model_are_not_deleted(place: Place, mlxk: Run) -> None:
    model = healthy_model(place.root / "elsewhere", NAME)
    shutil.copytree(model.snapshot, place.workspaces / "mine")
    for name in ("mine", str(place.workspaces / "mine"), "demo"):
        done = mlxk("rm", name, "--force", "--json")
        assert (done.code, done.error["type"]) == (1, "ValidationError")
    assert "rm -r" in mlxk("rm", "mine", "--force").err
    assert (place.workspaces / "mine/config.json").exists()


def test_a_command_in_a_hint_means_the_one_folder(place: Place, mlxk: Run) -> None:
    folder = place.workspaces / "my model's copy"
    shutil.copytree(healthy_model(place.root / "elsewhere", NAME).snapshot, folder)
    hint = mlxk("rm", str(folder), "--force", "--json").error["hint"]
    command = hint.partition("yourself: ")[2].partition(";")[0]
    assert shlex.split(command) == ["rm", "-r", str(folder)]


@pytest.mark.parametrize("name", ["..", "../x", "a/../../x", "org/nothing", "", "x" * 200, "org/model@nope"])
def test_names_that_mean_nothing_here(two: CachedModel, place: Place, mlxk: Run, name: str) -> None:
    before = tree(place.root)
    assert mlxk("rm", name, "--force").code == 1
    assert tree(place.root) == before


def test_an_ambiguous_name_deletes_nothing(place: Place, mlxk: Run) -> None:
    healthy_model(place.hub, "org/model-a")
    healthy_model(place.hub, "org/model-b")
    done = mlxk("rm", "model", "--force", "--json")
    assert done.error["matches"] == ["org/model-a", "org/model-b"]
    assert len(list(place.hub.glob("models--*"))) == 2


# Asking, locks, permissions


def test_without_a_terminal_it_needs_force(two: CachedModel, mlxk: Run) -> None:
    for arguments in (["rm", NAME], ["rm", NAME, "-q"], ["rm", NAME, "--json"]):
        done = mlxk(*arguments)
        assert done.code == 1
        assert "--force" in done.err
        assert two.repository.exists()
    assert done.error["type"] == "ValidationError"


@pytest.mark.parametrize(
    ("answer", "goes"), [("y\n", True), ("Yes\n", True), ("n\n", False), ("\x04", False)]
)
def test_on_a_terminal_it_asks(two: CachedModel, place: Place, answer: str, goes: bool) -> None:
    with Terminal(place, ["rm", NAME]) as terminal:
        terminal.wait_for("2 revisions)? [y/N] ")
        terminal.type(answer)
        assert terminal.wait() == 0
    assert ("Deleted" in terminal.output, "Nothing was deleted" in terminal.output) == (goes, not goes)
    assert two.repository.exists() != goes


def test_ctrl_c_at_the_question_deletes_nothing(two: CachedModel, place: Place) -> None:
    with Terminal(place, ["rm", NAME]) as terminal:
        terminal.wait_for("[y/N] ")
        terminal.type("\x03")
        assert terminal.wait() == 130
    assert two.repository.exists()


def test_a_held_lock_is_respected_even_with_force_and_one_that_lies_there_is_none(
    two: CachedModel, place: Place, mlxk: Run
) -> None:
    from huggingface_hub.utils import WeakFileLock

    locks = place.hub / ".locks/models--org--model"
    locks.mkdir(parents=True)
    (locks / "free.lock").touch()
    with WeakFileLock(locks / "held.lock"):
        done = mlxk("rm", NAME, "--force", "--json")
        assert (done.code, done.error["type"], done.error["retryable"]) == (1, "locks_present", True)
        assert done.envelope()["data"] == {
            "model": NAME,
            "locks_detected": True,
            "lock_files": [".locks/models--org--model/held.lock"],
        }
        assert two.repository.exists()
        assert mlxk("rm", NAME, "--dry-run").code == 0
    assert mlxk("rm", NAME, "--force").code == 0


def test_what_may_not_be_deleted_is_said(shared_place: Place, mlxk: Run) -> None:
    model = healthy_model(shared_place.hub, NAME)
    with without_root_rights():
        done = mlxk("rm", NAME, "--force", "--json")
    assert (done.code, done.error["type"]) == (3, "PermissionError")
    assert str(model.repository) in done.error["message"]
    assert mlxk("rm", NAME, "--force").code == 0


@pytest.fixture
def shared_place(place: Place) -> Place:
    """The place, readable for every user."""
    for directory in (place.root, *place.root.parents):
        if directory.owner() == place.root.owner():
            try:
                directory.chmod(directory.stat().st_mode | 0o055)
            except OSError:
                break
    return place
