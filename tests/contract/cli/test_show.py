"""`mlxk show`, `mlxk schema` and `mlxk --version`."""

import json

import pytest

import mlxk as package
from mlxk.app.results import SPEC_VERSION
from mlxk.cli.output.schemas import schema_of, schemas
from tests.contract.cli.conftest import Run
from tests.contract.damaged_models import CachedModel, healthy_model
from tests.isolation import Place
from tests.json_contract import check_schema

OLD, NEW = "b" * 40, "1234567890abcdef1234567890abcdef12345678"


@pytest.fixture
def tiny(place: Place) -> CachedModel:
    old = healthy_model(place.hub, "org/tiny", commit=OLD)
    old.refer("v1")
    return healthy_model(place.hub, "org/tiny", commit=NEW)


def test_show_is_a_page_for_people(tiny: CachedModel, mlxk: Run) -> None:
    done = mlxk("show", "tiny")
    assert (done.code, done.err) == (0, "")
    heading, *rows = done.out.splitlines()
    assert heading == "org/tiny"
    fields = dict(row.split(maxsplit=1) for row in rows)
    assert fields["Path"] == str(tiny.snapshot)
    assert fields["Commit"] == NEW
    assert fields["Type"] == "chat"
    assert fields["Capabilities"] == "text-generation, chat"
    assert fields["Context"] == "2,048 tokens"
    assert fields["Quantization"] == "4 bits, group size 64"
    assert fields["Health"] == "healthy"
    assert fields["Runs"] == "here     yes"


def test_show_with_files_and_config(tiny: CachedModel, mlxk: Run) -> None:
    data = mlxk("show", "tiny", "--files", "--config", "--json").data
    assert [file["name"] for file in data["files"]] == [
        "README.md",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert {file["name"]: file["type"] for file in data["files"]}["model.safetensors"] == "weights"
    assert data["config"] == json.loads((tiny.snapshot / "config.json").read_text())
    assert sum(file["size_bytes"] for file in data["files"]) == data["model"]["size_bytes"]
    assert data["metadata"]["model_type"] == "llama"
    text = mlxk("show", "tiny", "--files", "--config").out
    assert "\nFiles\nName " in text
    assert '\nconfig.json\n{\n  "model_type": "llama",' in text
    plain = mlxk("show", "tiny", "--json").data
    assert not {"files", "config"} & set(plain)


@pytest.mark.parametrize(
    ("spec", "commit"), [("tiny", NEW), ("tiny@main", NEW), ("org/tiny@v1", OLD), ("TINY@bbb", OLD)]
)
def test_show_takes_a_revision(tiny: CachedModel, mlxk: Run, spec: str, commit: str) -> None:
    assert mlxk("show", spec, "--json").data["model"]["hash"] == commit


@pytest.mark.parametrize("command", [None, *schemas()])
def test_schema_prints_the_published_schema(place: Place, mlxk: Run, command: str | None) -> None:
    arguments = ["schema", *([command] if command else [])]
    printed = json.loads(mlxk(*arguments).out)
    assert printed == (schema_of(command) if command else {name: schema_of(name) for name in schemas()})
    assert mlxk(*arguments, "--json").data == printed
    if command:
        check_schema(printed)


def test_the_version_is_where_scripts_look_for_it(place: Place, mlxk: Run) -> None:
    data = mlxk("--version", "--json").data
    assert data["cli_version"] == package.__version__
    assert data["json_api_spec_version"] == SPEC_VERSION
    assert data["system"]["memory_total_bytes"] > 0
    assert mlxk("--version").out == f"mlxk {package.__version__} (JSON API {SPEC_VERSION})\n"


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["run", "--help"], ["list", "-h"]], ids=" ".join)
def test_help_helps(place: Place, mlxk: Run, arguments: list[str]) -> None:
    done = mlxk(*arguments)
    assert (done.code, done.err) == (0, "")
    assert "Usage: mlxk" in done.out
