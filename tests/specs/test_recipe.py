"""A recipe's stages stand on each other in order, and what does not fit together is told."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.specs.errors import UserError
from toolkit.specs.recipe import Recipe, Stage
from toolkit.specs.shipped import RECIPES

SHIPPED = sorted(RECIPES.glob("*.toml"))
METHODS = {"teacher", "baseline", "kd", "largest", "supernet", "fine-tune", "init"}


def recipe(**fields: Any) -> Recipe:
    """A recipe with a name and these fields."""
    return Recipe.model_validate({"name": "test"} | fields)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_recipes_are_whole(path: Path) -> None:
    """Each loads, is named as its file, trains a supernet last, and all of its stages can run."""
    shipped = Recipe.load(path)
    assert shipped.name == path.stem
    assert shipped.stages[shipped.run[-1]].subnet == "sampled"
    for name in shipped.stages:
        assert shipped.needed(name)[-1] == name


def test_the_paper_recipe_is_the_papers() -> None:
    """Steps, batch, rate, masks and K are those of the paper's sections 2.3, 3.2 and 3.3, and nothing else is done."""
    paper = Recipe.load(RECIPES / "paper.toml")
    stages = paper.stages
    assert {name: stages[name].steps for name in ("teacher", "baseline", "kd", "largest", "supernet")} == {
        "teacher": 400_000,
        "baseline": 100_000,
        "kd": 100_000,
        "largest": 100_000,
        "supernet": 200_000,
    }
    assert (paper.batch_size, paper.learning_rate, paper.schedule, paper.weight_decay) == (64, 1e-3, "constant", 0)
    assert stages["supernet"].subnets_per_step == 4
    assert (paper.search_space().full_widths, paper.crop_frames) == ((64, 128, 256, 512), 1000)
    how = paper.augmentation
    assert (how.time_masks, how.time_mask_frames, how.frequency_masks, how.frequency_mask_bins) == (2, 64, 2, 8)
    assert how.mix_probability == how.background_probability == how.silence_probability == 0
    assert how.band_limit_probability == how.noise_floor_probability == 0
    assert how.level_db == (0.0, 0.0)
    assert paper.distillation_weight == 1
    assert not any(stage.sandwich or stage.in_place for stage in stages.values())


@pytest.mark.parametrize("name", ["paper", "compact"])
def test_the_five_methods_are_stages(name: str) -> None:
    """Teacher, baseline, KD, OFA in two phases, fine-tuning and init, each learning from what the paper says."""
    stages = Recipe.load(RECIPES / f"{name}.toml").stages
    assert set(stages) >= METHODS
    hard = {stage for stage in METHODS if stages[stage].labels == "hard"}
    assert hard == {"teacher", "baseline"}
    assert {stage: stages[stage].start for stage in METHODS if stages[stage].start} == {
        "supernet": "largest",
        "fine-tune": "supernet",
    }
    assert {stage for stage in METHODS if stages[stage].mixup_alpha} == {"teacher"}
    assert {stage for stage in METHODS if stages[stage].subnet == "given"} == {"baseline", "kd", "fine-tune", "init"}


@given(order=st.permutations(["a", "b", "c", "d"]))
def test_stages_run_after_what_they_stand_on(order: list[str]) -> None:
    """Whatever the order in the file, a chain of stages runs from its first to its last."""
    chain = dict(zip("bcd", "abc", strict=True))
    stages = {name: Stage(steps=1, start=chain.get(name)) for name in order}
    assert recipe(stages=stages, run=("d",)).needed("d") == ("a", "b", "c", "d")


def test_a_teacher_stage_comes_before_its_pupils() -> None:
    """A stage that learns from the recipe's own teacher needs that stage; one that learns from a file does not."""
    stages = {"teacher": {"steps": 1}, "kd": {"steps": 1, "labels": "teacher"}}
    own = recipe(stages=stages, run=("kd",), teacher={"stage": "teacher"})
    assert own.needed("kd") == ("teacher", "kd")
    table = {"kind": "table", "file": "scores.csv"}
    assert recipe(stages=stages, run=("kd",), teacher=table).needed("kd") == ("kd",)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"stages": {"a": {"steps": 1, "start": "b"}}, "run": ["a"]}, "a starts from b, which is not among"),
        ({"stages": {"a": {"steps": 1, "start": "a"}}, "run": ["a"]}, "in a circle: a -> a"),
        ({"stages": {"a": {"steps": 1}}, "run": ["b"]}, "has no stage b; it has a"),
        ({"stages": {"a": {"steps": 1, "subnet": "1.1"}}, "run": ["a"]}, "stage a: .*1.1"),
        ({"stages": {"a": {"steps": 1, "in_place": True}}, "run": ["a"]}, "in_place needs sandwich"),
        ({"stages": {"a": {"steps": 1, "sandwich": True}}, "run": ["a"]}, 'sandwich needs subnet = "sampled"'),
        ({"crop_frames": 100}, "multiple of 8"),
        ({"batch_size": 10, "accumulate": 4}, "no multiple of accumulate 4"),
        ({"generated": {"Dog": 3}}, "found Dog"),
    ],
)
def test_what_does_not_fit_together_is_told(fields: dict[str, Any], told: str) -> None:
    """Each contradiction is refused with the names in it."""
    with pytest.raises(UserError) as refused:
        Recipe.from_text(json.dumps({"name": "test", **fields}), origin="test.json")
    assert re.search(told, str(refused.value))


def test_a_stage_is_known_by_what_its_weights_depend_on() -> None:
    """A digest changes with what a stage or one below it does, not with later stages, names or intervals."""
    stages: dict[str, dict[str, Any]] = {
        "largest": {"steps": 3},
        "supernet": {"steps": 5, "subnet": "sampled", "start": "largest"},
    }
    base = recipe(stages=stages)

    def changed(**fields: Any) -> tuple[bool, bool]:
        other = recipe(**({"stages": stages} | fields))
        return tuple(base.stage_digest(name) != other.stage_digest(name) for name in stages)  # type: ignore[return-value]

    assert changed(name="other", checkpoint_steps=7, evaluation_steps=9, evaluated_subnets=3) == (False, False)
    assert changed(stages=stages | {"supernet": stages["supernet"] | {"steps": 6}}) == (False, True)
    assert changed(stages=stages | {"largest": {"steps": 4}}) == (True, True)
    assert changed(seed=1) == (True, True)
    space = base.search_space()
    assert base.stage_digest("largest", space.smallest) != base.stage_digest("largest", space.largest)
