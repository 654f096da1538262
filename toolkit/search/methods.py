"""Choosing among subnets whose costs are known: all inside the budget, or the paper's random few. No files, no device.

Each method looks at a subnet once at most, so it ends. Proved by tests/search/test_methods.py.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from toolkit.costs.bounds import Excess, excesses
from toolkit.specs.cost import PredictedCost
from toolkit.specs.device import Budget
from toolkit.specs.errors import InfeasibleError
from toolkit.specs.space import Subnet

Method = Literal["exhaustive", "random"]
PAPER_CANDIDATES = 25
"""Source: Lin et al. (2023), section 2.4."""


@dataclass(frozen=True)
class Choice:
    """The subnet chosen, how many fit the budget, how many of those were compared, and what stands just outside."""

    subnet: Subnet
    inside: int
    compared: int
    next_larger: tuple[Subnet, tuple[Excess, ...]] | None
    """The smallest subnet above the chosen one that breaks a bound, and what it breaks."""


def choose(
    costs: Mapping[Subnet, PredictedCost],
    score: Callable[[Subnet], float],
    budget: Budget,
    *,
    method: Method = "exhaustive",
    candidates: int = PAPER_CANDIDATES,
    rng: random.Random,
) -> Choice:
    """The best-scoring subnet inside the budget; of equals the quicker one.

    Args:
        costs: every subnet of the space.
        score: evaluation of a subnet; called for those that are compared.
        budget: bounds that all hold together.
        method: `exhaustive` compares all subnets inside, `random` a sample of them without replacement.
        candidates: size of that sample.
        rng: draws it.

    Raises:
        InfeasibleError: nothing is inside; the message names the closest subnet and what to relax.
    """
    broken = {subnet: excesses(cost, budget) for subnet, cost in costs.items()}
    inside = [subnet for subnet, excess in broken.items() if not excess]
    if not inside:
        raise InfeasibleError(_closest(broken))
    compared = inside if method == "exhaustive" else rng.sample(inside, min(candidates, len(inside)))
    best = max(compared, key=lambda subnet: (score(subnet), -costs[subnet].latency_ms.value, subnet.id))
    outside = [subnet for subnet, excess in broken.items() if excess and costs[subnet].params > costs[best].params]
    larger = min(outside, key=lambda subnet: (costs[subnet].params, subnet.id), default=None)
    return Choice(best, len(inside), len(compared), (larger, broken[larger]) if larger else None)


def _closest(broken: Mapping[Subnet, tuple[Excess, ...]]) -> str:
    """The subnet whose worst excess is least, in words."""
    subnet, excess = min(broken.items(), key=lambda item: ([each.share for each in item[1]], item[0].id))
    relax = " ".join(f"{each.bound.option} {_enough(each)}" for each in excess)
    return (
        f"none of {len(broken)} subnets fits the budget. The closest, {subnet}, breaks: {', '.join(map(str, excess))}. "
        f"It fits with {relax}"
    )


def _enough(excess: Excess) -> str:
    """A bound that the subnet keeps: counts as they are, amounts rounded up to three digits."""
    if isinstance(excess.found, int):
        return str(excess.found)
    digits = max(0, 2 - math.floor(math.log10(excess.found)))
    return str(math.ceil(excess.found * 10**digits) / 10**digits)
