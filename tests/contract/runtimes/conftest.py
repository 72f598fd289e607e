"""Tiny real models, built once per session, and engines over them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlxk.adapters.runtimes.text import MlxTextRuntime
from mlxk.adapters.runtimes.text_engine import TextEngine
from tests.contract import tiny_models as tiny

Load = Callable[..., TextEngine]

BUILDERS = {
    "llama": tiny.build_llama,
    "qwen3": tiny.build_qwen3,
    "gemma": tiny.build_gemma,
    "gemma3": tiny.build_gemma3,
    "phi3": tiny.build_phi3,
    "llama4": tiny.build_llama4,
    "mamba": tiny.build_mamba,
}
FAMILIES = (*BUILDERS, "llama-4bit")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The directory of a model by name, built when first asked for."""
    root = tmp_path_factory.mktemp("models")
    built: dict[str, Path] = {}

    def build(name: str) -> Path:
        if name == "overfitted":
            return tiny.build_overfitted_qwen3(root / name)
        if name == "opens-thinking":
            return tiny.with_chat_template(model("overfitted"), root / name)
        if name == "no-template":
            return tiny.with_chat_template(model("overfitted"), root / name, None)
        if name == "forgets-end":
            return tiny.without_end_of_turn(model("overfitted"), root / name)
        if name == "llama-4bit":
            return tiny.build_quantized(model("llama"), root / name)
        return BUILDERS[name](root / name)

    def model(name: str) -> Path:
        if name not in built:
            built[name] = build(name)
        return built[name]

    return model


@pytest.fixture
def load(models: Callable[[str], Path]) -> Iterator[Load]:
    """Load a model by name into a fresh engine; all are closed after the test."""
    engines: list[TextEngine] = []

    def load(name: str, *, prompt_cache_bytes: int = 2**26) -> TextEngine:
        engine = MlxTextRuntime(prompt_cache_bytes=prompt_cache_bytes).load(models(name))
        engines.append(engine)
        return engine

    yield load
    for engine in engines:
        engine.close()


@pytest.fixture
def overfitted(load: Load) -> TextEngine:
    return load("overfitted")
