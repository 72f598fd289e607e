"""Staging directories on disk: what counts as ours, what is kept, and that a kill leaves nothing strange."""

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from mlxk.adapters.staging import StagingArea
from mlxk.domain.errors import ErrorKind, MlxkError
from mlxk.domain.ports import Staging
from mlxk.domain.staging import SENTINEL_NAME, Sentinel, StagingState, staging_path

SPEC, COMMIT = "org/name", "c" * 40


@pytest.fixture
def target(tmp_path: Path) -> str:
    return str(tmp_path / "name")


@pytest.fixture
def path(target: str) -> str:
    return staging_path(SPEC, target)


@pytest.fixture
def area() -> StagingArea:
    return StagingArea()


def fill(path: str) -> None:
    """A download and a copy, with a link that must not be followed."""
    for folder in ("hub/blobs", "workspace", ".mlxk-copy-1234"):
        (Path(path) / folder).mkdir(parents=True)
        (Path(path) / folder / "file").write_text("x")
    (Path(path) / "workspace" / "link").symlink_to("/etc")
    (Path(path) / "hub" / "link").symlink_to("/etc/passwd")


def test_the_life_of_a_staging_directory(area: StagingArea, path: str, target: str, tmp_path: Path) -> None:
    assert area.look(path) is StagingState.NONE
    with area.claimed(path) as found:
        assert found is StagingState.NONE
        area.create(path, SPEC, target)
        assert area.look(path) is StagingState.BUSY
        fill(path)
        area.mark_complete(path, COMMIT)
    assert area.look(path) == Sentinel(SPEC, target, COMMIT)

    area.clear(path)
    assert {entry.name for entry in Path(path).iterdir()} == {SENTINEL_NAME, "hub"}
    assert area.look(path) == Sentinel(SPEC, target, COMMIT)
    (Path(path) / "workspace").mkdir()
    (Path(path) / "workspace" / "config.json").touch()
    area.publish(path, target)
    assert area.look(path) == Sentinel(SPEC, target, COMMIT, publishing=True)
    area.remove(path)
    assert {entry.name for entry in tmp_path.iterdir()} == {"name"}
    assert (tmp_path / "name" / "config.json").exists()


def test_a_download_that_goes_on_is_no_longer_complete(area: StagingArea, path: str, target: str) -> None:
    area.create(path, SPEC, target)
    area.mark_complete(path, COMMIT)
    area.mark_downloading(path)

    assert area.look(path) == Sentinel(SPEC, target)


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"spec": 1}', '{"made_by": "other"}', "\0", "[" * 10_000]
)
def test_a_directory_without_our_sentinel_is_never_touched(
    area: StagingArea, path: str, content: str
) -> None:
    fill(path)
    (Path(path) / SENTINEL_NAME).write_text(content)

    assert area.look(path) is StagingState.FOREIGN
    steps: list[Callable[[str], None]] = [area.remove, area.discard, area.clear, area.mark_downloading]
    for step in steps:
        with pytest.raises(MlxkError) as refused:
            step(path)
        assert refused.value.kind is ErrorKind.CLONE_FAILED
    assert (Path(path) / "hub" / "blobs" / "file").exists()


def test_files_and_links_in_the_way_are_foreign(
    area: StagingArea, path: str, target: str, tmp_path: Path
) -> None:
    Path(path).touch()
    assert area.look(path) is StagingState.FOREIGN
    Path(path).unlink()
    elsewhere = str(tmp_path / "elsewhere")
    area.create(elsewhere, SPEC, target)
    fill(elsewhere)
    Path(path).symlink_to(elsewhere)
    assert area.look(path) is StagingState.FOREIGN
    with pytest.raises(MlxkError):
        area.remove(path)
    with pytest.raises(MlxkError), area.claimed(path):
        pass
    assert (Path(elsewhere) / "hub" / "blobs" / "file").exists()


def test_what_a_kill_at_the_start_leaves_counts_as_nothing(area: StagingArea, path: str, target: str) -> None:
    Path(path).mkdir()
    assert area.look(path) is StagingState.NONE
    (Path(path) / f"{SENTINEL_NAME}.tmp").write_text("{")
    assert area.look(path) is StagingState.NONE

    area.create(path, SPEC, target)
    assert area.look(path) == Sentinel(SPEC, target)


