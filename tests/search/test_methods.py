"""The search itself, on toys: integers for subnets' costs and scores, against brute force."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.costs.bounds import excesses, merge
from toolkit.search.methods import Method, choose
from toolkit.specs.cost import Figure, PredictedCost
from toolkit.specs.device import Budget
from toolkit.specs.errors import InfeasibleError
from toolkit.specs.space import Subnet

Toys = dict[Subnet, tuple[int, int, int]]
"""Latency, parameters and score of each toy."""

toys = st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50), st.integers(0, 5)), min_size=1, max_size=40).map(
    lambda rows: {Subnet(blocks=((number,),)): row for number, row in enumerate(rows, start=1)}
)


def cost(latency: float, params: int) -> PredictedCost:
    """A predicted cost where only latency and parameters differ."""
    one = Figure(value=1.0, kind="modelled")
    return PredictedCost(
        latency_ms=Figure(value=float(latency), kind="modelled"),
        core_share=None,
        memory_mb=one,
        file_mb=one,
        params=params,
        macs=1,
    )


def costs_of(toy: Toys) -> dict[Subnet, PredictedCost]:
    """Predicted costs of the toys."""
    return {subnet: cost(latency, params) for subnet, (latency, params, _) in toy.items()}


@given(toy=toys, limit=st.integers(1, 50), params=st.integers(1, 50))
def test_exhaustive_equals_brute_force(toy: Toys, limit: int, params: int) -> None:
    """No subnet that keeps every bound scores better than the chosen one."""
    inside = {s: v for s, v in toy.items() if v[0] <= limit and v[1] <= params}
    budget = Budget(max_latency_ms=limit, max_params=params)
    arguments = (costs_of(toy), lambda subnet: toy[subnet][2], budget)
    if not inside:
        with pytest.raises(InfeasibleError):
            choose(*arguments, rng=random.Random(0))
        return
    choice = choose(*arguments, rng=random.Random(0))
    assert choice.subnet in inside
    assert toy[choice.subnet][2] == max(score for _, _, score in inside.values())
    assert choice.compared == choice.inside == len(inside)


@given(toy=toys, candidates=st.integers(1, 30), seed=st.integers(0, 99))
def test_random_compares_a_bounded_sample(toy: Toys, candidates: int, seed: int) -> None:
    """At most p different subnets are evaluated, the best of them is kept, and the seed decides which."""
    asked: list[Subnet] = []

    def score(subnet: Subnet) -> float:
        asked.append(subnet)
        return toy[subnet][2]

    def once() -> Subnet:
        rng, budget = random.Random(seed), Budget(max_latency_ms=50)
        return choose(costs_of(toy), score, budget, method="random", candidates=candidates, rng=rng).subnet

    first = once()
    assert len(set(asked)) == min(candidates, len(toy))
    assert toy[first][2] == max(toy[subnet][2] for subnet in asked)
    assert once() == first


def test_random_seeds_differ() -> None:
    """Another seed compares other subnets, so that repeated searches spread."""
    toy: Toys = {Subnet(blocks=((number,),)): (1, 1, number) for number in range(1, 100)}
    found = {
        choose(
            costs_of(toy), lambda s: toy[s][2], Budget(), method="random", candidates=3, rng=random.Random(seed)
        ).subnet
        for seed in range(20)
    }
    assert len(found) > 5


@given(toy=toys, limit=st.integers(1, 49), method=st.sampled_from(["exhaustive", "random"]))
def test_the_next_larger_stands_outside(toy: Toys, limit: int, method: Method) -> None:
    """The next larger subnet has more parameters, breaks a bound, and no smaller one does both."""
    budget = Budget(max_latency_ms=limit)
    if all(latency > limit for latency, _, _ in toy.values()):
        return
    choice = choose(costs_of(toy), lambda s: toy[s][2], budget, method=method, candidates=3, rng=random.Random(0))
    above = [params for latency, params, _ in toy.values() if latency > limit and params > toy[choice.subnet][1]]
    if choice.next_larger is None:
        assert not above
    else:
        larger, broken = choice.next_larger
        assert toy[larger][1] == min(above)
        assert [excess.bound.field for excess in broken] == ["max_latency_ms"]


@given(toy=toys, latency=st.floats(0.01, 0.99), params=st.integers(51, 90))
def test_the_advice_of_an_infeasible_search_works(toy: Toys, latency: float, params: int) -> None:
    """The message names a subnet of the space, and the relaxed bounds that it advises let that subnet in."""
    budget = Budget(max_latency_ms=latency, min_params=params)
    with pytest.raises(InfeasibleError) as caught:
        choose(costs_of(toy), lambda s: toy[s][2], budget, rng=random.Random(0))
    message = str(caught.value)
    named = re.search(r"closest, (\S+), breaks", message)
    assert named
    closest = Subnet.parse(named[1])
    advice = {option.replace("-", "_"): text for option, text in re.findall(r"--(\S+) (\S+)", message)}
    relaxed = merge(budget, {name: int(text) if "params" in name else float(text) for name, text in advice.items()})
    assert set(advice) == {"max_latency_ms", "min_params"}
    assert not excesses(costs_of(toy)[closest], relaxed)
    worst = {s: max(excess.share for excess in excesses(each, budget)) for s, each in costs_of(toy).items()}
    assert worst[closest] == min(worst.values())
