"""Units of a tiny reproduction: each stage is trained and judged once, and goes on from what lies on disk."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.tiny_run import TINY, write_sounds
from toolkit.audio.dataset import load_dataset
from toolkit.progress import Progress
from toolkit.reproduce.bootstrap import INTERVAL_PERCENT, RESAMPLES
from toolkit.reproduce.material import Material, gather_material
from toolkit.reproduce.plan import MAIN_SPACE, SIZES, chosen_units, plan_units, size_subnet
from toolkit.reproduce.results import Results
from toolkit.reproduce.units import Workshop
from toolkit.search.paper import BUDGETS_M
from toolkit.specs.errors import MismatchError, UserError
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.recipe import Stage
from toolkit.specs.teacher import TeacherSpec
from toolkit.specs.unit import UnitResult

STAGES = {
    "teacher": Stage(steps=2, mixup_alpha=1.0),
    "baseline": Stage(steps=1, subnet="given"),
    "kd": Stage(steps=1, subnet="given", labels="teacher"),
    "largest": Stage(steps=1, labels="teacher"),
    "supernet": Stage(steps=2, subnet="sampled", subnets_per_step=2, labels="teacher", start="largest"),
    "fine-tune-short": Stage(steps=1, subnet="given", labels="teacher", start="supernet"),
    "fine-tune": Stage(steps=1, subnet="given", labels="teacher", start="supernet"),
    "init": Stage(steps=1, subnet="given", labels="teacher"),
}
SMALL = TINY.model_copy(
    update={
        "stages": STAGES,
        "run": ("supernet",),
        "teacher": TeacherSpec(stage="teacher"),
        "generated": {},
        "front_end": FrontEndSpec(mel_bins=16),
    }
)
UNITS = plan_units(SMALL)
TUNED = f"fine-tune-{BUDGETS_M[0]}M"
SUPERNET = f"supernet-{MAIN_SPACE}-0"
MADE = chosen_units(UNITS, ["kd-0.4-0", TUNED])
BY_NAME = {unit.name: unit for unit in UNITS}
MIXTURES = (5, 7)


def quiet(_what: str, _done: int, _of: int) -> None:
    """Say nothing."""


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """Two labels of eight source recordings to train, of which two are tested, and mixtures of them."""
    sounds = write_sounds(tmp_path_factory.mktemp("sounds"), {"Dog": (8, 2), "Bell": (8, 2)}, background=8)
    return gather_material(SMALL, load_dataset(sounds), quiet, MIXTURES)


def workshop(folder: Path, material: Material, progress: Progress) -> Workshop:
    """A place to make the tiny recipe's units."""
    return Workshop(UNITS, SMALL, material, Results(folder / "units", SMALL), folder / "work", progress)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, material: Material) -> Iterator[Workshop]:
    """A workshop in which the teacher, a KD model, a supernet and one tuned subnet are made; not to be changed."""
    with Progress() as progress:
        shop = workshop(tmp_path_factory.mktemp("reproduction"), material, progress)
        for unit in MADE:
            shop.make(unit)
        yield shop


def read(made: Workshop, name: str) -> UnitResult:
    """A unit's result as it lies on disk."""
    result = made.results.read(BY_NAME[name])
    assert result is not None
    return result


def copied(made: Workshop, folder: Path, material: Material) -> Workshop:
    """The same workshop elsewhere, with results and weights."""
    shutil.copytree(made.results.folder.parent, folder)
    return workshop(folder, material, made.progress)


def judged(result: UnitResult) -> dict[str, object]:
    """All that a result says but how long it took."""
    return result.model_dump(exclude={"training_seconds", "evaluation_seconds"})


def test_units_say_what_was_trained_on_what(made: Workshop, material: Material) -> None:
    """Each result names its stage, seed, steps and clips, and the data that it heard."""
    assert set(made.results.all(UNITS)) == {"teacher", "largest-0", SUPERNET, "kd-0.4-0", TUNED}
    for unit in MADE:
        result = read(made, unit.name)
        assert (result.unit, result.stage, result.seed, result.space) == (unit.name, unit.stage, 0, MAIN_SPACE)
        assert result.steps == STAGES[unit.stage].steps
        assert result.clip_steps == SMALL.batch_size * STAGES[unit.stage].steps
        assert result.data_digest == material.facts.data_digest


def test_a_unit_of_one_subnet_is_judged_on_the_test_mixtures(made: Workshop) -> None:
    """The teacher's largest subnet, KD's size and the tuned subnet that was searched: one evaluation, with interval."""
    space = SMALL.search_space()
    wanted = {
        "teacher": space.largest.id,
        "kd-0.4-0": size_subnet(space, 0.4).id,
        TUNED: read(made, SUPERNET).picks[str(BUDGETS_M[0])],
    }
    for name, subnet in wanted.items():
        result = read(made, name)
        (evaluation,) = result.evaluations
        assert evaluation.subnet == subnet
        assert evaluation.params == space.params(space.parse(subnet), 2, SMALL.front_end)
        assert evaluation.test is not None
        resampled = evaluation.test.resampled()
        assert len(resampled) == RESAMPLES
        bounds = np.percentile(resampled, INTERVAL_PERCENT)
        assert (evaluation.test.low, evaluation.test.high) == pytest.approx(tuple(bounds), abs=1e-4)


