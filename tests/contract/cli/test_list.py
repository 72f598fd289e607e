"""`mlxk list`."""

from pathlib import Path

import pytest

from mlxk.cli.output.human import PIPE_WIDTH
from tests.contract.cli.conftest import Run
from tests.contract.cli.terminal import Terminal
from tests.contract.damaged_models import DAMAGED, CachedModel, healthy_model, weights
from tests.isolation import Place

LONG = "a-rather-long-organisation/" + "-".join(["Model", *map(str, range(20)), "4bit"])
COMMIT = "1234567890abcdef1234567890abcdef12345678"


@pytest.fixture
def models(place: Place) -> Place:
    """Two good models, a damaged one, one for PyTorch, and two workspaces."""
    healthy_model(place.hub, "mlx-community/Llama-tiny")
    healthy_model(place.hub, LONG)
    DAMAGED["shard_missing"](place.hub, "org/damaged")
    torch = CachedModel(place.hub / "models--org--torch")
    torch.add_json("config.json", {"model_type": "llama"})
    torch.add("model.safetensors", weights("a.weight").replace(b'"mlx"', b'"pt" '))
    for directory in (place.workspaces / "mine", place.work / "local", place.work / "other"):
        directory.mkdir()
        (directory / "config.json").write_text('{"model_type": "llama", "quantization": {"bits": 4}}')
        (directory / "model.safetensors").write_bytes(weights("a.weight"))
    return place


def lines(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def first_column(text: str) -> list[str]:
    """The names of a table, folded ones put together."""
    heading, *rows = text.splitlines()
    names: list[str] = []
    width = heading.index("Hash")
    for row in rows:
        if row[width:].strip():
            names.append("")
        names[-1] += row[:width].strip()
    return names


def test_people_see_what_runs_here(models: Place, mlxk: Run) -> None:
    done = mlxk("list")
    assert done.code == 0
    heading, *rows = lines(done.out)
    assert heading == ["Name", "Hash", "Size", "Modified", "Src", "Type"]
    assert [row[0] for row in rows] == ["mine", LONG, "Llama-tiny", "demo"]
    assert rows[2][1] == COMMIT[:7]
    assert [row[-2:] for row in rows] == [
        ["ws?", "base"],
        ["cache", "chat"],
        ["cache", "chat"],
        ["bundled", "chat"],
    ]
    assert done.err == "2 more that do not run here; --all shows them, --all --health says why.\n"


def test_all_shows_every_state_and_health_says_why(models: Place, mlxk: Run) -> None:
    done = mlxk("list", "--all", "--health")
    assert done.err == ""
    assert lines(done.out)[0][-2:] == ["Health", "Reason"]
    shown = {line.split()[0]: line for line in done.out.splitlines()}
    assert "Missing weight shards: model-00002-of-00002.safetensors" in shown["org/damaged"]
    assert "does not run  PyTorch weights do not run on MLX" in shown["org/torch"]
    assert shown["Llama-tiny"].split()[-2:] == ["healthy", "-"]


def test_verbose_has_full_names_and_more_columns(models: Place, mlxk: Run) -> None:
    done = mlxk("list", "--verbose", "--all", "--health")
    heading, *rows = lines(done.out)
    assert heading[-5:] == ["Framework", "Clean", "Integrity", "Runtime", "Reason"]
    assert [row[0] for row in rows] == [
        str(models.workspaces / "mine"),
        LONG,
        "mlx-community/Llama-tiny",
        "org/damaged",
        "org/torch",
        "demo",
    ]
    by_name = {row[0]: row for row in rows}
    assert by_name["org/damaged"][6:10] == ["MLX", "-", "unhealthy", "no"]
    assert by_name["mlx-community/Llama-tiny"][-4:] == ["-", "healthy", "yes", "-"]


@pytest.mark.parametrize(
    "flags", [[], ["--all"], ["--health"], ["--verbose"], ["-q"], ["-a", "-v", "-q"]], ids=" ".join
)
def test_json_always_has_everything(models: Place, mlxk: Run, flags: list[str]) -> None:
    data = mlxk("list", "--json", *flags).data
    assert [model["name"] for model in data["models"]] == [
        str(models.workspaces / "mine"),
        LONG,
        "mlx-community/Llama-tiny",
        "org/damaged",
        "org/torch",
        "demo",
    ]
    assert data["count"] == 6


def test_json_describes_a_model_as_scripts_know_it(models: Place, mlxk: Run) -> None:
    (model,) = mlxk("list", "--json", "Llama-tiny").data["models"]
    modified, size = model.pop("last_modified"), model.pop("size_bytes")
    assert modified.endswith("Z")
    assert size > 256
    assert model == {
        "name": "mlx-community/Llama-tiny",
        "hash": COMMIT,
        "framework": "MLX",
        "model_type": "chat",
        "capabilities": ["text-generation", "chat"],
        "health": "healthy",
        "runtime_compatible": True,
        "reason": None,
        "cached": True,
        "origin": None,
        "content_hash": None,
        "hash_modified": None,
        "clean": None,
        "display_name": None,
        "source": "cache",
        "context_length": 2048,
        "quantization": {"bits": 4, "group_size": 64},
    }


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("llama", ["mlx-community/Llama-tiny"]),
        ("ORG", ["org/damaged", "org/torch", LONG]),
        ("mine", ["mine"]),
        ("demo", ["demo"]),
        ("nothing", []),
        (".", ["./local", "./other"]),
        ("./", ["./local", "./other"]),
        ("./lo", ["./local"]),
        ("../workspaces", ["../workspaces/mine"]),
        ("~/", []),
    ],
)
def test_a_pattern_filters(models: Place, mlxk: Run, pattern: str, names: list[str]) -> None:
    found = mlxk("list", "--json", pattern).data["models"]
    shown = [model["display_name"] or model["name"].removeprefix(f"{models.workspaces}/") for model in found]
    assert sorted(shown) == sorted(names)
    text = mlxk("list", "--all", pattern)
    assert text.code == 0
    assert sorted(row[0] for row in lines(text.out)[1:]) == sorted(
        name.removeprefix("mlx-community/") for name in names
    )


