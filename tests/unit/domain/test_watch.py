"""Whether a model's thread is alive."""

import pytest

from mlxk.domain.watch import Beat, Phase, Vital, judge, limit_of


@pytest.mark.parametrize("phase", [Phase.DECODING, Phase.PREFILLING, Phase.LOADING, Phase.CLOSING])
def test_a_thread_is_stuck_when_its_phase_took_longer_than_it_may(phase: Phase) -> None:
    limit = limit_of(phase, 120)
    assert judge(Beat(phase, 1000), 1000 + limit, running=True, step_limit=120) is Vital.ALIVE
    assert judge(Beat(phase, 1000), 1001 + limit, running=True, step_limit=120) is Vital.STUCK


def test_an_idle_thread_may_sleep_for_ever() -> None:
    assert judge(Beat(Phase.IDLE, 0), 1e12, running=True) is Vital.ALIVE


@pytest.mark.parametrize("phase", Phase)
def test_a_thread_that_does_not_run_is_dead(phase: Phase) -> None:
    assert judge(Beat(phase, 0), 0, running=False) is Vital.DEAD


def test_prompts_and_loads_may_take_longer_than_tokens() -> None:
    assert limit_of(Phase.DECODING, 120) < limit_of(Phase.PREFILLING, 120) < limit_of(Phase.LOADING, 120)
