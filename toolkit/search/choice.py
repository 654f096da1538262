"""From scores to an answer: the best subnet inside the budget, the Pareto front, and what stands just outside.

Proved by tests/search/test_choice.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context

import numpy as np

from toolkit.costs.bounds import Excess, excesses, keeps
from toolkit.search.front import Scored, best, pareto_front
from toolkit.search.methods import Problem
from toolkit.specs.errors import InfeasibleError
from toolkit.specs.space import Subnet


@dataclass(frozen=True)
class Choice:
    """The subnet chosen, how many fit the budget, what was scored, and what stands just outside."""

    best: Scored
    inside: int
    scored: tuple[Scored, ...]
    """All that were, inside the budget or not."""
    front: tuple[Scored, ...]
    next_larger: tuple[Subnet, tuple[Excess, ...]] | None
    """The smallest subnet above the chosen one that breaks a bound, and what it breaks."""


def choose(problem: Problem, every: Sequence[Scored]) -> Choice:
    """The best-scoring subnet inside the budget among all that were scored; of equals the quicker one.

    Raises:
        InfeasibleError: nothing is inside; the message names the closest subnet and what to relax.
    """
    compared = [each for each in every if each.is_inside]
    if not (chosen := best(compared)):
        raise InfeasibleError(_closest(problem))
    inside = max(len(problem.inside), len(compared))
    return Choice(chosen, inside, tuple(every), pareto_front(every), _larger(problem, chosen))


def with_costs(problem: Problem, scores: Mapping[Subnet, float]) -> tuple[Scored, ...]:
    """What was scored, with what it costs."""
    if not scores:
        return ()
    costs = problem.cost(list(scores))
    inside = keeps(costs, problem.budget)
    return tuple(
        Scored(subnet, score, costs[at], bool(inside[at])) for at, (subnet, score) in enumerate(scores.items())
    )


def _larger(problem: Problem, chosen: Scored) -> tuple[Subnet, tuple[Excess, ...]] | None:
    params = problem.costs.params
    outside = np.flatnonzero(problem.shares.any(axis=1) & (params > chosen.cost.params))
    if not len(outside):
        return None
    at = min(map(int, outside), key=lambda each: (params[each], problem.subnets[each].id))
    return problem.subnets[at], excesses(problem.costs[at], problem.budget)


def _closest(problem: Problem) -> str:
    """The subnet whose worst excess is least, in words."""
    ordered = -np.sort(-problem.shares, axis=1)
    at = int(np.lexsort(ordered.T[::-1])[0])
    excess = excesses(problem.costs[at], problem.budget)
    relax = " ".join(f"{each.bound.option} {_enough(each)}" for each in excess)
    return (
        f"none of {problem.extent} fits the budget. The closest, {problem.subnets[at]}, "
        f"breaks: {', '.join(map(str, excess))}. It fits with {relax}"
    )


def _enough(excess: Excess) -> str:
    """A bound that the subnet keeps: counts as they are, amounts rounded up to three digits."""
    if isinstance(excess.found, int):
        return str(excess.found)
    return f"{_UP.create_decimal_from_float(excess.found):f}"


_UP = Context(prec=3, rounding=ROUND_CEILING)
"""Exact in decimals: in binary ones 60.900000000000006 is rounded up to 60.9."""
