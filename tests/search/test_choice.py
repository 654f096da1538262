"""From scores to a pick, on toys, against brute force."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.search.toys import Toys, costs, problem_of, toys
from toolkit.costs.bounds import excesses, merge
from toolkit.search.choice import Choice, choose, with_costs
from toolkit.search.methods import Method, scored
from toolkit.specs.device import Budget
from toolkit.specs.errors import InfeasibleError
from toolkit.specs.space import Subnet


def search(toy: Toys, budget: Budget, method: Method = "exhaustive", count: int | None = None) -> Choice:
    """The choice among toys."""
    problem = problem_of(toy, budget)
    return choose(problem, with_costs(problem, scored(problem, method, count, 0)))


@given(toy=toys, limit=st.integers(1, 50), params=st.integers(1, 50))
def test_exhaustive_equals_brute_force(toy: Toys, limit: int, params: int) -> None:
    """No subnet that keeps every bound scores better than the chosen one; of equals the quicker one is chosen."""
    inside = {s: v for s, v in toy.items() if v[0] <= limit and v[1] <= params}
    budget = Budget(max_latency_ms=limit, max_params=params)
    if not inside:
        with pytest.raises(InfeasibleError):
            search(toy, budget)
        return
    choice = search(toy, budget)
    assert choice.best.subnet in inside
    best = max(score for _, _, score in inside.values())
    assert toy[choice.best.subnet][2] == best
    assert toy[choice.best.subnet][0] == min(latency for latency, _, score in inside.values() if score == best)
    assert choice.inside == len(inside)


@given(toy=toys, limit=st.integers(1, 50))
def test_the_front_is_of_all_that_was_scored(toy: Toys, limit: int) -> None:
    """A subnet is in the front where no other one is as good in score and latency and better in one."""
    if all(latency > limit for latency, _, _ in toy.values()):
        return
    front = {each.subnet: each for each in search(toy, Budget(max_latency_ms=limit)).front}
    for subnet, (latency, _, score) in toy.items():
        beaten = any(
            other <= latency and points >= score and (other, points) != (latency, score)
            for other, _, points in toy.values()
        )
        assert (subnet in front) == (not beaten)
        if subnet in front:
            assert front[subnet].is_inside == (latency <= limit)


@given(toy=toys, limit=st.integers(1, 49), method=st.sampled_from(["exhaustive", "random"]))
def test_the_next_larger_stands_outside(toy: Toys, limit: int, method: Method) -> None:
    """The next larger subnet has more parameters, breaks a bound, and no smaller one does both."""
    if all(latency > limit for latency, _, _ in toy.values()):
        return
    choice = search(toy, Budget(max_latency_ms=limit), method, 3)
    chosen = toy[choice.best.subnet][1]
    above = [params for latency, params, _ in toy.values() if latency > limit and params > chosen]
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
        search(toy, budget)
    message = str(caught.value)
    named = re.search(r"closest, (\S+), breaks", message)
    assert named
    closest = Subnet.parse(named[1])
    advice = {option.replace("-", "_"): text for option, text in re.findall(r"--(\S+) (\S+)", message)}
    relaxed = merge(budget, {name: int(text) if "params" in name else float(text) for name, text in advice.items()})
    assert set(advice) == {"max_latency_ms", "min_params"}
    problem = problem_of(toy, budget)
    every = {subnet: problem.costs[at] for at, subnet in enumerate(problem.subnets)}
    assert not excesses(every[closest], relaxed)
    worst = {subnet: max(excess.share for excess in excesses(cost, budget)) for subnet, cost in every.items()}
    assert worst[closest] == pytest.approx(min(worst.values()))


@given(found=st.floats(1e-6, 1e9), allowed=st.floats(1e-3, 0.999))
@example(found=60.900000000000006, allowed=0.5)
def test_an_advised_amount_is_enough_as_it_is_typed(found: float, allowed: float) -> None:
    """Rounded up and never down, by less than a hundredth."""
    one = Subnet(blocks=((1,),))
    toy = problem_of({one: (1, 1, 1)}, Budget(max_latency_ms=found * allowed))
    problem = replace(toy, cost=lambda some: costs([found] * len(some), [1] * len(some)))
    with pytest.raises(InfeasibleError) as caught:
        choose(problem, with_costs(problem, {one: 0.5}))
    typed = float(str(caught.value).split()[-1])
    assert found <= typed <= 1.01 * found
