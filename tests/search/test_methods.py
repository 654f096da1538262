"""Which subnets each method scores: how many, which, and the same again with the same seed."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.search.toys import Judge, Toys, costs, problem_of, toys
from toolkit.costs.bounds import shares
from toolkit.costs.predict import Costs
from toolkit.search.front import undominated
from toolkit.search.methods import POPULATION, Problem, scored
from toolkit.specs.device import Budget
from toolkit.specs.space import Subnet, preset_space

LAYERWISE = preset_space("ew-layerwise", 16)


def volume(subnets: Sequence[Subnet]) -> list[int]:
    """A stand-in for parameters: products of neighbouring widths."""
    flat = [[width for block in subnet.blocks for width in block] for subnet in subnets]
    return [sum(a * b for a, b in itertools.pairwise(each)) for each in flat]


def quality(subnets: Sequence[Subnet]) -> Mapping[Subnet, float]:
    """A stand-in for mAP: wide last layers pay, wide first ones hardly, so that a front is there to be found."""
    gain = (0.02, 0.03, 0.08, 0.12, 0.3, 0.45)
    found = {}
    for subnet in subnets:
        flat = [width for block in subnet.blocks for width in block]
        full = (32, 32, 64, 64, 128, 128)
        found[subnet] = sum(part * (width / most) ** 0.5 for part, width, most in zip(gain, flat, full, strict=True))
    return found


def layerwise(budget: Budget) -> Problem:
    """A search in a space that nobody goes through."""

    def cost(subnets: Sequence[Subnet]) -> Costs:
        volumes = volume(subnets)
        return costs([each / 1000 for each in volumes], volumes)

    rng = random.Random(0)
    sample = tuple(dict.fromkeys(LAYERWISE.sample(rng) for _ in range(500)))
    return Problem(LAYERWISE, sample, cost, quality, budget)


@given(toy=toys, limit=st.integers(1, 50))
def test_exhaustive_scores_everything_once(toy: Toys, limit: int) -> None:
    """Every subnet is scored, also outside the budget, for the front shows what more would buy."""
    judge = Judge(toy)
    found = scored(problem_of(toy, Budget(max_latency_ms=limit), judge), "exhaustive", None, 0)
    assert set(found) == set(toy)
    assert judge.asked == list(toy)


@given(toy=toys, candidates=st.integers(1, 30), seed=st.integers(0, 99))
def test_random_scores_a_bounded_sample_inside(toy: Toys, candidates: int, seed: int) -> None:
    """At most p different subnets inside the budget are evaluated, and the seed decides which."""
    budget = Budget(max_latency_ms=25)
    inside = {subnet for subnet, (latency, _, _) in toy.items() if latency <= 25}
    judge = Judge(toy)
    found = scored(problem_of(toy, budget, judge), "random", candidates, seed)
    assert len(judge.asked) == len(set(judge.asked)) == len(found) == min(candidates, len(inside))
    assert set(found) <= inside
    assert scored(problem_of(toy, budget), "random", candidates, seed) == found


def test_random_compares_the_papers_number() -> None:
    """Unasked, 25 candidates are compared."""
    toy: Toys = {Subnet(blocks=((number,),)): (1, 1, number % 5) for number in range(1, 100)}
    assert len(scored(problem_of(toy, Budget()), "random", None, 0)) == 25


def test_random_seeds_differ() -> None:
    """Another seed compares other subnets, so that repeated searches spread."""
    toy: Toys = {Subnet(blocks=((number,),)): (1, 1, 1) for number in range(1, 100)}
    samples = {frozenset(scored(problem_of(toy, Budget()), "random", 3, seed)) for seed in range(20)}
    assert len(samples) > 15


@pytest.mark.parametrize("limit_ms", [None, 12.0])
def test_evolution_scores_so_many_inside_the_budget(limit_ms: float | None) -> None:
    """It scores just as many subnets as it may, none twice and none outside the budget, the same with the same seed."""
    problem = layerwise(Budget(max_latency_ms=limit_ms))
    found = scored(problem, "evolution", 40, 3)
    assert len(found) == 40
    assert all(subnet in LAYERWISE for subnet in found)
    assert not shares(problem.cost(list(found)), problem.budget).any()
    assert scored(problem, "evolution", 40, 3) == found
    assert list(scored(problem, "evolution", 40, 4)) != list(found)


def test_evolution_starts_from_the_ends() -> None:
    """The smallest and the largest subnet are in the first generation, which spans the front."""
    found = list(scored(layerwise(Budget()), "evolution", POPULATION, 0))
    assert {LAYERWISE.smallest, LAYERWISE.largest} <= set(found)


def test_evolution_never_ends_without_what_is_known_to_be_inside() -> None:
    """A narrow budget that one of the sample keeps, and neither end of the space: that one is scored."""
    whole = layerwise(Budget())
    middle = whole.subnets[7]
    (params,) = whole.cost([middle]).params
    narrow = layerwise(Budget(min_params=int(params), max_params=int(params)))
    assert set(narrow.inside) <= {one for one in whole.subnets if volume([one]) == [params]}
    found = scored(narrow, "evolution", POPULATION, 0)
    assert narrow.inside[0] in found
    assert not shares(narrow.cost(list(found)), narrow.budget).any()


def test_evolution_scores_all_of_a_small_space(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no more are inside the budget than may be scored, they are scored and nothing is bred."""
    space = preset_space("ew-ed-22x", 8)
    every = tuple(space.subnets())
    sizes = {subnet: 1 + place for place, subnet in enumerate(every)}

    def cost(subnets: Sequence[Subnet]) -> Costs:
        return costs([sizes[each] for each in subnets], [sizes[each] for each in subnets])

    def score(subnets: Sequence[Subnet]) -> Mapping[Subnet, float]:
        return dict.fromkeys(subnets, 0.5)

    monkeypatch.setattr("toolkit.search.methods.Genome", None)
    problem = Problem(space, every, cost, score, Budget(max_latency_ms=60))
    assert set(scored(problem, "evolution", 10_000, 0)) == set(every[:60])


def test_evolution_ends_where_nothing_is_inside() -> None:
    """A budget that no subnet keeps ends the search without a score."""
    assert scored(layerwise(Budget(max_latency_ms=0.001)), "evolution", 20, 0) == {}


def test_evolution_finds_what_random_search_does_not() -> None:
    """On a smooth toy most of random search's front is beaten by evolution's, in most of five seeds."""
    wins = 0
    for seed in range(5):
        problem = layerwise(Budget())
        fronts = []
        for method in ("evolution", "random"):
            found = scored(problem, method, 60, seed)
            points = np.column_stack([-np.array(list(found.values())), problem.cost(list(found)).latency_ms])
            fronts.append(points[undominated(points.tolist())])
        both = undominated(np.concatenate(fronts).tolist())
        kept = both[: len(fronts[0])].mean(), both[len(fronts[0]) :].mean()
        wins += kept[0] > kept[1]
    assert wins >= 3
