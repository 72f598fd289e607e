"""Whether a request may begin."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxk.domain.admission import (
    RESERVED_STRETCH,
    Admission,
    MemoryUse,
    Need,
    admit,
    cache_room,
    check_queue,
    is_overgrown,
    reserved_tokens,
)
from mlxk.domain.errors import ErrorKind, MlxkError


def use(*, busy: int = 0, idle: int = 0, caches: int = 0, running: int = 0) -> MemoryUse:
    return MemoryUse(100, busy, idle, caches, running)


def need(begin: int, whole: int = 0, model: int = 0) -> Need:
    return Need(model, begin, max(begin, whole))


def test_a_full_queue_refuses_and_says_when_to_come_back() -> None:
    check_queue(63, 64)
    with pytest.raises(MlxkError, match="64 requests wait") as caught:
        check_queue(64, 64)
    assert caught.value.kind is ErrorKind.QUEUE_FULL
    assert caught.value.retry_after is not None


def test_a_generation_reserves_its_prompt_and_the_beginning_of_its_answer() -> None:
    assert reserved_tokens(100, 20) == 120
    assert reserved_tokens(100, 1_000_000) == 100 + RESERVED_STRETCH


@pytest.mark.parametrize(
    ("used", "begins"),
    [
        (use(), Admission.ADMIT),
        (use(busy=50, idle=20, caches=10, running=10), Admission.ADMIT),
        (use(busy=50, idle=20, caches=15, running=10), Admission.TRIM_CACHES),
        (use(busy=50, idle=35, caches=15, running=10), Admission.EVICT_IDLE),
        (use(busy=50, running=41), Admission.WAIT),
        (use(busy=50, idle=5, running=41), Admission.WAIT),
    ],
)
def test_caches_go_before_idle_models_and_only_then_is_waited(used: MemoryUse, begins: Admission) -> None:
    assert admit(need(10), used) is begins


def test_what_can_never_fit_is_refused() -> None:
    assert admit(need(51, model=50), use(busy=50)) is Admission.REFUSE
    assert admit(need(10, whole=51, model=50), use(busy=50)) is Admission.REFUSE
    assert admit(need(10, whole=50, model=50), use(busy=50)) is Admission.ADMIT


def test_running_work_is_overgrown_only_well_over_the_budget() -> None:
    assert not is_overgrown(use(busy=50, running=60))
    assert is_overgrown(use(busy=50, running=66))


amounts = st.integers(0, 120)


@given(amounts, amounts, amounts, amounts, amounts, amounts)
def test_an_admitted_generation_is_within_the_budget(
    model: int, begin: int, others: int, idle: int, caches: int, running: int
) -> None:
    used = use(busy=model + others, idle=idle, caches=caches, running=running)
    decision = admit(need(begin, model=model), used)
    if decision is Admission.ADMIT:
        assert used.busy + idle + caches + running + begin <= used.budget
    if decision is Admission.TRIM_CACHES:
        assert 0 <= cache_room(used, begin) < caches
    if decision is Admission.REFUSE:
        assert model + begin > used.budget
    if decision is Admission.WAIT:
        assert others or running, "nothing to wait for"
