"""Shell completion through the protocols of bash, zsh and fish, as their scripts speak it."""

from collections.abc import Callable, Mapping

import pytest

from mlxk.cli.main import run_program
from tests.contract.cli.conftest import Outcome, Run
from tests.contract.damaged_models import healthy_model
from tests.isolation import Place

Complete = Callable[[str], list[str]]
Speak = Callable[[Mapping[str, str | None]], Outcome]


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


def _bash(run: Speak, line: str) -> list[str]:
    last = str(line.count(" "))
    done = run({"_MLXK_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": last})
    return done.out.split()


def _zsh(run: Speak, line: str) -> list[str]:
    done = run({"_MLXK_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": line})
    if "_arguments" not in done.out:
        return []
    inside = done.out.partition("((")[2].rpartition("))")[0]
    return [entry.split('"')[1] for entry in inside.splitlines()]


def _fish(run: Speak, line: str) -> list[str]:
    variables = {"_MLXK_COMPLETE": "complete_fish", "_TYPER_COMPLETE_ARGS": line}
    done = run({**variables, "_TYPER_COMPLETE_FISH_ACTION": "get-args"})
    has = run({**variables, "_TYPER_COMPLETE_FISH_ACTION": "is-args"})
    assert has.code == (0 if done.out.strip() else 1)
    return [entry.partition("\t")[0] for entry in done.out.splitlines() if entry]


SHELLS = {"bash": _bash, "zsh": _zsh, "fish": _fish}


@pytest.fixture
def speak(place: Place, capfd: pytest.CaptureFixture[str]) -> Speak:
    """Ask for completions in this process, as a shell's script does by the environment."""

    def ask(variables: Mapping[str, str | None]) -> Outcome:
        capfd.readouterr()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.delenv(name, raising=False)
                if value is not None:
                    patch.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                run_program([])
        out, err = capfd.readouterr()
        assert err == ""
        return Outcome(int(ended.value.code or 0), out, err)

    return ask


@pytest.fixture(params=SHELLS)
def complete(request: pytest.FixtureRequest, speak: Speak) -> Complete:
    return lambda line: SHELLS[request.param](speak, line)


def test_commands_flags_names_and_paths(models: Place, complete: Complete) -> None:
    assert {"list", "show", "health", "run", "schema"} <= set(complete("mlxk "))
    assert complete("mlxk he") == ["health"]
    assert {"--all", "--health", "--verbose"} <= set(complete("mlxk list --"))
    assert complete("mlxk run demo --temp") == ["--temperature"]
    names = ["demo", "mine", "mlx-community/Llama-3.2-1B", "org/other"]
    for command in ("show", "run", "list", "health"):
        assert complete(f"mlxk {command} ") == names
    assert complete("mlxk show Llama") == ["Llama-3.2-1B"]
    assert complete("mlxk show mlx-c") == ["mlx-community/Llama-3.2-1B"]
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
        ("o", ["org/other"]),
        ("Ll", ["Llama-3.2-1B"]),
    ],
)
def test_what_one_shell_is_offered(models: Place, speak: Speak, typed: str, offered: list[str]) -> None:
    assert _bash(speak, f"mlxk show {typed}") == offered


@pytest.mark.parametrize("shell", SHELLS)
def test_a_process_of_its_own_answers_the_same(models: Place, process: Run, shell: str) -> None:
    def ask(variables: Mapping[str, str | None]) -> Outcome:
        return process(environ=variables)

    assert SHELLS[shell](ask, "mlxk run d") == ["demo"]


@pytest.mark.parametrize("damage", ["cache is a file", "wrong setting", "no home"])
def test_a_broken_place_completes_to_nothing(models: Place, speak: Speak, damage: str) -> None:
    environ: dict[str, str | None] = {"_MLXK_COMPLETE": "complete_bash", "COMP_CWORD": "2"}
    if damage == "cache is a file":
        environ["HF_HUB_CACHE"] = str(models.work / "file")
    elif damage == "wrong setting":
        environ["MLXK_LOG_LEVEL"] = "loud"
    else:
        environ |= {"HOME": None, "HF_HOME": None, "XDG_CACHE_HOME": None, "MLXK_WORKSPACE_HOME": None}
    done = speak({**environ, "COMP_WORDS": "mlxk show qqq"})
    assert (done.code, done.out.strip()) == (0, "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_printed(place: Place, process: Run, shell: str) -> None:
    done = process(environ={"_MLXK_COMPLETE": f"source_{shell}"})
    assert done.code == 0
    assert "_MLXK_COMPLETE=complete_" in done.out
