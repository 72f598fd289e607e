"""The contract of `Host`: this machine, and one of the test's choice."""

from pathlib import Path

import pytest

from mlxk.adapters.host import ThisMachine
from mlxk.domain.ports import Host
from tests.memory_ports import FixedHost


@pytest.fixture(params=["memory", "this machine"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Host:
    return FixedHost() if request.param == "memory" else ThisMachine(tmp_path)


def test_memory_is_there_and_no_more_is_available_than_there_is(host: Host) -> None:
    memory = host.memory()
    assert 0 < memory.available <= memory.total


def test_the_text_runtime_knows_its_families(host: Host) -> None:
    text = host.runtimes().text
    assert text is not None
    assert (text.name, bool(text.version)) == ("mlx-lm", True)
    assert text.knows({"model_type": "llama"})
    assert not text.knows({"model_type": "no-such-family"})
    assert not text.knows({})


def test_asking_twice_gives_the_same(host: Host) -> None:
    assert host.runtimes() == host.runtimes()
