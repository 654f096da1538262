"""The units of a reproduction: which there are, what each stands on, in which order they run. Nothing is trained here.

    teacher -> largest (a seed) -> supernet (a seed and space) -> fine-tune (a searched subnet)
            -> kd (a seed and size), init (a searched subnet)        baseline (a seed and size)

Table 1 comes first. Source: Lin et al. (2023), sections 2.4 and 3. Proved by tests/reproduce/test_plan.py.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from toolkit.search.paper import BUDGETS_M, PAPER_FULL_M
from toolkit.specs.errors import UserError
from toolkit.specs.recipe import SAMPLED, Recipe
from toolkit.specs.space import SearchSpace, Subnet, mode_frames

SEEDS = (0, 1, 2)
SIZES = (0.4, 0.6, 0.8)
"""Width ratio in all dynamic blocks, depth 2: the subnets that are trained by themselves."""
MAIN_SPACE = "ew-ed-22x"
SPACES = ("ew-ed-xxx", "ew-ed-2xx", MAIN_SPACE, "ew-only", "ew-layerwise")
"""Of the figures; the last is not the paper's."""


@dataclass(frozen=True)
class Unit:
    """One stage with one seed.

    Args:
        name: unique.
        stage: of the recipe.
        seed: of weights, batches and sampled subnets.
        space: which the network is built for.
        needs: units whose weights it takes: the stage it starts from, the teacher.
        ratio: for a subnet of one of `SIZES`.
        budget: for a subnet that was searched: one of `BUDGETS_M`.
    """

    name: str
    stage: str
    seed: int
    space: str = MAIN_SPACE
    needs: tuple[str, ...] = ()
    ratio: float | None = None
    budget: float | None = None

    def recipe(self, recipe: Recipe) -> Recipe:
        """The reproduction's recipe with this unit's seed and space."""
        return recipe.model_copy(update={"seed": self.seed, "space": self.space})


def plan_units(recipe: Recipe, seeds: Sequence[int] = SEEDS) -> tuple[Unit, ...]:
    """Every unit, in an order in which each comes after what it needs.

    Raises:
        UserError: the recipe lacks a stage, or trains another space.
    """
    if recipe.space != MAIN_SPACE:
        raise UserError(f"recipe {recipe.name} trains {recipe.space}; the paper's tables need {MAIN_SPACE}.")
    stages = ("baseline", "kd", "largest", "supernet", "fine-tune-short", "fine-tune", "init")
    own_teacher = recipe.teacher.stage if recipe.teacher.kind == "stage" else None
    wanted = (*stages, *([own_teacher] if own_teacher else []))
    if missing := [name for name in wanted if name not in recipe.stages]:
        raise UserError(f"recipe {recipe.name} lacks stages {', '.join(missing)}; toolkit.reproduce needs them all.")
    first, units = seeds[0], []
    taught = (own_teacher,) if own_teacher else ()
    if own_teacher:
        units.append(Unit(own_teacher, own_teacher, first))
    for seed in seeds:
        units.append(Unit(f"largest-{seed}", "largest", seed, needs=taught))
        units.append(_supernet(MAIN_SPACE, seed, taught))
        for ratio in SIZES:
            units.append(Unit(f"baseline-{ratio}-{seed}", "baseline", seed, ratio=ratio))
            units.append(Unit(f"kd-{ratio}-{seed}", "kd", seed, needs=taught, ratio=ratio))
    units.extend(_supernet(space, first, taught) for space in SPACES if space != MAIN_SPACE)
    supernet = _supernet(MAIN_SPACE, first, taught).name
    for stage in ("fine-tune-short", "fine-tune", "init"):
        needs = (*taught, supernet)
        units.extend(Unit(f"{stage}-{budget}M", stage, first, needs=needs, budget=budget) for budget in BUDGETS_M)
    return tuple(units)


def chosen_units(units: Sequence[Unit], names: Sequence[str]) -> tuple[Unit, ...]:
    """The named units with what they need, all if none is named, in the order of the plan.

    Raises:
        UserError: there is no unit of that name.
    """
    known = {unit.name: unit for unit in units}
    if unknown := [name for name in names if name not in known]:
        raise UserError(f"no unit is called {', '.join(unknown)}. --list names them all.")
    wanted = set(names or known)
    for unit in reversed(units):
        if unit.name in wanted:
            wanted.update(unit.needs)
    return tuple(unit for unit in units if unit.name in wanted)


def units_text(units: Sequence[Unit], recipe: Recipe, done: Collection[str]) -> str:
    """A table for people."""
    lines = [f"{'unit':<28}{'steps':>7}{'clip-steps':>12}{'MACs':>10}  done"]
    for unit in units:
        steps = recipe.stage(unit.stage).steps
        counts = f"{steps:>7,}{steps * recipe.batch_size:>12,}{work(unit, recipe):>10.1e}"
        lines.append(f"{unit.name:<28}{counts}{'   yes' if unit.name in done else ''}")
    return "\n".join(lines)


def _supernet(space: str, seed: int, taught: tuple[str, ...]) -> Unit:
    return Unit(f"supernet-{space}-{seed}", "supernet", seed, space, (*taught, f"largest-{seed}"))


def size_subnet(space: SearchSpace, ratio: float) -> Subnet:
    """The subnet with one width ratio and depth 2 in all dynamic blocks."""
    index = space.ratios.index(ratio)
    return Subnet(blocks=tuple([block for block in choices if len(block) == 2][index] for choices in space.choices))


def work(unit: Unit, recipe: Recipe) -> float:
    """Multiply-accumulates of a unit's training, for estimates of time: forward once, backward twice."""
    own, stage = unit.recipe(recipe), recipe.stage(unit.stage)
    space, draw = own.search_space(), random.Random(0)

    def macs(subnets: Sequence[Subnet]) -> float:
        every = [space.macs(subnet, own.front_end, 1, "frames") for subnet in subnets]
        return sum(every) / len(every)

    if stage.subnet == SAMPLED:
        each = macs([space.sample(draw) for _ in range(20)]) * stage.subnets_per_step
    elif unit.ratio is not None:
        each = macs([size_subnet(space, unit.ratio)])
    else:
        each = macs([space.largest]) * (unit.budget / PAPER_FULL_M if unit.budget else 1)
    teacher = macs([space.largest]) if stage.labels == "teacher" else 0.0
    crop = own.crop_frames / mode_frames(own.front_end, "clip")
    return stage.steps * own.batch_size * crop * (3 * each + teacher)