def test_nothing_to_list_is_said_on_stderr(models: Place, mlxk: Run) -> None:
    done = mlxk("list", "nothing")
    assert (done.code, done.out, done.err) == (0, "", "No model matches 'nothing'.\n")
    assert mlxk("list", "nothing", "-q").err == ""
    assert mlxk("-q", "list").err == ""


def test_a_pipe_gets_whole_lines_without_padding_or_colour(models: Place, mlxk: Run) -> None:
    done = mlxk("list", "--all", "--health", "--verbose")
    assert len(done.out.splitlines()) == 7
    assert "\x1b" not in done.out
    assert not any(line != line.rstrip() for line in done.out.splitlines())
    assert max(map(len, done.out.splitlines())) < PIPE_WIDTH // 10


@pytest.mark.parametrize("columns", [80, 200])
def test_a_terminal_folds_names_and_cuts_none(models: Place, columns: int) -> None:
    with Terminal(models, ["list", "-q"], columns=columns, environ={"NO_COLOR": "1"}) as terminal:
        assert terminal.wait() == 0
    assert not any(cut in terminal.output for cut in ("…", "\x1b"))
    assert max(map(len, terminal.output.splitlines())) <= columns
    assert first_column(terminal.output) == [
        "mine",
        LONG,
        "Llama-tiny",
        "demo",
    ]


@pytest.mark.parametrize("flags", [["--all", "--health"], ["--all", "--health", "--verbose"]], ids=" ".join)
def test_a_narrow_terminal_loses_no_reason(models: Place, flags: list[str]) -> None:
    with Terminal(models, ["list", *flags], environ={"TERM": "dumb"}) as terminal:
        assert terminal.wait() == 0
    below = terminal.output.splitlines()
    assert "org/torch: PyTorch weights do not run on MLX" in below
    assert "org/damaged: Missing weight shards: model-00002-of-00002.safetensors" in below
    assert LONG in first_column(terminal.output)
    assert "\x1b" not in terminal.output


def test_control_characters_and_undecodable_names_cannot_reach_a_terminal(place: Place, mlxk: Run) -> None:
    healthy_model(place.hub, "org/evil\x1b[31m\x07name")
    healthy_model(place.hub, "org/tab\tnew\nline")
    (place.hub / "models--org--undecodable\udcff").mkdir()
    (place.hub / "models--org--undecodable\udcff" / "blobs").mkdir()
    (place.hub / "models--org--undecodable\udcff" / "blobs" / "x").write_text("x")
    for arguments in (["list", "--all"], ["health"]):
        done = mlxk(*arguments)
        assert done.code == 0
        assert not any(char in done.out for char in "\x1b\x07\t\r")
        assert "evil\N{REPLACEMENT CHARACTER}[31m" in done.out
    names = [model["name"] for model in mlxk("list", "--json").data["models"]]
    assert "org/evil\x1b[31m\x07name" in names
    assert "org/undecodable\N{REPLACEMENT CHARACTER}" in names
    (line,) = mlxk("list", "--json").out.splitlines()
    assert "\x1b" not in line


def test_a_workspace_elsewhere_is_listed_by_its_path(models: Place, mlxk: Run, tmp_path: Path) -> None:
    (model,) = mlxk("list", "--json", "./local").data["models"]
    assert (model["name"], model["display_name"]) == (str(models.work / "local"), "./local")
    assert (model["cached"], model["source"]) == (False, "workspace")
    (model,) = mlxk("list", "--json", str(models.work / "local")).data["models"]
    assert model["display_name"] is None
    assert mlxk("list", "./local").out.splitlines()[1].startswith("./local ")
