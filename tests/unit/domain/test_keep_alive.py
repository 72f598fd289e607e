"""How a keep-alive is written."""

import math

import pytest

from mlxk.domain.errors import InvalidInput
from mlxk.domain.keep_alive import DEFAULT_KEEP_ALIVE, KeepAlive, parse_keep_alive


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5m", 300), ("90s", 90), ("1.5h", 5400), ("2d", 172_800), ("250ms", 0.25), (" 5M ", 300),
        ("0", 0), (0, 0), (30, 30), (2.5, 2.5),
        (0.1 + 0.2, 0.1 + 0.2), (100 / 3, 100 / 3), (1e-05, 1e-05),
        ("-1", math.inf), (-1, math.inf), ("-5m", math.inf),
        (-1e-05, math.inf), (-0.1 - 0.2, math.inf), (10**9 - 1, 10**9 - 1), (0.0, 0), (-0.0, 0),
    ],
)  # fmt: skip
def test_a_duration_is_read(text: str | float, seconds: float) -> None:
    assert parse_keep_alive(text) == KeepAlive(seconds)


@pytest.mark.parametrize(
    "text",
    ["", "soon", "5 m", "m", "1e3", "--1", "5mm", "٥m", True,
     False, math.nan, math.inf, -math.inf, 10**9, -(10**400), 1e300, "9" * 40],
)  # fmt: skip
def test_what_is_no_duration_is_refused(text: str | float) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_keep_alive(text)
    assert caught.value.param == "keep_alive"
    assert caught.value.hint


def test_the_default_is_five_minutes() -> None:
    assert parse_keep_alive("5m") == DEFAULT_KEEP_ALIVE
