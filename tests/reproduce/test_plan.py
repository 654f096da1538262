"""The plan: every unit of the tables and figures, in an order that works, and the candidates of the search."""

from __future__ import annotations

from collections import Counter

import pytest

from toolkit.reproduce.plan import (
    MAIN_SPACE,
    SEEDS,
    SIZES,
    SPACES,
    chosen_units,
    plan_units,
    size_subnet,
    units_text,
    work,
)
from toolkit.search.methods import PAPER_CANDIDATES
from toolkit.search.paper import BUDGETS_M, PAPER_FULL_M, TOLERANCE_M, candidates
from toolkit.specs.errors import UserError
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.recipe import Recipe
from toolkit.specs.space import preset_space
from toolkit.specs.teacher import TeacherSpec

RECIPE = Recipe.find("compact")
UNITS = plan_units(RECIPE)
BY_NAME = {unit.name: unit for unit in UNITS}


@pytest.mark.parametrize("recipe", ["compact", "paper"])
def test_each_unit_comes_after_what_it_needs(recipe: str) -> None:
    """Names are unique, and in the order of the plan nothing is needed before it is made."""
    units = plan_units(Recipe.find(recipe))
    places = {unit.name: place for place, unit in enumerate(units)}
    assert len(places) == len(units)
    for unit in units:
        assert all(places[name] < places[unit.name] for name in unit.needs)


def test_a_unit_needs_whose_weights_and_labels_it_takes() -> None:
    """What a unit's stage starts from and its teacher are among its needs, by stage and, for the start, by seed."""
    for unit in UNITS:
        stage = RECIPE.stage(unit.stage)
        needed = {BY_NAME[name].stage: BY_NAME[name].seed for name in unit.needs}
        if stage.start is not None:
            assert needed[stage.start] == unit.seed
        assert ("teacher" in needed) == (stage.labels == "teacher")


def test_the_plan_holds_the_papers_tables_and_figures() -> None:
    """Table 1 with three seeds, table 2 for each budget, a supernet for each space, and one teacher for all."""
    stages = Counter(unit.stage for unit in UNITS)
    for stage in ("baseline", "kd"):
        found = {(unit.ratio, unit.seed) for unit in UNITS if unit.stage == stage}
        assert found == {(ratio, seed) for ratio in SIZES for seed in SEEDS}
    for stage in ("fine-tune-short", "fine-tune", "init"):
        assert {unit.budget for unit in UNITS if unit.stage == stage} == set(BUDGETS_M)
    assert {(unit.space, unit.seed) for unit in UNITS if unit.stage == "supernet"} == {
        *((space, SEEDS[0]) for space in SPACES),
        *((MAIN_SPACE, seed) for seed in SEEDS),
    }
    assert stages["teacher"] == 1


def test_a_chosen_unit_brings_what_it_needs() -> None:
    """Needs of needs too, in the order of the plan and nothing else; no name chooses all."""
    chosen = [unit.name for unit in chosen_units(UNITS, ["fine-tune-0.8M", "baseline-0.4-1"])]
    assert chosen == ["teacher", "largest-0", f"supernet-{MAIN_SPACE}-0", "baseline-0.4-1", "fine-tune-0.8M"]
    assert chosen_units(UNITS, []) == UNITS
    with pytest.raises(UserError, match=r"no unit is called kd-0\.5-0"):
        chosen_units(UNITS, ["kd-0.5-0", "teacher"])


def test_a_teacher_from_elsewhere_is_no_unit() -> None:
    """Where a file teaches, nothing waits for a teacher to be trained."""
    units = plan_units(RECIPE.model_copy(update={"teacher": TeacherSpec(kind="table", file="scores.csv")}))
    assert not [unit for unit in units if "teacher" in (unit.name, *unit.needs)]
    assert len(units) == len(UNITS) - 1


def test_a_recipe_that_does_not_do_is_told() -> None:
    """A missing stage is named, and so is a space that the tables are not of."""
    stages = {name: stage for name, stage in RECIPE.stages.items() if name not in ("kd", "init")}
    with pytest.raises(UserError, match="lacks stages kd, init"):
        plan_units(RECIPE.model_copy(update={"stages": stages}))
    with pytest.raises(UserError, match="ew-only; the paper's tables need ew-ed-22x"):
        plan_units(RECIPE.model_copy(update={"space": "ew-only"}))


@pytest.mark.parametrize("name", SPACES)
def test_candidates_lie_within_the_tolerance(name: str) -> None:
    """At most 25 different subnets of the space, each with its budget's share of the full parameters."""
    space = preset_space(name, 16)
    found = candidates(space, 30, 0, FrontEndSpec())
    assert tuple(found) == BUDGETS_M
    full = space.params(space.largest, 30)
    for budget, some in found.items():
        assert 1 < len(set(some)) == len(some) <= PAPER_CANDIDATES
        assert all(each in space for each in some)
        sizes_m = [PAPER_FULL_M * space.params(each, 30) / full for each in some]
        assert max(abs(size_m - budget) for size_m in sizes_m) <= TOLERANCE_M


def test_candidates_are_the_seeds() -> None:
    """The same seed gives the same candidates, another seed others."""
    space = preset_space("ew-ed-xxx", 16)
    assert (
        candidates(space, 30, 0, FrontEndSpec())
        == candidates(space, 30, 0, FrontEndSpec())
        != candidates(space, 30, 1, FrontEndSpec())
    )


def test_all_subnets_of_a_budget_are_candidates_where_they_are_few() -> None:
    """Within a budget of [2,2,X] that holds fewer than 25, none is left out."""
    space = preset_space(MAIN_SPACE, 16)
    full = space.params(space.largest, 30)
    for budget, some in candidates(space, 30, 0, FrontEndSpec()).items():
        within = [
            each
            for each in space.subnets()
            if abs(PAPER_FULL_M * space.params(each, 30) / full - budget) <= TOLERANCE_M
        ]
        assert len(some) == min(PAPER_CANDIDATES, len(within))


@pytest.mark.parametrize(("ratio", "params_m"), [(0.4, 1.17), (0.6, 2.15), (0.8, 3.49)])
def test_sizes_are_the_papers(ratio: float, params_m: float) -> None:
    """At the paper's width and labels the individual models have its parameters (the first by its arithmetic)."""
    space = preset_space(MAIN_SPACE, 64)
    assert space.params(size_subnet(space, ratio), 527) / 1e6 == pytest.approx(params_m, abs=0.005)


def test_work_is_that_of_the_subnets() -> None:
    """A larger model is more work, KD more than the baseline by its teacher, and K subnets a step more than one."""

    def of(name: str) -> float:
        return work(BY_NAME[name], RECIPE)

    assert (
        of("baseline-0.4-0") < of("baseline-0.6-0") < of("kd-0.6-0") < of("largest-0") < of(f"supernet-{MAIN_SPACE}-0")
    )
    assert of("kd-0.6-0") - of("baseline-0.6-0") == pytest.approx(of("kd-0.4-0") - of("baseline-0.4-0"))
    assert of("fine-tune-0.8M") == pytest.approx(10 * of("fine-tune-short-0.8M"))


def test_the_list_says_what_is_done() -> None:
    """A line for each unit with its clip-steps, marked where it is done."""
    lines = units_text(UNITS[:3], RECIPE, {UNITS[1].name}).splitlines()[1:]
    assert [line.split()[0] for line in lines] == [unit.name for unit in UNITS[:3]]
    assert [line.endswith("yes") for line in lines] == [False, True, False]
    assert [line.split()[2] for line in lines] == [f"{RECIPE.stage(u.stage).steps * 32:,}" for u in UNITS[:3]]
