"""The tests' own safety: nothing but a signed tree can be deleted, and no command sees the user's cache."""

import os
from pathlib import Path

import pytest

from tests.contract.cli.conftest import Run
from tests.isolation import MARKER, ForeignTree, Place, delete_tree, isolated_place


def test_only_signed_trees_can_be_deleted(tmp_path: Path) -> None:
    place = isolated_place(tmp_path / "one")
    delete_tree(place.hub)
    assert not place.hub.exists()
    delete_tree(place.root)
    assert not place.root.exists()


@pytest.mark.parametrize("content", [None, "", "0" * 64])
def test_a_tree_without_a_good_signature_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / MARKER).write_text(content)
    with pytest.raises(ForeignTree):
        delete_tree(tmp_path)
    assert tmp_path.exists()


def test_a_marker_of_another_tree_is_refused(tmp_path: Path) -> None:
    place = isolated_place(tmp_path / "one")
    other = tmp_path / "other"
    other.mkdir()
    (other / MARKER).write_bytes((place.root / MARKER).read_bytes())
    with pytest.raises(ForeignTree):
        delete_tree(other)


def test_a_link_out_of_the_tree_is_refused(tmp_path: Path) -> None:
    place = isolated_place(tmp_path / "one")
    outside = tmp_path / "outside"
    outside.mkdir()
    (place.work / "link").symlink_to(outside)
    with pytest.raises(ForeignTree):
        delete_tree(place.work / "link")
    assert outside.exists()


def test_commands_see_this_place_only(place: Place, mlxk: Run, process: Run) -> None:
    assert Path(os.environ["HF_HOME"]).is_relative_to(place.root)
    for run in (mlxk, process):
        assert [model["name"] for model in run("list", "--json").data["models"]] == ["demo"]
