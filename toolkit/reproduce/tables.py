"""Tables 1 and 2 of the paper, from the units that are done: numbers beside the paper's, no text.

Subnets were picked on validation; all figures here are of the test mixtures. Proved by tests/reproduce/test_report.py.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from toolkit.reproduce import paper
from toolkit.reproduce.done import Done, Evaluations, on_test
from toolkit.reproduce.estimates import BySeed, Estimate, difference, estimate
from toolkit.reproduce.plan import MAIN_SPACE, SIZES, size_subnet
from toolkit.search.paper import BUDGETS_M, PAPER_FULL_M
from toolkit.specs.recipe import Recipe

BASELINE, KD, OFA, OFA_SAME = "baseline", "KD", "OFA, searched", "OFA, same architecture"


@dataclass(frozen=True)
class Model:
    """A row of table 1: parameters of each seed's subnet, mAP, the paper's figures; `size` is None for the teacher."""

    name: str
    size: float | None
    params: tuple[int, ...]
    map_percent: Estimate | None
    paper: paper.PaperModel | None

    @property
    def params_m(self) -> float | None:
        """Mean over the seeds, in millions."""
        return statistics.mean(self.params) / 1e6 if self.params else None


@dataclass(frozen=True)
class Margin:
    """How many points of mAP one model of a size is better than another."""

    name: str
    size: float
    points: Estimate | None
    paper_points: float | None


@dataclass(frozen=True)
class Order:
    """Whether OFA > KD > baseline holds, for one kind of OFA, in the seeds that have all three."""

    ofa: str
    seeds: tuple[int, ...]
    holds_in: tuple[int, ...]
    by_mean: tuple[str, ...]
    """The three by their mean over those seeds, best first."""

    @property
    def holds_on_mean(self) -> bool:
        """Whether the means over the seeds are in the paper's order."""
        return self.by_mean == ("OFA", KD, BASELINE)


@dataclass(frozen=True)
class Table1:
    """Teacher, models of all sizes, margins, and the order at the smallest size."""

    teacher: Model
    models: tuple[Model, ...]
    margins: tuple[Margin, ...]
    smallest: tuple[Order, ...]

    def teacher_percent(self, model: Model) -> float | None:
        """A model's mAP in percent of the teacher's."""
        if model.map_percent is None or self.teacher.map_percent is None:
            return None
        return 100 * model.map_percent.mean / self.teacher.map_percent.mean


def table_1(done: Done, recipe: Recipe, label_count: int) -> Table1:
    """Table 1; what is not done is None in it.

    OFA stands in it twice: as in the paper the subnet that was searched within the budget nearest the size, and the
    architecture of the baseline and KD as it stands in the supernet, which is like for like.
    """
    models: list[Model] = []
    margins: list[Margin] = []
    orders: list[Order] = []
    for size in SIZES:
        told = paper.TABLE_1[size]
        found = {
            BASELINE: done.alone("baseline", ratio=size),
            KD: done.alone("kd", ratio=size),
            OFA: done.searched(MAIN_SPACE, nearest_budget(recipe, size, label_count)),
            OFA_SAME: done.inside(MAIN_SPACE, size_subnet(recipe.search_space(), size).id),
        }
        beside = {BASELINE: told["baseline"], KD: told["kd"], OFA: told["ofa"]}
        models.extend(_model(name, size, each, beside.get(name)) for name, each in found.items())
        scores = {name: on_test(each) for name, each in found.items()}
        for better, worse in ((OFA, KD), (OFA_SAME, KD), (KD, BASELINE)):
            points = beside[better].map_percent - beside[worse].map_percent if better in beside else None
            margins.append(Margin(f"{better} - {worse}", size, difference(scores[better], scores[worse]), points))
        if size == SIZES[0]:
            orders = [_order(name, scores) for name in (OFA, OFA_SAME)]
    teacher = _model("teacher CNN10", None, done.alone(recipe.teacher.stage), paper.TEACHER)
    return Table1(teacher, tuple(models), tuple(margins), tuple(orders))


def nearest_budget(recipe: Recipe, size: float, label_count: int) -> float:
    """The searched budget whose share of the full subnet is nearest that of a size."""
    space = recipe.search_space()
    params, full = (
        space.params(subnet, label_count, recipe.front_end) for subnet in (size_subnet(space, size), space.largest)
    )
    return min(BUDGETS_M, key=lambda budget: abs(budget - PAPER_FULL_M * params / full))


def _model(name: str, size: float | None, found: Evaluations, told: paper.PaperModel | None) -> Model:
    return Model(name, size, tuple(each.params for each in found.values()), estimate(on_test(found)), told)


def _order(ofa: str, scores: Mapping[str, BySeed]) -> Order:
    three = {"OFA": scores[ofa], KD: scores[KD], BASELINE: scores[BASELINE]}
    seeds = [seed for seed in scores[ofa] if all(seed in each for each in three.values())]
    means = {name: [each[seed].mean_average_precision for seed in seeds] for name, each in three.items()}
    holds = [
        seed for seed, row in zip(seeds, zip(*means.values(), strict=True), strict=True) if row[0] > row[1] > row[2]
    ]
    by_mean = sorted(means, key=lambda name: -sum(means[name])) if seeds else []
    return Order(ofa, tuple(seeds), tuple(holds), tuple(by_mean))


SEARCHED = "searched"
TUNED = {"short": "fine-tune-short", "long": "fine-tune", "init": "init"}
"""The stages of table 2's other columns."""
GAINS = (("short", SEARCHED), ("long", SEARCHED), ("long", "init"))


@dataclass(frozen=True)
class Tuning:
    """A row of table 2: one searched subnet, mAP by column, and the differences of columns, `GAINS`, in points."""

    budget: float
    params: int | None
    map_percent: Mapping[str, Estimate | None]
    gains: Mapping[tuple[str, str], Estimate | None]
    paper: paper.PaperTuning


def table_2(done: Done) -> tuple[Tuning, ...]:
    """Table 2, a row for each budget; what is not done is None in it."""
    rows = []
    for budget in BUDGETS_M:
        seeds = {unit.seed for unit in done.units if unit.budget == budget}
        searched = {seed: each for seed, each in done.searched(MAIN_SPACE, budget).items() if seed in seeds}
        found = {SEARCHED: searched, **{column: done.alone(stage, budget=budget) for column, stage in TUNED.items()}}
        scores = {column: on_test(each) for column, each in found.items()}
        rows.append(
            Tuning(
                budget,
                next((each.params for each in searched.values()), None),
                {column: estimate(each) for column, each in scores.items()},
                {pair: difference(scores[pair[0]], scores[pair[1]]) for pair in GAINS},
                paper.TABLE_2[budget],
            )
        )
    return tuple(rows)
