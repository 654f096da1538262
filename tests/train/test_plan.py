"""A dry run says what would be trained: stages, steps, clips, multiply-accumulates and hours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from lightning_fabric import Fabric

from tests.tiny_run import TINY, write_sounds
from toolkit.audio.dataset import load_dataset
from toolkit.specs.errors import UserError
from toolkit.specs.recipe import Recipe, Stage
from toolkit.train.__main__ import main
from toolkit.train.plan import PlannedStage, plan, plan_text


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> dict[str, PlannedStage]:
    """The plan of a small recipe, by stage."""
    sounds = write_sounds(tmp_path_factory.mktemp("sounds"), {"Dog": (2, 1), "Bell": (2, 1)})
    stages = {
        "largest": Stage(steps=10),
        "supernet": Stage(steps=20, subnet="sampled", subnets_per_step=2, start="largest", labels="teacher"),
        "kd": Stage(steps=10, subnet="given", labels="teacher"),
    }
    recipe = TINY.model_copy(update={"stages": stages})
    wanted, subnet = ("supernet", "kd"), recipe.search_space().smallest
    stages_ = plan(recipe, load_dataset(sounds), wanted, subnet, Fabric(accelerator="cpu", devices=1))
    return {stage.stage: stage for stage in stages_}


def test_every_stage_that_would_run_is_planned(planned: dict[str, PlannedStage]) -> None:
    """What the wanted stages stand on comes first; clips are steps times the batch."""
    assert list(planned) == ["largest", "supernet", "kd"]
    assert {name: (stage.steps, stage.clips) for name, stage in planned.items()} == {
        "largest": (10, 40),
        "supernet": (20, 80),
        "kd": (10, 40),
    }


def test_work_is_that_of_the_subnets(planned: dict[str, PlannedStage]) -> None:
    """Three forward passes' work for the largest subnet; the smallest costs less, though its teacher adds one pass."""
    space, front_end = TINY.search_space(), TINY.front_end
    crops = 40 * TINY.crop_frames / 1000
    largest, smallest = (space.macs(end, front_end, 2, "frames") for end in (space.largest, space.smallest))
    assert planned["largest"].macs == pytest.approx(3 * crops * largest)
    assert planned["kd"].macs == pytest.approx(crops * (3 * smallest + largest))
    assert planned["supernet"].macs > planned["largest"].macs
    assert all(0 < stage.estimated_hours < 1 for stage in planned.values())


def test_the_table_sums_up(planned: dict[str, PlannedStage]) -> None:
    """A line for each stage and one for all of them."""
    lines = plan_text(TINY, list(planned.values())).splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["largest", "supernet", "kd", "all"]
    assert lines[-1].split()[1:3] == ["40", "160"]


def test_an_unknown_stage_is_told(tmp_path: Path) -> None:
    """The stages there are stand in the message."""
    sounds = write_sounds(tmp_path, {"Dog": (2, 1)})
    with pytest.raises(UserError, match="no stage distil; it has largest, supernet"):
        plan(Recipe(name="test"), load_dataset(sounds), ("distil",), None, Fabric(accelerator="cpu", devices=1))


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_dry_run_trains_nothing(tmp_path: Path, options: list[str]) -> None:
    """It prints the plan, or gives it as JSON, and makes no folder; a second one stands in nobody's way."""
    sounds, out = write_sounds(tmp_path / "sounds", {"Dog": (2, 1)}), tmp_path / "out"
    TINY.save(tmp_path / "tiny.json")
    arguments = ["--data", str(sounds), "--recipe", str(tmp_path / "tiny.json"), "--out", str(out), "--dry-run"]
    done = CliRunner().invoke(main, [*arguments, *options])
    assert (done.exit_code, done.stderr) == (0, "")
    if options:
        stages = [PlannedStage.model_validate(stage) for stage in json.loads(done.stdout)]
        assert [(stage.stage, stage.steps, stage.clips) for stage in stages] == [("largest", 1, 4), ("supernet", 1, 4)]
    else:
        assert done.stdout.splitlines()[1].split()[:4] == ["stage", "steps", "clips", "MACs"]
    assert not out.exists()
