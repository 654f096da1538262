"""What figures 3 and 4 show, from the supernets that are done: numbers, not drawings (`toolkit.reproduce.drawings`).

Figure 3: mAP on test over parameters of the subnets that each space's search picked. Figure 4: mAP on validation of
all candidates of each budget and space. Proved by tests/reproduce/test_report.py.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from toolkit.reproduce import paper
from toolkit.reproduce.done import Done, on_test
from toolkit.reproduce.estimates import Estimate, estimate
from toolkit.reproduce.plan import SPACES
from toolkit.search.paper import BUDGETS_M
from toolkit.specs.unit import Evaluation


@dataclass(frozen=True)
class Point:
    """One subnet that was picked within a budget."""

    space: str
    seed: int
    budget: float
    subnet: str
    params: int
    validation_percent: float
    test_percent: Estimate


@dataclass(frozen=True)
class Box:
    """The candidates of one budget in one supernet, and which of them was picked."""

    space: str
    seed: int
    budget: float
    candidates: tuple[Evaluation, ...]
    picked: str

    @property
    def percents(self) -> tuple[float, ...]:
        """mAP on validation of each candidate, in percent."""
        return tuple(100 * each.validation_mean_average_precision for each in self.candidates)


def space_name(space: str) -> str:
    """A space as the paper's figures call it; another one by its own name."""
    return paper.SPACE_NAMES.get(space, space)


def figure_3(done: Done) -> tuple[Point, ...]:
    """Points by space, budget and seed."""
    points = []
    for space in SPACES:
        for budget in BUDGETS_M:
            for seed, each in done.searched(space, budget).items():
                test = estimate(on_test({seed: each}))
                if test is not None:
                    validation = 100 * each.validation_mean_average_precision
                    points.append(Point(space, seed, budget, each.subnet, each.params, validation, test))
    return tuple(points)


def figure_4(done: Done) -> tuple[Box, ...]:
    """Boxes by space, budget and seed."""
    return tuple(
        Box(
            space,
            seed,
            budget,
            tuple(result.of(subnet) for subnet in result.candidates[str(budget)]),
            result.picks[str(budget)],
        )
        for space in SPACES
        for budget in BUDGETS_M
        for seed, result in done.supernets(space).items()
        if str(budget) in result.picks
    )


def first_seed(done: Done) -> int:
    """The seed that every space is trained with."""
    return done.units[0].seed


@dataclass(frozen=True)
class SpaceSummary:
    """Figure 4 in two numbers: mean and standard deviation of a space's candidates, each the mean over the budgets."""

    space: str
    mean: float
    spread: float


def summaries(boxes: Sequence[Box], seed: int) -> tuple[SpaceSummary, ...]:
    """Of each space with candidates in every budget, for one seed."""
    found = []
    for space in SPACES:
        own = [box.percents for box in boxes if (box.space, box.seed) == (space, seed)]
        if len(own) == len(BUDGETS_M) and all(len(each) > 1 for each in own):
            mean, spread = (statistics.mean(map(of, own)) for of in (statistics.mean, statistics.stdev))
            found.append(SpaceSummary(space, mean, spread))
    return tuple(found)
