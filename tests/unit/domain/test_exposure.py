"""Who can reach a server by its address."""

import pytest

from mlxk.domain.errors import InvalidInput
from mlxk.domain.exposure import is_everywhere, is_loopback, refuse_open_door

LOOPBACK = ["127.0.0.1", "127.8.9.10", "::1", "localhost", "LocalHost"]
OPEN = ["0.0.0.0", "::", "192.168.1.2", "10.0.0.1", "mac.local", "localhost.example", "", "::2"]


@pytest.mark.parametrize("host", LOOPBACK)
def test_only_this_machine_reaches_loopback(host: str) -> None:
    assert is_loopback(host)
    assert not is_everywhere(host)
    refuse_open_door(host, ())


@pytest.mark.parametrize("host", OPEN)
def test_what_others_may_reach_needs_a_key(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(InvalidInput, match="no API key") as caught:
        refuse_open_door(host, ())
    assert "--insecure" in (caught.value.hint or "")
    refuse_open_door(host, ("key",))


@pytest.mark.parametrize("host", OPEN)
def test_every_interface_has_two_names(host: str) -> None:
    assert is_everywhere(host) == (host in ("0.0.0.0", "::"))
