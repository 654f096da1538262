"""Which subnets are recalibrated together: parts of a sorted list, whose neighbours share long prefixes.

Costs are those of `toolkit.supernet.norms.walk`: one convolution for each input, at the greatest width asked for.
Proved by tests/evaluate/test_shares.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from toolkit.specs.space import KERNEL, SearchSpace, Subnet
from toolkit.supernet.supernet import Step, stem_steps, steps

SLACK = 1.02


class WalkCost:
    """Multiply-accumulates of all convolutions of a walk, for each frame and mel bin of its input.

    Args:
        space: the subnets'.
    """

    def __init__(self, space: SearchSpace) -> None:
        widths = [1, *(step.width for step in stem_steps(space))]
        self.macs = float(sum(KERNEL**2 * taken * given for taken, given in itertools.pairwise(widths)))
        """So far; at first those of the static block."""
        self._base_width = space.base_width
        self._widest: dict[Step | None, int] = {}

    def add(self, subnet: Subnet) -> float:
        """Walk through one more subnet; the cost with it."""
        way = steps(subnet)
        for before, step in zip((None, *way), way, strict=False):
            wider = step.width - self._widest.get(before, 0)
            if wider > 0:
                self._widest[before] = step.width
                channels = before.width if before else self._base_width
                self.macs += KERNEL**2 * channels * wider / 4**step.block
        return self.macs


def walk_cost(space: SearchSpace, subnets: Sequence[Subnet]) -> float:
    """Multiply-accumulates for each frame and mel bin of the input of a walk through subnets."""
    cost = WalkCost(space)
    for subnet in subnets:
        cost.add(subnet)
    return cost.macs


def next_shares(
    space: SearchSpace, subnets: Sequence[Subnet], most_macs: float, processes: int
) -> list[tuple[Subnet, ...]]:
    """What each process does next: parts of the subnets, from the front, of about equal cost.

    Args:
        space: the subnets'.
        subnets: sorted by blocks.
        most_macs: what a part may cost for each frame and mel bin; a part of one subnet may cost more.
        processes: at most so many parts.
    """
    limit = min(most_macs, walk_cost(space, subnets) / processes)
    parts = _cut(space, subnets, limit, processes)
    while limit < most_macs and sum(map(len, parts)) < len(subnets):  # what parts share costs each of them anew
        limit = min(most_macs, limit * SLACK)
        parts = _cut(space, subnets, limit, processes)
    return parts


def _cut(space: SearchSpace, subnets: Sequence[Subnet], limit: float, parts: int) -> list[tuple[Subnet, ...]]:
    found: list[list[Subnet]] = []
    cost = WalkCost(space)
    for subnet in subnets:
        if not found or cost.add(subnet) > limit:
            if len(found) == parts:
                break
            found.append([])
            cost = WalkCost(space)
            cost.add(subnet)
        found[-1].append(subnet)
    return [tuple(part) for part in found]
