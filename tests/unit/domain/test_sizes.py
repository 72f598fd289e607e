"""Sizes for people."""

import pytest

from mlxk.domain.sizes import human_size


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0B"),
        (999, "999B"),
        (1000, "1.0KB"),
        (1234, "1.2KB"),
        (999_949, "999.9KB"),
        (999_950, "1.0MB"),
        (4_300_000_000, "4.3GB"),
        (10**15, "1.0PB"),
        (10**19, "10000.0PB"),
    ],
)
def test_decimal_units_with_one_digit(count: int, text: str) -> None:
    assert human_size(count) == text
