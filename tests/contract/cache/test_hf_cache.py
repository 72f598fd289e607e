"""The cache adapter against the same trees as `huggingface_hub` sees, and against trees it gives up on."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import scan_cache_dir

from mlxk.adapters.hf_cache import HuggingFaceCache
from mlxk.adapters.snapshot_facts import SnapshotReader
from mlxk.domain.errors import AmbiguousMatch, ErrorKind, MlxkError, ModelNotFound
from mlxk.domain.findings import Remedy
from mlxk.domain.health import assess
from mlxk.domain.model import Absence, ModelRecord, Source
from mlxk.domain.repair import no_repair
from tests.contract.cache.conftest import without_root_rights
from tests.contract.damaged_models import CachedModel, healthy_model, healthy_sharded_model

OLDER = "abc0000000000000000000000000000000000001"
NEWER = "abc1000000000000000000000000000000000002"
OTHER = "def0000000000000000000000000000000000003"


def names(root: Path) -> list[str]:
    return [record.name for record in HuggingFaceCache(root).records()]


def record_of(root: Path, name: str) -> ModelRecord:
    (record,) = [record for record in HuggingFaceCache(root).records() if record.name == name]
    return record


def two_revisions(root: Path, name: str = "org/model") -> CachedModel:
    """`NEWER` and `OLDER`, told apart by the time of their snapshots; no ref names either."""
    newer = healthy_model(root, name, commit=NEWER)
    older = healthy_model(root, name, commit=OLDER)
    (newer.repository / "refs" / "main").unlink()
    os.utime(older.snapshot, ns=(1, 1_000_000_000))
    os.utime(newer.snapshot, ns=(1, 2_000_000_000))
    return newer


# What both see


def test_it_agrees_with_the_hub_library_on_whole_models(hub: Path) -> None:
    healthy_model(hub, "org/one")
    healthy_sharded_model(hub, "org/sharded")
    healthy_model(hub, "no-organisation")
    nested = healthy_model(hub, "org/nested")
    nested.add("onnx/deep/model.bin", b"deep down")
    (hub / "datasets--org--data" / "snapshots").mkdir(parents=True)
    (hub / "version.txt").write_text("1")

    theirs = {repo.repo_id: repo for repo in scan_cache_dir(hub).repos if repo.repo_type == "model"}
    ours = HuggingFaceCache(hub).records()

    assert [record.name for record in ours] == sorted(theirs)
    for record in ours:
        (revision,) = theirs[record.name].revisions
        facts = SnapshotReader().facts(record)
        assert record.source is Source.CACHE
        assert record.problem is None
        assert record.revision == revision.commit_hash
        assert Path(record.path) == revision.snapshot_path
        assert facts.size == revision.size_on_disk
        assert facts.modified_ns / 1e9 == pytest.approx(revision.last_modified)
        found = {(str(revision.snapshot_path / file.path), file.size, file.blob) for file in facts.files}
        assert found == {
            (str(file.file_path), file.size_on_disk, file.blob_path.name) for file in revision.files
        }


def test_one_broken_link_hides_a_model_from_the_hub_library_but_not_from_us(hub: Path) -> None:
    model = healthy_model(hub, "org/broken")
    healthy_model(hub, "org/whole")
    model.blob("model.safetensors").unlink()

    assert {repo.repo_id for repo in scan_cache_dir(hub).repos} == {"org/whole"}
    assert names(hub) == ["org/broken", "org/whole"]


# Which snapshot


def test_the_snapshot_is_the_one_main_names(hub: Path) -> None:
    two_revisions(hub).refer("main", OLDER)

    assert record_of(hub, "org/model").revision == OLDER


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe", OTHER.encode(), b"../../..", b"a" * 5000, b"."])
def test_without_a_usable_main_it_is_the_newest(hub: Path, content: bytes | None) -> None:
    model = two_revisions(hub)
    if content is not None:
        (model.repository / "refs" / "main").write_bytes(content)

    assert record_of(hub, "org/model").revision == NEWER


def test_equally_old_snapshots_are_told_apart_by_name(hub: Path) -> None:
    model = two_revisions(hub)
    for commit in (OLDER, NEWER):
        os.utime(model.repository / "snapshots" / commit, ns=(1, 1_000_000_000))

    assert record_of(hub, "org/model").revision == min(OLDER, NEWER)


def test_a_line_end_after_the_commit_does_no_harm(hub: Path) -> None:
    two_revisions(hub).refer("main", OLDER + "\n")

    assert record_of(hub, "org/model").revision == OLDER


def test_a_named_pipe_for_a_ref_does_not_block(hub: Path) -> None:
    model = two_revisions(hub)
    os.mkfifo(model.repository / "refs" / "main")

    assert record_of(hub, "org/model").revision == NEWER


# Trees that are not as they should be


def test_names_come_from_directories_even_where_they_break_the_rules(hub: Path) -> None:
    for directory in ("models--org--a---b", "models--org--sub--model", "models--UPPER--x.y_z"):
        shutil.copytree(healthy_model(hub, "org/plain").repository, hub / directory, symlinks=True)

    assert names(hub) == ["UPPER/x.y_z", "org/a/-b", "org/plain", "org/sub/model"]
    for record in HuggingFaceCache(hub).records():
        assert Path(record.path, "config.json").is_file()


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS file systems hold UTF-8 names only")
def test_a_directory_name_that_is_not_utf8_can_still_be_printed_and_read(hub: Path) -> None:
    model = healthy_model(hub, "org/model")
    model.repository.rename(os.fsdecode(os.fsencode(hub) + b"/models--org--\xff"))

    (record,) = HuggingFaceCache(hub).records()
    assert record.name.encode().decode() == "org/�"
    assert SnapshotReader().facts(record).config()["model_type"] == "llama"


def test_what_holds_nothing_of_a_model_is_left_out(hub: Path) -> None:
    healthy_model(hub, "org/whole")
    (hub / "models--org--file").write_text("not a directory")
    (hub / "models--org--empty").mkdir()
    (hub / "models--org--hollow" / "snapshots").mkdir(parents=True)
    (hub / "models--org--hollow" / "blobs").mkdir()
    asked_for_metadata = hub / "models--org--refs-only" / "refs"
    asked_for_metadata.mkdir(parents=True)
    (asked_for_metadata / "main").write_text(OTHER)
    (hub / "models--").mkdir()
    (hub / ".locks" / "models--org--whole").mkdir(parents=True)

    assert names(hub) == ["org/whole"]


@pytest.mark.parametrize("remains", ["no snapshots", "empty snapshots", "snapshots is a file"])
def test_a_half_deleted_model_is_listed_with_its_problem(hub: Path, remains: str) -> None:
    healthy_model(hub, "org/whole")
    model = healthy_model(hub, "org/half")
    shutil.rmtree(model.snapshot.parent)
    if remains == "empty snapshots":
        model.snapshot.parent.mkdir()
    elif remains == "snapshots is a file":
        model.snapshot.parent.write_text("")

    record = record_of(hub, "org/half")
    assert record.problem
    assert record.revision is None
    assert names(hub) == ["org/half", "org/whole"]
    facts = SnapshotReader().facts(record)
    assert facts.unreadable == ((".", record.problem),)
    assert facts.absence is Absence.SNAPSHOT
    assert [finding.remedy for finding in assess(facts).findings] == [Remedy.PULL]


def test_an_interrupted_first_download_shows_what_is_under_way(hub: Path) -> None:
    model = healthy_model(hub, "org/half")
    shutil.rmtree(model.snapshot.parent)
    (model.repository / "blobs" / f"{'a' * 64}.0123abcd.incomplete").write_bytes(b"half")

    (file,) = SnapshotReader().facts(record_of(hub, "org/half")).files
    assert file.path == f"blobs/{'a' * 64}.0123abcd.incomplete"
    assert file.size == 4


def test_a_model_on_a_volume_that_is_gone_says_so(hub: Path) -> None:
    (hub / "models--org--moved").symlink_to("/nowhere/models--org--moved")

    record = record_of(hub, "org/moved")
    assert record.problem is not None
    assert "leads nowhere" in record.problem
    assert record.absence is Absence.LINK_TARGET
    assert no_repair(record) == record.problem


def test_a_model_moved_to_another_volume_and_linked_is_whole(hub: Path, tmp_path: Path) -> None:
    model = healthy_model(hub, "org/moved")
    model.repository.rename(tmp_path / "elsewhere")
    model.repository.symlink_to(tmp_path / "elsewhere")

    record = record_of(hub, "org/moved")
    assert record.problem is None
    assert all(file.readable for file in SnapshotReader().facts(record).files)


def test_odd_entries_among_snapshots_and_refs_are_passed_over(hub: Path) -> None:
    model = two_revisions(hub)
    snapshots = model.repository / "snapshots"
    (snapshots / "loop").symlink_to("loop")
    (snapshots / "dangling").symlink_to("nowhere")
    (snapshots / ".DS_Store").write_text("")
    (snapshots / "file").write_text("")
    (model.repository / "refs" / "loop").symlink_to("loop")

    record = record_of(hub, "org/model")
    assert record.revision == NEWER
    assert [other.revision for other in HuggingFaceCache(hub).revisions(record)] == [OLDER]


@pytest.mark.parametrize("unreadable", ["", "snapshots", "refs"])
def test_an_unreadable_directory_hides_no_other_model(shared_hub: Path, unreadable: str) -> None:
    model = healthy_model(shared_hub, "org/closed")
    healthy_model(shared_hub, "org/open")
    (model.repository / unreadable).chmod(0)

    with without_root_rights():
        found = {record.name: record for record in HuggingFaceCache(shared_hub).records()}
        open_facts = SnapshotReader().facts(found["org/open"])

    assert set(found) == {"org/closed", "org/open"}
    assert found["org/open"].problem is None
    assert open_facts.unreadable == ()
    if unreadable != "refs":
        assert found["org/closed"].problem == "its directory cannot be read: Permission denied"
        (finding,) = assess(SnapshotReader().facts(found["org/closed"])).findings
        assert finding.remedy is Remedy.FIX_PERMISSIONS
        assert no_repair(found["org/closed"]) == found["org/closed"].problem


# The place itself


def test_a_cache_that_does_not_exist_holds_nothing(hub: Path) -> None:
    assert HuggingFaceCache(hub / "nowhere").records() == ()


def test_a_cache_that_is_a_file_is_an_error_with_a_way_out(hub: Path) -> None:
    (hub / "file").write_text("")

    for root in (hub / "file", hub / "file" / "hub"):
        with pytest.raises(MlxkError) as refused:
            HuggingFaceCache(root).records()
        assert refused.value.kind is ErrorKind.PERMISSION
        assert refused.value.message.endswith("Not a directory.")
        assert refused.value.hint


def test_a_cache_that_may_not_be_read_is_an_error_with_a_way_out(shared_hub: Path) -> None:
    shared_hub.chmod(0)

    with without_root_rights(), pytest.raises(MlxkError) as refused:
        HuggingFaceCache(shared_hub).records()
    assert refused.value.kind is ErrorKind.PERMISSION
    assert "Permission denied" in refused.value.message


# Revisions


def test_a_branch_a_tag_and_a_pull_request_are_found(hub: Path) -> None:
    model = two_revisions(hub)
    for ref in ("v1.0", "refs/pr/1"):
        model.refer(ref, OLDER)
    cache = HuggingFaceCache(hub)
    record = record_of(hub, "org/model")

    for ref in ("v1.0", "refs/pr/1"):
        found = cache.at_revision(record, ref)
        assert (found.name, found.revision) == ("org/model", OLDER)
        assert Path(found.path) == model.repository / "snapshots" / OLDER


@pytest.mark.parametrize("prefix", ["abc0", "ABC0", OLDER])
def test_the_beginning_of_a_commit_is_enough(hub: Path, prefix: str) -> None:
    two_revisions(hub)

    assert HuggingFaceCache(hub).at_revision(record_of(hub, "org/model"), prefix).revision == OLDER


def test_two_commits_that_begin_alike_are_ambiguous(hub: Path) -> None:
    two_revisions(hub)

    with pytest.raises(AmbiguousMatch) as refused:
        HuggingFaceCache(hub).at_revision(record_of(hub, "org/model"), "abc")
    assert refused.value.matches == (OLDER, NEWER)


@pytest.mark.parametrize("revision", ["ab", "v9", OTHER, "gone", "../../../etc/passwd", "main\0", "refs", ""])
def test_what_is_not_here_is_not_found_and_the_hint_names_what_is(hub: Path, revision: str) -> None:
    model = two_revisions(hub)
    model.refer("v1", OLDER)
    model.refer("gone", OTHER)

    with pytest.raises(ModelNotFound) as refused:
        HuggingFaceCache(hub).at_revision(record_of(hub, "org/model"), revision)
    assert refused.value.hint is not None
    assert "v1" in refused.value.hint
    assert NEWER[:12] in refused.value.hint


def test_listing_does_not_import_the_hub_library() -> None:
    code = "import sys, mlxk.adapters.hf_cache, mlxk.adapters.snapshot_facts as facts; facts.SnapshotReader()"
    heavy = "{'huggingface_hub', 'yaml', 'mlx', 'numpy', 'typer', 'hashlib'}"
    subprocess.run([sys.executable, "-c", f"{code}; assert not {heavy} & set(sys.modules)"], check=True)
