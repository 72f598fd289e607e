"""The contract of tree copying on APFS. Needs a Mac: `MLXK_LIVE=1 pytest tests/live/test_apfs.py`."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from mlxk.adapters.tree_copy import VolumeTreeCopier
from mlxk.domain.clone_steps import CopyMethod
from tests.contract.tree_copy.conftest import Bench, Recorder, progress, snapshot  # noqa: F401
from tests.contract.tree_copy.test_tree_copy import (  # noqa: F401 - collected here once more
    test_a_source_that_is_none_is_refused,
    test_a_target_made_meanwhile_is_left_alone,
    test_a_target_that_exists_is_refused,
    test_a_target_without_parent_or_in_the_source_is_refused,
    test_an_empty_directory_is_copied_too,
    test_editing_the_copy_leaves_the_original_alone,
    test_holes_stay_holes,
    test_links_become_files_and_folders_stay,
    test_links_out_of_the_model_or_to_nowhere_are_refused,
    test_links_within_a_workspace_become_files,
    test_progress_counts_every_byte,
    test_stopped_in_the_middle_nothing_is_left,
    test_times_stay_and_the_copy_can_be_edited,
    test_what_has_no_content_is_refused,
)

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(sys.platform != "darwin", reason="APFS is macOS's file system"),
    pytest.mark.skipif(not os.environ.get("MLXK_LIVE"), reason="opt in with MLXK_LIVE=1"),
]

_MEGABYTE = 1024 * 1024


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(VolumeTreeCopier.for_this_system(), tmp_path, CopyMethod.CLONEFILE)


def test_a_clone_of_256_megabytes_takes_no_space(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    block = os.urandom(_MEGABYTE)
    with (source / "model.safetensors").open("wb") as stream:
        for _ in range(256):
            stream.write(block)
        os.fsync(stream.fileno())

    before = shutil.disk_usage(tmp_path).free
    method = VolumeTreeCopier.for_this_system().copy(source, tmp_path / "copy", progress=Recorder())
    assert method is CopyMethod.CLONEFILE
    assert before - shutil.disk_usage(tmp_path).free < 64 * _MEGABYTE
