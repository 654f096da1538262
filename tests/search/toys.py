"""Searches on toys: subnets whose costs and scores are small whole numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st

from toolkit.costs.predict import Costs
from toolkit.search.methods import Problem
from toolkit.specs.device import Budget
from toolkit.specs.space import Subnet, preset_space

Toys = dict[Subnet, tuple[int, int, int]]
"""Latency, parameters and score of each toy."""

toys = st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50), st.integers(0, 5)), min_size=1, max_size=40).map(
    lambda rows: {Subnet(blocks=((number,),)): row for number, row in enumerate(rows, start=1)}
)


def costs(latency_ms: Sequence[float], params: Sequence[int]) -> Costs:
    """Predicted costs where only latency and parameters differ."""
    one, nothing = np.ones(len(params)), np.zeros(len(params), np.int64)
    return Costs(
        latency_ms=np.array(latency_ms, np.float64),
        latency_p90_ms=None,
        core_share=None,
        memory_mb=one,
        file_mb=one,
        params=np.array(params, np.int64),
        macs=nothing + 1,
        weakness=nothing,
        memory_weakness=nothing,
    )


@dataclass
class Judge:
    """Scores toys and remembers which it was asked for."""

    toy: Toys
    asked: list[Subnet] = field(default_factory=list)

    def __call__(self, subnets: Sequence[Subnet]) -> Mapping[Subnet, float]:
        """The score of each, between 0 and 1."""
        self.asked.extend(subnets)
        return {subnet: self.toy[subnet][2] / 10 for subnet in subnets}


def problem_of(toy: Toys, budget: Budget, judge: Judge | None = None) -> Problem:
    """A search among toys; the space, which only evolution looks at, is another one."""

    def cost(subnets: Sequence[Subnet]) -> Costs:
        return costs([toy[each][0] for each in subnets], [toy[each][1] for each in subnets])

    return Problem(preset_space(base_width=8), tuple(toy), cost, judge or Judge(toy), budget)
