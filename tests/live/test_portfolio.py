"""Every model of the user's: told about truthfully, and answering if it is a text model."""

import json

import pytest

from tests.live.conftest import LiveModel, mlxk

pytestmark = pytest.mark.live


def test_show_and_health_agree(live_model: LiveModel) -> None:
    shown = json.loads(mlxk("show", live_model.name, "--json").stdout)
    checked = json.loads(mlxk("health", live_model.name, "--json").stdout)

    statuses = {
        model["name"]: model["status"] for model in checked["data"]["healthy"] + checked["data"]["unhealthy"]
    }
    assert shown["data"]["model"]["health"] == statuses[live_model.name]


def test_a_text_model_answers(within_budget: LiveModel) -> None:
    if "text-generation" not in within_budget.capabilities:
        pytest.skip("not a text model")

    done = mlxk("run", within_budget.name, "Say hello.", "--max-tokens", "32", "--temperature", "0", "--json")

    answer = json.loads(done.stdout)
    assert answer["status"] == "success", answer["error"]
    assert answer["data"]["tokens_generated"] > 0
    assert answer["data"]["response"].strip() or answer["data"].get("reasoning")
