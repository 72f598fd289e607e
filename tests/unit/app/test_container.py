"""The container joins, tests can replace any part, and nobody pays for what they do not use."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlxk.app.container import container_for
from mlxk.app.show import ShowRequest
from mlxk.domain.errors import InvalidInput
from mlxk.domain.memory import MemoryFacts
from tests.memory_ports import FixedHost, MemoryModelStore, Repository

HEAVY = (
    "fastapi", "huggingface_hub", "mlx", "mlx_audio", "mlx_lm", "mlx_vlm", "numpy", "requests", "tokenizers",
    "torch", "transformers", "uvicorn",
)  # fmt: skip
DEMO = "You are welcome"


TYPER_CONVERTERS = "typer._adapters"
"""What Typer imports, and pydantic's types with it, to convert values."""


def test_any_provider_can_be_replaced(tmp_path: Path) -> None:
    container = container_for({"HF_HUB_CACHE": str(tmp_path)})
    container.cache.override(MemoryModelStore(Repository("org/mine", ["a" * 40])))
    container.remembered.override(tmp_path)
    assert [model.name for model in container.list_models()().models] == ["org/mine", "demo"]


def test_adapters_are_built_once_and_use_cases_anew(tmp_path: Path) -> None:
    container = container_for({"HF_HUB_CACHE": str(tmp_path)})
    assert container.cache() is container.cache()
    assert container.catalog() is container.catalog()
    assert container.run() is not container.run()


def test_containers_share_nothing(tmp_path: Path) -> None:
    one = container_for({"HF_HUB_CACHE": str(tmp_path / "one"), "MLXK_MAX_TOKENS": "1"})
    two = container_for({"HF_HUB_CACHE": str(tmp_path / "two"), "MLXK_MAX_TOKENS": "2"})
    one.host.override(FixedHost(MemoryFacts(1, 1)))
    assert one.cache_directory() != two.cache_directory()
    assert (one.settings().max_tokens, two.settings().max_tokens) == (1, 2)
    assert two.host().memory().total > 1


def test_a_wrong_setting_is_said_when_it_is_read() -> None:
    container = container_for({"MLXK_LOG_LEVEL": "loud"})
    with pytest.raises(InvalidInput):
        container.settings()


def test_the_bundled_model_is_found_without_any_cache(tmp_path: Path) -> None:
    container = container_for({"HF_HUB_CACHE": str(tmp_path / "none")})
    container.remembered.override(tmp_path)
    model = container.show()(ShowRequest("demo")).model
    assert (model.name, model.health, model.runtime_compatible) == ("demo", "healthy", True)


def modules_after(arguments: list[str], tmp_path: Path, **variables: str) -> set[str]:
    """The modules that a run of the program leaves in `sys.modules`."""
    program = (
        "import sys\n"
        "from mlxk.cli.main import run_program\n"
        "try: run_program(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "found = {name for name, module in sys.modules.items() if module}\n"
        "print('\\n' + ' '.join(found))"
    )
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    environ = {**kept, "HOME": str(tmp_path), "HF_HOME": str(tmp_path / "hf"), **variables}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=environ, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "arguments",
    [["list"], ["list", "--all", "--health", "--json"], ["show", "demo", "--files"], ["health", "--verify"]],
    ids=" ".join,
)
def test_looking_at_models_loads_no_runtime_and_no_hub_client(arguments: list[str], tmp_path: Path) -> None:
    loaded = modules_after(arguments, tmp_path)
    assert "dependency_injector" in loaded
    assert loaded & {*HEAVY, TYPER_CONVERTERS, "pydantic"} == set()


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"], []], ids=" ".join)
def test_help_and_version_load_no_container(arguments: list[str], tmp_path: Path) -> None:
    loaded = modules_after(arguments, tmp_path)
    assert loaded & {*HEAVY, "dependency_injector", "structlog", "psutil"} == set()


def test_typer_still_loads_its_converters_where_numbers_are_converted(tmp_path: Path) -> None:
    """Else the tests above would look for a module that Typer no longer has."""
    assert TYPER_CONVERTERS in modules_after(["run", "demo", "--top-k", "none"], tmp_path)


@pytest.mark.parametrize("words", ["mlxk show de", "mlxk run ./", "mlxk li"])
def test_completion_loads_no_container(words: str, tmp_path: Path) -> None:
    loaded = modules_after(
        [], tmp_path, _MLXK_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(words.count(" "))
    )
    assert loaded & {*HEAVY, "dependency_injector", "structlog", "psutil", "pydantic"} == set()


def test_importing_the_package_loads_nothing_else(tmp_path: Path) -> None:
    path = [str(Path(__file__).parents[3] / "typings")]  # where mlxk is found without any installed package
    program = f"import sys; sys.path[:0] = {path}; import mlxk, mlxk.domain.health; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", program],
        capture_output=True, text=True, check=True, timeout=60, cwd=tmp_path,
    )  # fmt: skip
    foreign = {name.partition(".")[0] for name in done.stdout.split()} - set(sys.stdlib_module_names)
    assert foreign <= {"mlxk", "__main__", "__mp_main__"}
