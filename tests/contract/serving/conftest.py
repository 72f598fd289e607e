"""A place with tiny models by name, and one server over it that the tests of a module share."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests.contract import tiny_models as tiny
from tests.contract.serving.running import LIMIT, Served, serving
from tests.isolation import Place, isolated_place

PARROT = "parrot"
"""The overfitted model: it thinks, calls tools, and its answers are known."""

PLAIN, LARGE = "plain", "large"
"""Random llamas of two sizes."""


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models, built once per session."""
    root = tmp_path_factory.mktemp("tiny")
    tiny.build_overfitted_qwen3(root / PARROT)
    tiny.build_llama(root / PLAIN)
    tiny.build_llama(root / LARGE, hidden_size=256, intermediate_size=512)
    return root


@pytest.fixture(scope="module")
def served_place(tiny_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """An isolated place whose workspace home holds the tiny models."""
    place = isolated_place(tmp_path_factory.mktemp("served") / "place")
    shutil.copytree(tiny_models, place.workspaces, dirs_exist_ok=True)
    return place


@pytest.fixture(scope="module")
def served(served_place: Place) -> Iterator[Served]:
    """A server with default settings."""
    with serving(served_place) as server:
        yield server


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    """The OpenAI SDK, as users have it."""
    with openai.OpenAI(base_url=f"{served.base_url}/v1", api_key="any", timeout=LIMIT, max_retries=0) as sdk:
        yield sdk
