"""Where the cache is: what `huggingface_hub` itself says of the same environment."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlxk.adapters.hf_cache import cache_root
from mlxk.domain.errors import ErrorKind, MlxkError

_ASK_THE_HUB = """
import json, os, runpy, sys
import huggingface_hub.constants
answers = []
for environ in json.load(sys.stdin):
    os.environ.clear()
    os.environ.update(environ)
    answers.append(os.path.abspath(runpy.run_path(huggingface_hub.constants.__file__)["HF_HUB_CACHE"]))
json.dump(answers, sys.stdout)
"""

ENVIRONMENTS = [
    {"HOME": "/home/ada"},
    {},
    {"HOME": "/home/ada/"},
    {"HOME": "/home/ada", "XDG_CACHE_HOME": "/var/caches"},
    {"HOME": "/home/ada", "XDG_CACHE_HOME": "~/caches"},
    {"HOME": "/home/ada", "HF_HOME": "/models"},
    {"HOME": "/home/ada", "HF_HOME": "~/models/"},
    {"HOME": "/home/ada", "HF_HOME": "$DISK/models", "DISK": "/mnt/big"},
    {"HOME": "/home/ada", "HF_HOME": "${DISK}/models", "DISK": "~/big"},
    {"HOME": "/home/ada", "HF_HOME": "$NOWHERE/models"},
    {"HOME": "/home/ada", "HF_HOME": "/models", "XDG_CACHE_HOME": "/var/caches"},
    {"HOME": "/home/ada", "HF_HOME": "/models", "HUGGINGFACE_HUB_CACHE": "/legacy"},
    {"HOME": "/home/ada", "HUGGINGFACE_HUB_CACHE": "~/legacy"},
    {"HOME": "/home/ada", "HUGGINGFACE_HUB_CACHE": "/legacy", "HF_HUB_CACHE": "/now"},
    {"HOME": "/home/ada", "HF_HUB_CACHE": "~/now"},
    {"HOME": "/home/ada", "HF_HUB_CACHE": "~nobody-of-that-name/now"},
    {"HOME": "/home/ada", "HF_HUB_CACHE": "relative/now"},
    {"HOME": "/home/ada", "HF_HUB_CACHE": "/a//b/../c/$A$B", "A": "x", "B": "y"},
]


@pytest.fixture(scope="module")
def answers_of_the_hub() -> list[str]:
    asked = subprocess.run(
        [sys.executable, "-c", _ASK_THE_HUB],
        input=json.dumps(ENVIRONMENTS),
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(asked.stdout)
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize("number", range(len(ENVIRONMENTS)), ids=lambda number: str(ENVIRONMENTS[number]))
def test_it_is_where_the_hub_library_says(number: int, answers_of_the_hub: list[str]) -> None:
    root = cache_root(ENVIRONMENTS[number])

    assert root is not None
    assert root.is_absolute()
    assert os.path.normpath(root) == answers_of_the_hub[number]


@pytest.mark.parametrize("name", ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"])
def test_an_empty_variable_counts_as_unset(name: str) -> None:
    assert cache_root({"HOME": "/home/ada", name: ""}) == Path("/home/ada/.cache/huggingface/hub")


def test_without_any_home_there_is_no_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getuid", lambda: 4_000_000_000)

    assert cache_root({}) is None
    assert cache_root({"HF_HOME": "~/models"}) is None
    assert cache_root({"HF_HOME": "/models"}) == Path("/models/hub")


def test_a_relative_path_needs_a_directory_to_start_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    with pytest.raises(MlxkError) as refused:
        cache_root({"HF_HUB_CACHE": "relative"})
    assert refused.value.kind is ErrorKind.PERMISSION
    assert refused.value.hint
