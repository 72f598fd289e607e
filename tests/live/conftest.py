"""Live tests: the user's own models, read and run, never changed. Opt in with MLXK_LIVE=1."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache

import pytest

from mlxk.adapters.host import ThisMachine
from mlxk.domain.memory import live_test_budget


@dataclass(frozen=True, slots=True)
class LiveModel:
    """A model of the user's, as `mlxk list --json` tells of it."""

    name: str
    size: int
    capabilities: frozenset[str]
    usable: bool
    reason: str | None


def mlxk(*arguments: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    """Run mlxk as the user would; only commands that read."""
    assert arguments[0] in {"list", "show", "health", "run"}, "live tests never change anything"
    return subprocess.run(
        [sys.executable, "-m", "mlxk", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@cache
def portfolio() -> tuple[LiveModel, ...]:
    """Every model here, discovered the way a script would."""
    listed = json.loads(mlxk("list", "--json").stdout)
    return tuple(
        LiveModel(
            name=model["name"],
            size=model["size_bytes"],
            capabilities=frozenset(model["capabilities"]),
            usable=model["framework"] == "MLX" and model["runtime_compatible"],
            reason=model["reason"],
        )
        for model in listed["data"]["models"]
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test id per model, so that a failure names the model."""
    if "live_model" not in metafunc.fixturenames:
        return
    if not os.environ.get("MLXK_LIVE"):
        reason = "live tests read the user's own models: opt in with MLXK_LIVE=1"
        metafunc.parametrize(
            "live_model", [pytest.param(None, marks=pytest.mark.skip(reason=reason))], ids=["-"]
        )
        return
    models = portfolio()
    metafunc.parametrize("live_model", models, ids=[model.name for model in models])


@pytest.fixture
def within_budget(live_model: LiveModel) -> LiveModel:
    """The model, unless it does not run here or is too large for this machine's test budget."""
    if not live_model.usable:
        pytest.skip(f"does not run here: {live_model.reason}")
    budget = live_test_budget(ThisMachine().memory())
    if live_model.size > budget:
        pytest.skip(f"{live_model.size:,} bytes; live tests use up to {budget:,} of this machine's memory")
    return live_model