def test_a_supernet_is_searched_on_validation_and_reported_on_test(made: Workshop) -> None:
    """Of each budget's candidates the best on validation is picked; picks, sizes and ends have test figures."""
    result, space = read(made, SUPERNET), SMALL.search_space()
    assert set(result.picks) == {str(budget) for budget in BUDGETS_M}
    for budget, pick in result.picks.items():
        on_validation = {name: result.of(name).validation_mean_average_precision for name in result.candidates[budget]}
        assert on_validation[pick] == max(on_validation.values())
    always = {space.largest.id, space.smallest.id, *(size_subnet(space, ratio).id for ratio in SIZES)}
    tested = {each.subnet for each in result.evaluations if each.test is not None}
    assert tested == always | set(result.picks.values())
    assert result.of(space.largest.id).params == space.params(space.largest, 2, SMALL.front_end)


def test_a_unit_that_is_done_is_not_made_again(made: Workshop) -> None:
    """A second make reads the result and leaves every file as it is."""
    folder = made.results.folder.parent
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    for unit in MADE:
        assert made.make(unit) == read(made, unit.name)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_weights_that_are_gone_are_trained_again(made: Workshop, material: Material, tmp_path: Path) -> None:
    """With results but without weights the next unit trains what it needs, and comes out the same."""
    again = copied(made, tmp_path / "again", material)
    shutil.rmtree(again.work)
    again.results.path(BY_NAME[TUNED]).unlink()
    assert judged(again.make(BY_NAME[TUNED])) == judged(read(made, TUNED))


def test_a_unit_stopped_before_its_result_goes_on(made: Workshop, material: Material, tmp_path: Path) -> None:
    """With weights but without a result a unit is judged again, not trained, and comes out the same."""
    again = copied(made, tmp_path / "again", material)
    again.results.path(BY_NAME["kd-0.4-0"]).unlink()
    weights = again.work / "kd-0.4-0" / "kd.safetensors"
    before = weights.stat().st_mtime_ns
    assert judged(again.make(BY_NAME["kd-0.4-0"])) == judged(read(made, "kd-0.4-0"))
    assert weights.stat().st_mtime_ns == before


def test_a_subnet_that_was_not_searched_cannot_be_tuned(material: Material, tmp_path: Path) -> None:
    """Tuning without its supernet says which unit to run first."""
    with Progress() as progress, pytest.raises(UserError, match=f"needs {SUPERNET}, which is not done"):
        workshop(tmp_path, material, progress).make(BY_NAME[TUNED])


def test_results_of_another_recipe_are_refused(made: Workshop) -> None:
    """A result is not read where the recipe says otherwise; what changes no figure may change."""
    folder = made.results.folder
    other = SMALL.model_copy(update={"learning_rate": 1e-4})
    with pytest.raises(MismatchError, match="another recipe"):
        Results(folder, other).read(BY_NAME["teacher"])
    same = SMALL.model_copy(update={"name": "renamed", "checkpoint_steps": 7, "evaluation_steps": 1})
    assert Results(folder, same).all(UNITS).keys() == made.results.all(UNITS).keys()
    longer = STAGES | {"kd": Stage(steps=9, subnet="given", labels="teacher")}
    changed = Results(folder, SMALL.model_copy(update={"stages": longer}))
    assert changed.read(BY_NAME["teacher"]) is not None
    with pytest.raises(MismatchError, match="another recipe"):
        changed.read(BY_NAME["kd-0.4-0"])


def test_results_of_other_data_are_refused(made: Workshop, material: Material, tmp_path: Path) -> None:
    """Neither is a unit taken as done that heard other data, nor do two such units stand in one table."""
    facts = material.facts.model_copy(update={"data_digest": "other"})
    elsewhere = copied(made, tmp_path / "other", replace(material, facts=facts))
    with pytest.raises(MismatchError, match="made with other data"):
        elsewhere.make(BY_NAME["teacher"])
    elsewhere.make(unit := BY_NAME["baseline-0.4-0"])
    with pytest.raises(MismatchError, match=f"units teacher and {unit.name} .* heard other data"):
        elsewhere.results.all(UNITS)


def test_the_facts_of_the_data_are_told(material: Material) -> None:
    """Clips, source recordings and mixtures, of each label, of the background and of all, each once."""
    facts, total = material.facts, material.facts.total
    assert list(facts.labels) == ["Bell", "Dog"]
    for each in facts.labels.values():
        assert (each.train_clips, each.test_clips, each.test_groups) == (6, 2, 2)
        assert each.validation_clips == 2
    assert (total.validation_mixtures, total.test_mixtures) == MIXTURES
    for name in ("train_clips", "validation_clips", "test_clips", "test_groups"):
        of_labels = sum(getattr(each, name) for each in facts.labels.values())
        assert getattr(total, name) == of_labels + getattr(facts.background, name)
    heard = {clip.name for clip in material.examples.clips}
    tested = {event.name for mixture in material.test.mixtures for event in mixture.events}
    assert not heard & tested


def test_a_space_without_a_size_is_judged_without_it(made: Workshop, material: Material, tmp_path: Path) -> None:
    """The sizes of table 1 stand in a supernet's result where the space holds them, and only there."""
    unit = BY_NAME["supernet-ew-layerwise-0"]
    result = copied(made, tmp_path / "again", material).make(unit)
    names = {each.subnet for each in result.evaluations if each.test is not None}
    space = unit.recipe(SMALL).search_space()
    for ratio in SIZES:
        subnet = size_subnet(SMALL.search_space(), ratio)
        assert (subnet.id in names) == (subnet in space)


def test_a_result_evaluates_what_it_picks(made: Workshop) -> None:
    """A file that names a subnet without figures of it is refused, and says which."""
    result = read(made, SUPERNET)
    pick = result.picks["0.8"]
    rest = [each for each in result.model_dump(mode="json")["evaluations"] if each["subnet"] != pick]
    text = json.dumps(result.model_dump(mode="json") | {"evaluations": rest})
    with pytest.raises(UserError, match=f"no evaluation of {pick}"):
        UnitResult.from_text(text, origin="supernet.json")
