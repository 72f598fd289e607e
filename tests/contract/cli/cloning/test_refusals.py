"""`mlxk clone`: what the Hub refuses, and names that are none."""

from collections.abc import Mapping

import pytest

from tests.contract.cli.cloning.asking import OTHER, failed
from tests.contract.cli.conftest import Run
from tests.contract.cloning import (
    REPO,
    SHARD,
    in_cache,
    names,
    on_hub,
)
from tests.contract.hub_server import Fault, HubServer, Trouble
from tests.contract.hub_server.repositories import Access, Content
from tests.isolation import Place


def test_what_the_hub_does_not_have_or_hides(
    server: HubServer, files: Mapping[str, Content], place: Place, mlxk: Run
) -> None:
    on_hub(server, files, "org/gated", Access.GATED)
    on_hub(server, files, "org/private", Access.PRIVATE)
    on_hub(server, files)
    for name, kind, code in [
        ("org/nothing", "access_denied", 2),
        ("org/private", "access_denied", 2),
        ("org/gated", "access_denied", 2),
        (f"{REPO}@nothing", "model_not_found", 1),
    ]:
        error = failed(mlxk("clone", name, "--json"), kind, code, "pull_failed")
        assert error["hint"]
    assert names(place.workspaces) == []
    assert server.traffic.downloads() == []


def test_a_misspelt_name_is_told_what_is_here(
    server: HubServer, files: Mapping[str, Content], place: Place, mlxk: Run
) -> None:
    in_cache(place.hub, files, OTHER, "mlx-community/tiny-chat")
    error = failed(mlxk("clone", "tiny-chta", "--json"), "access_denied", 2, "pull_failed")
    assert error["matches"] == ["mlx-community/tiny-chat"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["org/a/b"], "not a valid model id"),
        (["org/--x"], "not a valid model id"),
        (["org/x@a", "--revision", "b"], "Two revisions"),
        (["./x", "--revision", "b"], "no revisions"),
        (["org/x@../../up"], "cannot be used"),
        (["demo@main"], "no revisions"),
    ],
)
def test_models_that_are_none(server: HubServer, mlxk: Run, arguments: list[str], says: str) -> None:
    done = mlxk("clone", *arguments, "--json")
    envelope = done.envelope()
    assert done.code == 1
    assert says in envelope["error"]["message"]


def test_content_that_is_not_what_was_listed(
    server: HubServer, files: Mapping[str, Content], place: Place, mlxk: Run
) -> None:
    on_hub(server, files)
    server.faults.add(Fault(SHARD, Trouble.WRONG_BYTES, times=10))
    failed(mlxk("clone", REPO, "--json"), "PullFailedError", 2, "pull_failed")
    assert names(place.workspaces) == []
