"""RAM budgets and gates."""

import pytest

from mlxk.domain.errors import InvalidInput
from mlxk.domain.memory import (
    MemoryFacts,
    Verdict,
    gate_audio,
    gate_text,
    gate_vision,
    live_test_budget,
    parse_budget,
    pool_budget,
)

GIB = 1024**3


def machine(total: float, available: float | None = None) -> MemoryFacts:
    return MemoryFacts(int(total * GIB), int((total if available is None else available) * GIB))


@pytest.mark.parametrize(
    ("total", "percent"),
    [
        (8, 40),
        (16, 40),
        (24, 40),
        (29, 40),
        (32, 50),
        (48, 50),
        (64, 60),
        (89, 60),
        (96, 70),
        (128, 70),
        (512, 70),
    ],
)
def test_live_tests_may_use_a_part_that_grows_in_steps(total: int, percent: int) -> None:
    assert live_test_budget(machine(total)) == pytest.approx(total * GIB * percent / 100, abs=1)


@pytest.mark.parametrize("total", [8, 16, 32, 48, 64, 96])
def test_the_pool_may_use_70_percent(total: int) -> None:
    assert pool_budget(machine(total)) == pytest.approx(0.7 * total * GIB, abs=1)


class TestText:
    @pytest.mark.parametrize(
        ("size", "verdict"),
        [
            (0, Verdict.FITS),
            (9.3, Verdict.FITS),  # × 1.2 = 11.16; 70 % of 16 are 11.2
            (9.4, Verdict.TIGHT),
            (13.3, Verdict.TIGHT),  # × 1.2 = 15.96
            (13.4, Verdict.REFUSED),
            (100, Verdict.REFUSED),
        ],
    )
    def test_of_16_gib(self, size: float, verdict: Verdict) -> None:
        assert gate_text(int(size * GIB), machine(16)).verdict is verdict

    def test_it_fits_to_the_byte(self) -> None:
        assert gate_text(10, MemoryFacts(12, 12)).verdict is Verdict.TIGHT
        assert gate_text(11, MemoryFacts(12, 12)).verdict is Verdict.REFUSED

    def test_what_is_available_just_now_does_not_matter(self) -> None:
        assert gate_text(GIB, machine(16, available=0.1)).verdict is Verdict.FITS

    def test_the_numbers_are_told(self) -> None:
        refused = gate_text(20 * GIB, machine(16))
        assert (refused.needed, refused.allowed) == (24 * GIB, 16 * GIB)
        assert refused.reason == "needs 24.0 GiB, this machine has 16.0 GiB"
        tight = gate_text(10 * GIB, machine(16))
        assert tight.allowed == int(0.7 * 16 * GIB)
        assert tight.reason == "needs 12.0 GiB of 16.0 GiB; expect swapping"
        assert gate_text(GIB, machine(16)).reason is None


class TestVision:
    @pytest.mark.parametrize(
        ("size", "verdict"),
        [(1, Verdict.FITS), (22.3, Verdict.FITS), (22.5, Verdict.REFUSED), (40, Verdict.REFUSED)],
    )
    def test_of_32_gib(self, size: float, verdict: Verdict) -> None:
        assert gate_vision(int(size * GIB), machine(32)).verdict is verdict

    def test_the_numbers_are_told(self) -> None:
        refused = gate_vision(30 * GIB, machine(32))
        assert (refused.needed, refused.allowed) == (30 * GIB, int(0.7 * 32 * GIB))
        assert refused.reason == "is 30.0 GiB, vision models may use 22.4 GiB here"
        assert gate_vision(GIB, machine(32)).reason is None


class TestAudio:
    @pytest.mark.parametrize(
        ("available", "verdict"),
        [(0, Verdict.REFUSED), (3.99, Verdict.REFUSED), (4, Verdict.FITS), (64, Verdict.FITS)],
    )
    def test_4_gib_must_be_available(self, available: float, verdict: Verdict) -> None:
        assert gate_audio(machine(64, available)).verdict is verdict

    def test_the_numbers_are_told(self) -> None:
        refused = gate_audio(machine(64, 1.5))
        assert (refused.needed, refused.allowed) == (4 * GIB, int(1.5 * GIB))
        assert refused.reason == "needs 4.0 GiB free, 1.5 GiB are available"


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("12GB", 12 * 1000**3), ("12 gib", 12 * GIB), ("500MB", 500 * 1000**2), ("50%", 8 * GIB),
        ("1.5GiB", 3 * GIB // 2), ("100%", 16 * GIB), ("1048576", 1024**2), ("1KiB", 1024), ("7b", 7),
    ],
)  # fmt: skip
def test_a_budget_is_read(text: str, count: int) -> None:
    assert parse_budget(text, machine(16)) == count


@pytest.mark.parametrize(
    "text", ["", "plenty", "0", "0%", "101%", "17GiB", "-1GB", "1e9", "GB", "1 TB", "٥GB"]
)
def test_a_budget_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="memory budget"):
        parse_budget(text, machine(16))
