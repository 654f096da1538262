"""Results of a whole reproduction, invented and written through the specs: nothing is trained.

mAP rises with parameters; what a stage adds is an argument. Resamples move mostly together, as real ones do.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from toolkit.reproduce.bootstrap import INTERVAL_PERCENT
from toolkit.reproduce.plan import SIZES, Unit, plan_units, size_subnet
from toolkit.reproduce.results import DATA, Results, unit_digest
from toolkit.search.paper import candidates
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.recipe import Recipe
from toolkit.specs.space import SearchSpace, Subnet
from toolkit.specs.unit import RESAMPLE_SCALE, DataFacts, Evaluation, LabelFacts, TestScore, UnitResult

RECIPE = Recipe.find("compact")
UNITS = plan_units(RECIPE)
LABELS = ("Bell", "Cough", "Dog", "Rain")
RESAMPLES = 50
PAPER_ORDER = {"baseline": -0.06, "kd": -0.03, "supernet": 0.0, "teacher": 0.02}
"""What the models of a stage have more than those of the same size in the supernet; other stages have a point more."""
Added = Mapping[str, float]


def invent(
    folder: Path, units: Collection[Unit] = UNITS, added: Added = PAPER_ORDER, data: str = "some data"
) -> Results:
    """Write `data.json` and the results of some units."""
    counts = LabelFacts(
        train_clips=40, validation_clips=10, test_clips=8, test_groups=6, validation_mixtures=30, test_mixtures=50
    )
    DataFacts(
        data_digest=data,
        data_hash="0123456789abcdef",
        summary="160 recordings to train and 40 to validate, 0 generated sounds to train.",
        total=counts,
        labels=dict.fromkeys(LABELS, counts),
        background=counts,
    ).save(folder / DATA)
    results = Results(folder / "units", RECIPE)
    for unit in units:
        invented(unit, added, data).save(results.path(unit))
    return results


def invented(unit: Unit, added: Added, data: str) -> UnitResult:
    """One unit's result; each seed is half a point better than the one before."""
    space, stage = unit.recipe(RECIPE).search_space(), RECIPE.stage(unit.stage)
    gain = added.get(unit.stage, 0.01) + 0.005 * unit.seed
    found: dict[float, tuple[Subnet, ...]] = {}
    picks: dict[float, Subnet] = {}
    if unit.stage == "supernet":
        found = candidates(space, len(LABELS), unit.seed, FrontEndSpec())
        picks = {budget: max(some, key=lambda each: validation(space, each, gain)) for budget, some in found.items()}
        sizes = [size_subnet(RECIPE.search_space(), ratio) for ratio in SIZES]
        tested = [*picks.values(), *(each for each in sizes if each in space)]
    elif unit.ratio is not None:
        tested = [size_subnet(space, unit.ratio)]
    elif unit.budget is not None:
        supernet = next(one for one in UNITS if one.name == unit.needs[-1])
        tested = [Subnet.parse(invented(supernet, added, data).picks[str(unit.budget)])]
    else:
        tested = [space.largest]
    every = dict.fromkeys([*tested, *(each for some in found.values() for each in some)])
    return UnitResult(
        unit=unit.name,
        stage=unit.stage,
        seed=unit.seed,
        space=unit.space,
        recipe=RECIPE.name,
        recipe_digest=unit_digest(unit, RECIPE),
        data_digest=data,
        steps=stage.steps,
        clip_steps=stage.steps * RECIPE.batch_size,
        training_seconds=360.0,
        evaluation_seconds=36.0,
        machine="an invented processor, 2 threads",
        toolkit_version="0",
        evaluations=tuple(
            Evaluation(
                subnet=each.id,
                params=space.params(each, len(LABELS)),
                validation_mean_average_precision=validation(space, each, gain),
                test=score(quality(space, each) + gain, f"{unit.name} {each}") if each in tested else None,
            )
            for each in every
        ),
        candidates={str(budget): tuple(each.id for each in some) for budget, some in found.items()},
        picks={str(budget): each.id for budget, each in picks.items()},
    )


def quality(space: SearchSpace, subnet: Subnet) -> float:
    """MAP of a size, before what its stage adds."""
    share = space.params(subnet, len(LABELS)) / space.params(space.largest, len(LABELS))
    return float(0.3 + 0.2 * share**0.3)


def validation(space: SearchSpace, subnet: Subnet, gain: float) -> float:
    """MAP on validation: the same with a wobble of its own."""
    return quality(space, subnet) + gain + random.Random(f"{space.name} {subnet.id}").uniform(-0.01, 0.01)


def score(mean: float, name: str) -> TestScore:
    """A test score: most of its resamples' noise is shared by all, some is its own."""
    shared, own = random.Random(0), random.Random(name)
    resampled = [mean + shared.gauss(0, 0.02) + own.gauss(0, 0.004) for _ in range(RESAMPLES)]
    low, high = np.percentile(resampled, INTERVAL_PERCENT)
    return TestScore(
        mean_average_precision=mean,
        low=float(low),
        high=float(high),
        resamples=" ".join(str(round(value * RESAMPLE_SCALE)) for value in resampled),
    )
