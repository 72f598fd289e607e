from pathlib import Path

import pytest

from mlxk.app.settings import DEFAULT_PORT, LOG_LEVELS, ServerSettings, Settings
from mlxk.domain.errors import InvalidInput

VARIABLES = ("MLXK_WORKSPACE_HOME", "MLXK_MAX_TOKENS", "MLXK_LOG_LEVEL", "MLXK_LOG_JSON")


def test_nothing_set_gives_the_defaults() -> None:
    assert Settings.from_environment({}) == Settings(None, None, None, log_json=False)


@pytest.mark.parametrize("name", VARIABLES)
def test_an_empty_variable_counts_as_unset(name: str) -> None:
    assert Settings.from_environment({name: ""}) == Settings()


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("MLXK_WORKSPACE_HOME", "/ws", "workspace_home", Path("/ws")),
        ("MLXK_WORKSPACE_HOME", "relative", "workspace_home", Path("relative").absolute()),
        ("MLXK_MAX_TOKENS", "1", "max_tokens", 1),
        ("MLXK_MAX_TOKENS", "0512", "max_tokens", 512),
        *[("MLXK_LOG_LEVEL", level, "log_level", level) for level in LOG_LEVELS],
        ("MLXK_LOG_LEVEL", "DEBUG", "log_level", "debug"),
        *[("MLXK_LOG_JSON", text, "log_json", True) for text in ("1", "true", "Yes", "ON")],
        *[("MLXK_LOG_JSON", text, "log_json", False) for text in ("0", "false", "No", "off")],
    ],
)
def test_every_variable_is_read(name: str, text: str, field: str, value: object) -> None:
    assert getattr(Settings.from_environment({name: text}), field) == value


def test_the_home_directory_is_expanded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    found = Settings.from_environment({"MLXK_WORKSPACE_HOME": "~/ws"})
    assert found.workspace_home == tmp_path / "ws"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("MLXK_WORKSPACE_HOME", "~no-such-user/ws"),
        *[("MLXK_MAX_TOKENS", text) for text in ("0", "-1", "1.5", "many", " 1", "１", "1e3", "0x10")],
        ("MLXK_LOG_LEVEL", "loud"),
        ("MLXK_LOG_JSON", "perhaps"),
    ],
)
def test_a_value_that_means_nothing_is_named(name: str, text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Settings.from_environment({name: text})
    assert name in caught.value.message
    assert text in caught.value.message


def test_an_absurdly_large_limit_is_a_limit_all_the_same() -> None:
    limit = Settings.from_environment({"MLXK_MAX_TOKENS": "9" * 5000}).max_tokens
    assert limit is not None
    assert limit > 10**15


# The server's


@pytest.mark.parametrize("name", ["MLXK_HOST", "MLXK_PORT", "MLXK_API_KEY", "MLXK_MODEL"])
def test_an_empty_variable_of_the_server_counts_as_unset(name: str) -> None:
    assert ServerSettings.from_environment({name: ""}) == ServerSettings(port=DEFAULT_PORT)


def test_the_server_reads_its_own() -> None:
    environ = {"MLXK_HOST": "::1", "MLXK_PORT": "0", "MLXK_API_KEY": "key", "MLXK_MODEL": "demo"}
    assert ServerSettings.from_environment(environ) == ServerSettings("::1", 0, "key", "demo")


@pytest.mark.parametrize("text", ["abc", "-1", "1.5", "655350", "８０"])
def test_a_port_that_is_none_is_the_server_s_trouble_alone(text: str) -> None:
    assert Settings.from_environment({"MLXK_PORT": text}) == Settings()
    with pytest.raises(InvalidInput, match=f"MLXK_PORT .*{text}"):
        ServerSettings.from_environment({"MLXK_PORT": text})
