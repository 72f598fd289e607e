"""The policy of the warm pool."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxk.domain.pool import (
    ModelKey,
    NeverFits,
    PoolLimits,
    Room,
    Wait,
    WarmModel,
    cache_allowances,
    expired,
    make_room,
)


def warm(
    name: str, nbytes: int = 10, *, used: float = 0, pins: int = 0, until: float = math.inf
) -> WarmModel:
    return WarmModel(ModelKey(name), nbytes, used, pins, until)


def evicted(decision: object) -> list[str]:
    assert isinstance(decision, Room)
    return [key.location for key in decision.evict]


@pytest.mark.parametrize("count", [0, -1])
def test_a_pool_holds_at_least_one_model(count: int) -> None:
    with pytest.raises(ValueError, match=f"at least 1, not {count}"):
        PoolLimits(count, 100)


def test_a_budget_is_not_negative() -> None:
    with pytest.raises(ValueError, match="negative"):
        PoolLimits(1, -1)


def test_the_kind_and_the_adapter_make_another_model_and_nothing_else_does() -> None:
    assert ModelKey("org/a@c") == ModelKey("org/a@c")
    assert ModelKey("org/a@c") != ModelKey("org/a@c", adapter="/adapters/x")


def test_an_empty_pool_has_room() -> None:
    assert make_room(100, [], PoolLimits(1, 100)) == Room()


def test_what_is_larger_than_the_budget_never_fits() -> None:
    assert make_room(101, [], PoolLimits(1, 100)) == NeverFits()


def test_the_least_recently_used_goes_first() -> None:
    models = [warm("new", used=3), warm("old", used=1), warm("middle", used=2)]
    assert evicted(make_room(10, models, PoolLimits(3, 1000))) == ["old"]
    assert evicted(make_room(10, models, PoolLimits(2, 1000))) == ["old", "middle"]


def test_as_many_go_as_the_bytes_need() -> None:
    models = [warm("a", 40, used=1), warm("b", 40, used=2), warm("c", 20, used=3)]
    assert evicted(make_room(50, models, PoolLimits(9, 100))) == ["a", "b"]


def test_busy_models_stay_and_are_waited_for() -> None:
    busy, idle = warm("busy", used=1, pins=1), warm("idle", used=2)
    assert evicted(make_room(10, [busy, idle], PoolLimits(2, 100))) == ["idle"]
    assert make_room(10, [busy], PoolLimits(1, 100)) == Wait()
    assert make_room(95, [busy, idle], PoolLimits(9, 100)) == Wait()


def test_what_occupies_memory_besides_is_waited_for() -> None:
    assert make_room(50, [], PoolLimits(1, 100), occupied=60) == Wait()


def test_models_expire_when_idle_and_past_their_time() -> None:
    models = [
        warm("past", used=2, until=10),
        warm("older", used=1, until=9),
        warm("busy", until=1, pins=1),
        warm("later", until=11),
        warm("never"),
    ]
    assert [key.location for key in expired(models, 10)] == ["older", "past"]


def test_caches_of_the_least_recent_models_give_first() -> None:
    caches = {ModelKey("recent"): 50, ModelKey("older"): 30, ModelKey("oldest"): 20}
    assert cache_allowances(100, caches) == {}
    assert cache_allowances(60, caches) == {ModelKey("older"): 10, ModelKey("oldest"): 0}
    assert cache_allowances(-5, caches) == dict.fromkeys(caches, 0)


pools = st.lists(
    st.builds(
        WarmModel,
        key=st.builds(ModelKey, st.uuids().map(str)),
        nbytes=st.integers(0, 100),
        last_used=st.floats(0, 100),
        pins=st.integers(0, 1),
        expires_at=st.floats(0, 100),
    ),
    max_size=6,
)


@given(st.integers(0, 200), pools, st.integers(1, 4), st.integers(0, 200), st.integers(0, 50))
def test_after_an_eviction_the_model_fits_and_no_model_went_in_vain(
    wanted: int, models: list[WarmModel], count: int, budget: int, occupied: int
) -> None:
    limits = PoolLimits(count, budget)
    decision = make_room(wanted, models, limits, occupied=occupied)
    by_key = {model.key: model for model in models}

    def fits(staying: list[WarmModel]) -> bool:
        taken = sum(model.nbytes for model in staying) + occupied + wanted
        return len(staying) < count and taken <= budget

    match decision:
        case NeverFits():
            assert wanted > budget
        case Wait():
            assert not fits([model for model in models if model.pins])
        case Room(evict):
            assert not any(by_key[key].pins for key in evict)
            staying = [model for model in models if model.key not in evict]
            assert fits(staying)
            assert not evict or not fits([*staying, by_key[evict[-1]]])
            kept_idle = [model.last_used for model in staying if not model.pins]
            assert all(by_key[key].last_used <= used for key in evict for used in kept_idle)


@given(st.integers(-10, 300), st.lists(st.integers(0, 100), max_size=5))
def test_caches_keep_what_is_allowed_and_no_more(allowed: int, sizes: list[int]) -> None:
    caches = {ModelKey(str(number)): size for number, size in enumerate(sizes)}
    kept = caches | cache_allowances(allowed, caches)
    assert sum(kept.values()) == min(max(0, allowed), sum(sizes))
