"""Shell completion through the protocols of bash, zsh and fish, as their scripts speak it."""

from collections.abc import Callable

import pytest

from tests.contract.cli.conftest import Run
from tests.contract.damaged_models import healthy_model
from tests.isolation import Place

Complete = Callable[[str], list[str]]


@pytest.fixture
def models(place: Place) -> Place:
    healthy_model(place.hub, "mlx-community/Llama-3.2-1B")
    healthy_model(place.hub, "org/other")
    for directory in ("local", "lots", "other", ".hidden"):
        (place.work / directory).mkdir()
    (place.work / "file").touch()
    (place.workspaces / "mine").mkdir()
    (place.workspaces / "mine" / "config.json").write_text("{}")
    return place


def _bash(process: Run, line: str) -> list[str]:
    words = line.split(" ")
    done = process(
        environ={"_MLXK_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    )
    assert done.err == ""
    return done.out.splitlines()


def _zsh(process: Run, line: str) -> list[str]:
    done = process(environ={"_MLXK_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": line})
    assert done.err == ""
    if "_arguments" not in done.out:
        return []
    inside = done.out.partition("((")[2].rpartition("))")[0]
    return [entry.split('"')[1].replace("\\\\:", ":") for entry in inside.splitlines()]


def _fish(process: Run, line: str) -> list[str]:
    variables = {"_MLXK_COMPLETE": "complete_fish", "_TYPER_COMPLETE_ARGS": line}
    done = process(environ={**variables, "_TYPER_COMPLETE_FISH_ACTION": "get-args"})
    assert done.err == ""
    has = process(environ={**variables, "_TYPER_COMPLETE_FISH_ACTION": "is-args"})
    assert has.code == (0 if done.out.strip() else 1)
    return [entry.partition("\t")[0] for entry in done.out.splitlines() if entry]


@pytest.fixture(params=[_bash, _zsh, _fish], ids=["bash", "zsh", "fish"])
def complete(request: pytest.FixtureRequest, process: Run) -> Complete:
    return lambda line: request.param(process, line)


def test_commands_flags_names_and_paths(models: Place, complete: Complete) -> None:
    assert {"list", "show", "health", "run", "schema"} <= set(complete("mlxk "))
    assert complete("mlxk he") == ["health"]
    assert {"--all", "--health", "--verbose"} <= set(complete("mlxk list --"))
    assert complete("mlxk run demo --temp") == ["--temperature"]
    names = ["demo", "mine", "mlx-community/Llama-3.2-1B", "org/other"]
    for command in ("show", "run", "list", "health"):
        assert complete(f"mlxk {command} ") == names
    assert complete("mlxk show llama") == ["mlx-community/Llama-3.2-1B"]
    assert complete("mlxk show ./lo") == ["./local/", "./lots/"]
    assert complete("mlxk show qqq") == []


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("./", ["./local/", "./lots/", "./other/"]),
        ("./.", ["./.hidden/"]),
        ("../workspaces/", ["../workspaces/mine/"]),
        ("~", ["~/"]),
        ("./nowhere/", []),
        ("~nobody-at-all/", []),
        ("O", ["org/other"]),
        ("other", ["org/other"]),
    ],
)
def test_what_one_shell_is_offered(models: Place, process: Run, typed: str, offered: list[str]) -> None:
    assert _bash(process, f"mlxk show {typed}") == offered


@pytest.mark.parametrize("damage", ["cache is a file", "wrong setting", "no home"])
def test_a_broken_place_completes_to_nothing(models: Place, process: Run, damage: str) -> None:
    environ: dict[str, str | None] = {"_MLXK_COMPLETE": "complete_bash", "COMP_CWORD": "2"}
    if damage == "cache is a file":
        environ["HF_HUB_CACHE"] = str(models.work / "file")
    elif damage == "wrong setting":
        environ["MLXK_LOG_LEVEL"] = "loud"
    else:
        environ |= {"HOME": None, "HF_HOME": None, "XDG_CACHE_HOME": None, "MLXK_WORKSPACE_HOME": None}
    done = process(environ={**environ, "COMP_WORDS": "mlxk show qqq"})
    assert (done.code, done.out.strip(), done.err) == (0, "", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_printed(place: Place, process: Run, shell: str) -> None:
    done = process(environ={"_MLXK_COMPLETE": f"source_{shell}"})
    assert done.code == 0
    assert "_MLXK_COMPLETE=complete_" in done.out
