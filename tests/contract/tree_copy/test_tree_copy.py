"""What every tree copier does, on the volumes it is made for."""

import os
import shutil
import stat
from pathlib import Path

import pytest

from mlxk.adapters.tree_copy import BlockSharing, VolumeTreeCopier
from mlxk.adapters.tree_copy.reflink import Reflink
from mlxk.adapters.tree_copy.sharing import NotShared
from mlxk.domain.clone_steps import CopyMethod
from mlxk.domain.errors import ErrorKind, MlxkError
from mlxk.domain.ports import TreeCopier
from tests.contract.cache.conftest import without_root_rights
from tests.contract.tree_copy.conftest import Bench, Recorder, make_snapshot
from tests.contract.volumes import memory_disk, used_bytes


def content(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def refusal(bench: Bench, source: Path, target: Path) -> MlxkError:
    before = names(bench.place)
    with pytest.raises(MlxkError) as refused:
        bench.copier.copy(source, target, progress=Recorder())
    assert names(bench.place) == before
    assert refused.value.hint
    return refused.value


def test_links_become_files_and_folders_stay(bench: Bench, snapshot: Path, progress: Recorder) -> None:
    target = bench.place / "copy"

    assert bench.copier.copy(snapshot, target, progress=progress) is bench.method
    assert content(target) == content(snapshot)
    assert not any(path.is_symlink() for path in target.rglob("*"))
    assert names(bench.place) == {"models--org--name", "copy"}


def test_progress_counts_every_byte(bench: Bench, snapshot: Path, progress: Recorder) -> None:
    bench.copier.copy(snapshot, bench.place / "copy", progress=progress)

    sizes = {path: len(data) for path, data in content(snapshot).items() if data}
    assert {path: count for path, count in progress.done.items() if count} == sizes
    assert progress.total == sum(sizes.values())
    assert progress.finished == 1


def test_files_can_be_left_out(bench: Bench, snapshot: Path, progress: Recorder) -> None:
    (snapshot / "dangling").symlink_to("nowhere")
    (snapshot / "folder").mkdir()
    (snapshot / "folder" / "dangling").symlink_to("nowhere")
    left, *kept = sorted(content(snapshot))
    bench.copier.copy(
        snapshot,
        bench.place / "copy",
        progress=progress,
        without=frozenset({left, "dangling", "folder", "not there"}),
    )
    assert sorted(content(bench.place / "copy")) == kept
    assert not (bench.place / "copy" / "folder").exists()


def test_times_stay_and_the_copy_can_be_edited(bench: Bench, snapshot: Path, progress: Recorder) -> None:
    target = bench.place / "copy"
    bench.copier.copy(snapshot, target, progress=progress)

    for path in ("config.json", "model.safetensors"):
        assert (target / path).stat().st_mtime_ns == (snapshot / path).stat().st_mtime_ns
        mode = stat.S_IMODE((snapshot / path).stat().st_mode)
        assert stat.S_IMODE((target / path).stat().st_mode) == mode | 0o600
    assert target.stat().st_mode & stat.S_IRWXU == stat.S_IRWXU


def test_editing_the_copy_leaves_the_original_alone(bench: Bench, snapshot: Path, progress: Recorder) -> None:
    target = bench.place / "copy"
    before = content(snapshot)
    bench.copier.copy(snapshot, target, progress=progress)

    with (target / "model.safetensors").open("r+b") as stream:
        stream.write(b"changed")
    assert content(snapshot) == before
    assert (target / "model.safetensors").read_bytes()[:7] == b"changed"


def test_holes_stay_holes(bench: Bench, snapshot: Path, progress: Recorder) -> None:
    bench.copier.copy(snapshot, bench.place / "copy", progress=progress)

    status = (bench.place / "copy" / "sparse.bin").stat()
    assert status.st_size == 64 * 1024 * 1024 + 3
    assert status.st_blocks * 512 < 1024 * 1024


def test_an_empty_directory_is_copied_too(bench: Bench, progress: Recorder) -> None:
    (bench.place / "source" / "sub").mkdir(parents=True)

    bench.copier.copy(bench.place / "source", bench.place / "copy", progress=progress)
    assert names(bench.place / "copy") == {"sub"}


@pytest.mark.parametrize("what", ["directory", "empty directory", "file", "link"])
def test_a_target_that_exists_is_refused(bench: Bench, snapshot: Path, what: str) -> None:
    target = bench.place / "copy"
    match what:
        case "directory":
            target.mkdir()
            (target / "mine").touch()
        case "empty directory":
            target.mkdir()
        case "file":
            target.touch()
        case "link":
            target.symlink_to("nowhere")

    assert refusal(bench, snapshot, target).kind is ErrorKind.INVALID_TARGET


def test_a_target_without_parent_or_in_the_source_is_refused(bench: Bench, snapshot: Path) -> None:
    for target in (bench.place / "nowhere" / "copy", snapshot / "copy", snapshot / "config.json" / "copy"):
        assert refusal(bench, snapshot, target).kind is ErrorKind.INVALID_TARGET


def test_a_target_made_meanwhile_is_left_alone(bench: Bench, snapshot: Path) -> None:
    target = bench.place / "copy"

    class Rival(Recorder):
        def advance(self, file: str, count: int) -> None:
            target.mkdir(exist_ok=True)
            (target / "mine").touch()

    with pytest.raises(MlxkError) as refused:
        bench.copier.copy(snapshot, target, progress=Rival())
    assert refused.value.kind is ErrorKind.INVALID_TARGET
    assert names(bench.place) == {"models--org--name", "copy"}
    assert names(target) == {"mine"}


@pytest.mark.parametrize("stopped_by", [KeyboardInterrupt, RuntimeError, SystemExit])
def test_stopped_in_the_middle_nothing_is_left(
    bench: Bench, snapshot: Path, stopped_by: type[BaseException]
) -> None:
    class Stopping(Recorder):
        def advance(self, file: str, count: int) -> None:
            if file == "model.safetensors":
                raise stopped_by

    progress = Stopping()
    with pytest.raises(stopped_by):
        bench.copier.copy(snapshot, bench.place / "copy", progress=progress)
    assert names(bench.place) == {"models--org--name"}
    assert progress.finished == 1


def test_links_out_of_the_model_or_to_nowhere_are_refused(bench: Bench, snapshot: Path) -> None:
    secret = bench.place.parent / f"{bench.place.name}-secret"
    secret.write_text("secret")
    (snapshot / "chain").symlink_to("config.json")
    outside = (str(secret), f"../../../../{secret.name}", "/etc/passwd", "/", "..", "../..")
    for link in (*outside, "../../../nowhere", "nowhere", "nowhere/x", "loop", "1_Pooling", "chain/x", "."):
        (snapshot / "loop").symlink_to(link)
        assert refusal(bench, snapshot, bench.place / "copy").kind is ErrorKind.CLONE_FAILED
        (snapshot / "loop").unlink()
    secret.unlink()


def test_links_within_a_workspace_become_files(bench: Bench, progress: Recorder) -> None:
    source = bench.place / "source"
    source.mkdir()
    (source / "a").write_text("a")
    (source / "b").symlink_to("a")
    (source / "c").symlink_to(source / "a")

    bench.copier.copy(source, bench.place / "copy", progress=progress)
    assert content(bench.place / "copy") == {"a": b"a", "b": b"a", "c": b"a"}
    assert not (bench.place / "copy" / "b").is_symlink()


def test_blobs_in_the_shared_store_of_the_cache_are_copied(
    bench: Bench, snapshot: Path, progress: Recorder
) -> None:
    blob = (snapshot / "model.safetensors").resolve()
    shared = bench.place / "shared" / "blobs" / blob.name
    shared.parent.mkdir(parents=True)
    blob.rename(shared)
    blob.symlink_to(shared)
    (snapshot / "absolute").symlink_to(blob)

    bench.copier.copy(snapshot, bench.place / "copy", progress=progress)
    assert content(bench.place / "copy") == content(snapshot)
    assert not (bench.place / "copy" / "model.safetensors").is_symlink()


def test_what_has_no_content_is_refused(bench: Bench, snapshot: Path) -> None:
    os.mkfifo(snapshot / "pipe")

    assert refusal(bench, snapshot, bench.place / "copy").kind is ErrorKind.CLONE_FAILED


def test_a_source_that_is_none_is_refused(bench: Bench) -> None:
    (bench.place / "file").touch()
    for source, kind in (("nowhere", ErrorKind.CLONE_FAILED), ("file", ErrorKind.PERMISSION)):
        assert refusal(bench, bench.place / source, bench.place / "copy").kind is kind


# Real copy-on-write


@pytest.mark.parametrize("kind", ["btrfs", "xfs"])
def test_a_clone_of_256_megabytes_takes_no_space(
    kind: str, request: pytest.FixtureRequest, progress: Recorder
) -> None:
    volume: Path = request.getfixturevalue(kind)
    source, target = volume / "big", volume / "big-copy"
    source.mkdir()
    block = os.urandom(1024 * 1024)
    with (source / "model.safetensors").open("wb") as stream:
        for _ in range(256):
            stream.write(block)

    before = used_bytes(volume)
    assert VolumeTreeCopier.for_this_system().copy(source, target, progress=progress) is CopyMethod.REFLINK
    assert used_bytes(volume) - before < 2 * 1024 * 1024

    with (target / "model.safetensors").open("r+b") as stream:
        stream.seek(100 * 1024 * 1024)
        stream.write(b"mine")
    with (source / "model.safetensors").open("rb") as stream:
        stream.seek(100 * 1024 * 1024)
        assert stream.read(4) == block[:4]
    assert used_bytes(volume) - before < 8 * 1024 * 1024
    shutil.rmtree(source)
    shutil.rmtree(target)


@pytest.mark.parametrize("kind", ["btrfs", "xfs"])
def test_across_volumes_bytes_are_copied(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, progress: Recorder
) -> None:
    volume: Path = request.getfixturevalue(kind)
    snapshot = make_snapshot(tmp_path)
    target = volume / f"{tmp_path.name}-copy"

    assert VolumeTreeCopier([Reflink()]).copy(snapshot, target, progress=progress) is CopyMethod.COPY
    assert content(target) == content(snapshot)
    assert (target / "sparse.bin").stat().st_blocks * 512 < 1024 * 1024


def test_where_blocks_cannot_be_shared_bytes_are_copied(tmp_path: Path, progress: Recorder) -> None:
    with memory_disk(tmp_path, size=100_000_000) as disk:
        snapshot = make_snapshot(disk)
        method = VolumeTreeCopier.for_this_system().copy(snapshot, disk / "copy", progress=progress)
        assert method is CopyMethod.COPY
        assert content(disk / "copy") == content(snapshot)


# Disks that are full or read-only


def test_a_full_disk_is_said_and_left_clean(tmp_path: Path) -> None:
    snapshot = make_snapshot(tmp_path)
    with memory_disk(tmp_path, size=200_000) as disk:
        with pytest.raises(MlxkError) as refused:
            VolumeTreeCopier([Reflink()]).copy(snapshot, disk / "copy", progress=Recorder())
        assert refused.value.kind is ErrorKind.INSUFFICIENT_DISK
        assert not names(disk)


def test_a_read_only_disk_is_said(tmp_path: Path) -> None:
    snapshot = make_snapshot(tmp_path)
    with memory_disk(tmp_path, size=200_000, options=",ro") as disk:
        with pytest.raises(MlxkError) as refused:
            VolumeTreeCopier([]).copy(snapshot, disk / "copy", progress=Recorder())
        assert refused.value.kind is ErrorKind.PERMISSION
        assert "Read-only file system" in refused.value.message


def test_a_file_that_cannot_be_read_is_said(tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("open")
    for directory in (place, *place.parents[:3]):
        if directory.name.startswith(("pytest", "popen", "open")):
            directory.chmod(0o777 if directory == place else 0o755)
    (place / "source").mkdir()
    (place / "source" / "closed").touch(mode=0)

    with without_root_rights(), pytest.raises(MlxkError) as refused:
        VolumeTreeCopier([]).copy(place / "source", place / "copy", progress=Recorder())
    assert refused.value.kind is ErrorKind.PERMISSION
    assert "Permission denied" in refused.value.message
    assert names(place) == {"source"}


# Choosing by trying


class Fussy:
    """A way to share that refuses some files, and counts how often it is asked."""

    method = CopyMethod.REFLINK

    def __init__(self, *, never: bool) -> None:
        self.asked: list[str] = []
        self._never = never

    def share(self, source: str, target: str) -> None:
        self.asked.append(Path(target).name)
        if self._never or target.endswith("config.json"):
            raise NotShared("no", never=self._never)
        shutil.copyfile(source, target)


def test_a_way_the_volumes_do_not_have_is_tried_once(tmp_path: Path, progress: Recorder) -> None:
    way = Fussy(never=True)
    ways: list[BlockSharing] = [way]

    copied = VolumeTreeCopier(ways).copy(make_snapshot(tmp_path), tmp_path / "copy", progress=progress)
    assert copied is CopyMethod.COPY
    assert len(way.asked) == 1


def test_one_file_that_cannot_be_shared_does_not_spoil_the_others(tmp_path: Path, progress: Recorder) -> None:
    way = Fussy(never=False)
    snapshot = make_snapshot(tmp_path)

    assert VolumeTreeCopier([way]).copy(snapshot, tmp_path / "copy", progress=progress) is CopyMethod.COPY
    assert len(way.asked) == 5
    assert content(tmp_path / "copy") == content(snapshot)


def test_the_copiers_fit_their_port() -> None:
    copiers: list[TreeCopier] = [VolumeTreeCopier([]), VolumeTreeCopier.for_this_system()]
    assert copiers
