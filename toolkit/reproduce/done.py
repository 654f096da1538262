"""`Done`: the results there are, asked for by what they are of: a stage, a size, a budget, a space.

Proved by tests/reproduce/test_report.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from toolkit.reproduce.estimates import BySeed
from toolkit.reproduce.plan import Unit
from toolkit.specs.unit import Evaluation, UnitResult

Evaluations = Mapping[int, Evaluation]
"""Of one kind of model, by seed."""


@dataclass(frozen=True)
class Done:
    """The units of a plan and the results of those that are done, by name."""

    units: Sequence[Unit]
    results: Mapping[str, UnitResult]

    @property
    def missing(self) -> tuple[Unit, ...]:
        """Units that are not done."""
        return tuple(unit for unit in self.units if unit.name not in self.results)

    def alone(self, stage: str, *, ratio: float | None = None, budget: float | None = None) -> Evaluations:
        """The one subnet of a stage that trains one: of a size, of a searched budget, or the teacher's."""
        return {
            unit.seed: self.results[unit.name].evaluations[0]
            for unit in self.units
            if (unit.stage, unit.ratio, unit.budget) == (stage, ratio, budget) and unit.name in self.results
        }

    def supernets(self, space: str) -> Mapping[int, UnitResult]:
        """The supernets of a space by seed."""
        return {
            unit.seed: self.results[unit.name]
            for unit in self.units
            if (unit.stage, unit.space) == ("supernet", space) and unit.name in self.results
        }

    def searched(self, space: str, budget: float) -> Evaluations:
        """What each supernet of a space has as its best on validation within a budget."""
        found = self.supernets(space)
        return {seed: each.of(each.picks[str(budget)]) for seed, each in found.items() if str(budget) in each.picks}

    def inside(self, space: str, subnet: str) -> Evaluations:
        """One subnet as it stands in each supernet of a space."""
        return {seed: each.of(subnet) for seed, each in self.supernets(space).items()}


def on_test(evaluations: Evaluations) -> BySeed:
    """What the test mixtures say of them."""
    return {seed: each.test for seed, each in evaluations.items() if each.test is not None}
