"""Bounds hold together, each replaces its default alone, and a broken one is measured."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.costs.bounds import BOUNDS, excesses, latency_limit_ms, merge
from toolkit.specs.cost import Figure, PredictedCost
from toolkit.specs.device import Budget
from toolkit.specs.errors import UserError

amounts = st.floats(1e-3, 1e3)
costs = st.builds(
    lambda latency, share, memory, file, params, macs: PredictedCost(
        latency_ms=Figure(value=latency, kind="modelled"),
        core_share=None if share is None else Figure(value=share, kind="modelled"),
        memory_mb=Figure(value=memory, kind="modelled"),
        file_mb=Figure(value=file, kind="modelled"),
        params=params,
        macs=macs,
    ),
    amounts,
    st.none() | st.floats(0.01, 64),
    amounts,
    amounts,
    st.integers(1, 10**7),
    st.integers(1, 10**9),
)


def test_every_field_of_a_budget_is_checked() -> None:
    """No bound of `Budget` is forgotten by the search."""
    assert {bound.field for bound in BOUNDS} == set(Budget.model_fields)


@given(cost=costs)
def test_a_budget_of_the_cost_itself_holds(cost: PredictedCost) -> None:
    """Bounds include their end: a subnet fits a budget that equals its cost."""
    own = {bound.field: bound.figure(cost) for bound in BOUNDS}
    assert excesses(cost, Budget.model_validate(own)) == ()


@given(cost=costs, data=st.data(), factor=st.floats(0.1, 0.9))
def test_a_broken_bound_is_reported_with_its_distance(cost: PredictedCost, data: st.DataObject, factor: float) -> None:
    """A maximum set below the cost is the one that is broken, by the share that is missing."""
    bound = data.draw(st.sampled_from([bound for bound in BOUNDS if not bound.is_least and bound.figure(cost)]))
    found = bound.figure(cost)
    assert found is not None
    limit = found * factor
    if isinstance(found, int):
        limit = max(1, int(limit))
        if limit >= found:
            return
    (excess,) = excesses(cost, Budget.model_validate({bound.field: limit}))
    assert excess.bound is bound
    assert excess.share == pytest.approx((found - limit) / limit)


def test_a_least_count_is_broken_from_below() -> None:
    """A subnet smaller than `min_params` breaks that bound, in words that say so."""
    figure = Figure(value=1.0, kind="modelled")
    cost = PredictedCost(latency_ms=figure, core_share=None, memory_mb=figure, file_mb=figure, params=500_000, macs=1)
    (excess,) = excesses(cost, Budget(min_params=1_000_000))
    assert str(excess) == "parameters 0.5M < 1M"


def test_options_replace_the_default_one_by_one() -> None:
    """A bound that is given replaces its default and leaves the others."""
    default = Budget(max_core_share=0.1, max_memory_mb=8.0)
    assert merge(default, {"max_memory_mb": 4.0}) == Budget(max_core_share=0.1, max_memory_mb=4.0)
    assert merge(default, {}) == default


@pytest.mark.parametrize(
    "bounds", [{"min_params": 2_000_000, "max_params": 1_000_000}, {"max_core_share": 65.0}, {"max_latency_ms": -1.0}]
)
def test_impossible_budgets_are_refused(bounds: dict[str, float]) -> None:
    """A budget that contradicts itself, or a bound out of range, is a user's error of one line."""
    with pytest.raises(UserError, match=next(iter(bounds))) as caught:
        merge(Budget(), bounds)
    assert "\n" not in str(caught.value)


@given(cost=costs, factor=st.floats(0.5, 2))
def test_a_share_of_a_core_is_a_latency(cost: PredictedCost, factor: float) -> None:
    """A budget of so many times the subnet's own share allows so many times its latency, unless less is allowed."""
    if cost.core_share is None:
        assert latency_limit_ms(Budget(max_core_share=0.1), cost) is None
        return
    latency_ms, share = cost.latency_ms.value, min(64.0, factor * cost.core_share.value)
    allowed = latency_ms * share / cost.core_share.value
    assert latency_limit_ms(Budget(max_core_share=share), cost) == pytest.approx(allowed)
    assert latency_limit_ms(Budget(max_core_share=share, max_latency_ms=allowed / 2), cost) == allowed / 2