@pytest.mark.parametrize("what", ["directory", "file"])
def test_a_target_that_is_there_by_now_wins(area: StagingArea, path: str, target: str, what: str) -> None:
    area.create(path, SPEC, target)
    area.mark_complete(path, COMMIT)
    fill(path)
    if what == "file":
        Path(target).touch()
    else:
        Path(target).mkdir()
        (Path(target) / "mine").touch()

    with pytest.raises(MlxkError) as refused:
        area.publish(path, target)
    assert refused.value.kind is ErrorKind.INVALID_TARGET
    assert area.look(path) == Sentinel(SPEC, target, COMMIT)
    assert (Path(path) / "workspace" / "file").exists()


def test_an_empty_directory_is_a_target(area: StagingArea, path: str, target: str) -> None:
    area.create(path, SPEC, target)
    fill(path)
    Path(target).mkdir()

    area.publish(path, target)
    assert (Path(target) / "file").exists()


@pytest.mark.parametrize("operation", ["discard", "remove", "clear"])
def test_killed_while_removing_it_is_still_ours(
    area: StagingArea, path: str, target: str, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every system call that changes the disk may be the last."""
    last = 0
    while True:
        area.create(path, SPEC, target)
        fill(path)
        area.mark_complete(path, COMMIT)
        count = 0

        def killing(real: Callable[..., object]) -> Callable[..., object]:
            def call(*args: object, **kwargs: object) -> object:
                nonlocal count
                if count == last:  # noqa: B023 - called within this round
                    raise KeyboardInterrupt
                count += 1
                return real(*args, **kwargs)

            return call

        with monkeypatch.context() as patched:
            for name in ("unlink", "rmdir", "replace", "rename"):
                patched.setattr(os, name, killing(getattr(os, name)))
            try:
                getattr(area, operation)(path)
            except KeyboardInterrupt:
                finished = False
            else:
                finished = True
        found = area.look(path)
        assert found is StagingState.NONE or isinstance(found, Sentinel)
        if isinstance(found, Sentinel):
            assert not (found.complete and operation == "discard" and last)
            area.remove(path)
        elif not finished:
            area.create(path, SPEC, target)
            area.remove(path)
        assert not Path(path).exists()
        if finished:
            return
        last += 1


# Two at once


def hold(path: str, ready: Event, done: Event) -> None:
    with StagingArea().claimed(path):
        ready.set()
        done.wait(20)


def test_two_processes_never_work_in_one(area: StagingArea, path: str, target: str) -> None:
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    area.create(path, SPEC, target)
    other = context.Process(target=hold, args=(path, ready, done))
    other.start()
    assert ready.wait(20)

    assert area.look(path) is StagingState.BUSY
    with pytest.raises(MlxkError) as refused, area.claimed(path):
        pass
    assert refused.value.kind is ErrorKind.CLONE_FAILED
    other.kill()
    other.join()
    with area.claimed(path) as found:
        assert found == Sentinel(SPEC, target)


def test_it_fits_its_port() -> None:
    port: Staging = StagingArea()
    assert port


@pytest.mark.parametrize("left", [(), (f"{SENTINEL_NAME}.tmp",)])
def test_what_the_first_or_last_moment_leaves_is_swept(
    area: StagingArea, path: str, left: tuple[str, ...]
) -> None:
    Path(path).mkdir()
    for name in left:
        (Path(path) / name).touch()
    area.sweep(path)
    assert not Path(path).exists()
    area.sweep(path)


def test_what_is_somebody_elses_or_unfinished_is_not_swept(area: StagingArea, path: str, target: str) -> None:
    Path(path).mkdir()
    (Path(path) / "mine").touch()
    area.sweep(path)
    assert (Path(path) / "mine").exists()
    (Path(path) / "mine").unlink()
    area.create(path, SPEC, target)
    area.sweep(path)
    assert isinstance(area.look(path), Sentinel)


def test_a_claim_that_came_to_nothing_leaves_nothing(area: StagingArea, path: str) -> None:
    with area.claimed(path):
        assert Path(path).is_dir()
    assert not Path(path).exists()


def test_whether_there_is_a_copy(area: StagingArea, path: str) -> None:
    assert not area.has_copy(path)
    Path(path).mkdir()
    fill(path)
    assert area.has_copy(path)
