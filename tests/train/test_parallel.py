"""Two processes that share a batch over gloo train as one process with the whole batch does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from tests.gloo import PROCESSES, in_processes
from tests.train.test_loop import OFA, PLAN, STEPS, Nay, Told, training
from toolkit.specs.errors import UserError
from toolkit.specs.recipe import Recipe
from toolkit.train.parallel import launch

RECIPE = PLAN.model_copy(
    update={
        "dropout": False,
        "stages": {name: stage.model_copy(update={"mixup_alpha": 0.0}) for name, stage in PLAN.stages.items()},
    }
)
"""Without what each process draws for itself."""
ONE_STEP = RECIPE.model_copy(
    update={"stages": {name: stage.model_copy(update={"steps": 1}) for name, stage in RECIPE.stages.items()}}
)


def train(folder: str, processes: str = str(PROCESSES)) -> None:
    """Train in one of so many processes: two stages, and of each the gradients of its first step alone.

    Leaves `(FOLDER)/gradients-STAGE-RANK.safetensors` and the number of steps that the watch was told, by rank.
    """
    rank, told = os.environ.get("RANK", "0"), Told()
    fabric = launch(RECIPE, "cpu", int(processes), 1, None)
    short, long = training(Path(folder, "short"), ONE_STEP), training(Path(folder, "long"), RECIPE, told)
    short.fabric = long.fabric = fabric
    for stage in OFA:
        net, _ = short.train(stage, Nay())
        gradients = {name: value.grad for name, value in net.named_parameters() if value.grad is not None}
        save_file(gradients, Path(folder, f"gradients-{stage}-{rank}.safetensors"))
        long.train(stage, Nay())
    Path(folder, f"told-{rank}").write_text(str(len(told.steps)))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """What one process and what two left."""
    one, two = (tmp_path_factory.mktemp(name) for name in ("one", "two"))
    train(str(one), "1")
    in_processes(f"{__name__}:train", two)
    return one, two


@pytest.mark.parametrize("stage", OFA)
def test_two_processes_have_the_gradients_of_one(folders: tuple[Path, Path], stage: str) -> None:
    """Gradients of the same effective batch are the same, to float32's rounding, and every process has them."""
    one, *two = (
        load_file(folder / f"gradients-{stage}-{rank}.safetensors")
        for folder, rank in ((folders[0], 0), (folders[1], 0), (folders[1], 1))
    )
    for name, value in one.items():
        scale = value.abs().max()
        assert scale > 0
        for each in two:
            assert_close(each[name] / scale, value / scale, atol=5e-4, rtol=0)


@pytest.mark.parametrize("stage", OFA)
def test_two_processes_give_what_one_gives(folders: tuple[Path, Path], stage: str) -> None:
    """After some steps the weights are the same, those too that no subnet of some step used.

    Single ones may differ by what Adam makes of rounding where a gradient is almost nothing, up to a step of 3e-3.
    """
    one, two = (load_file(folder / "long" / f"{stage}.safetensors") for folder in folders)
    for name, value in one.items():
        assert (two[name] - value).abs().mean() < 1e-5, name


def test_the_first_process_alone_says_how_it_goes(folders: tuple[Path, Path]) -> None:
    """One curve and one bar for all of them."""
    assert [(folders[1] / f"told-{rank}").read_text() for rank in range(PROCESSES)] == [str(2 * STEPS), "0"]


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    """Processes that would get parts of different sizes are told before anything starts."""
    with pytest.raises(UserError, match="batch_size 10 cannot be shared evenly by 4 processes"):
        launch(Recipe(name="test", batch_size=10), "cpu", 2, 2, None)


def test_an_accelerator_that_is_not_there_is_told() -> None:
    """No traceback where there is no GPU."""
    with pytest.raises(UserError, match="cannot run on 1 "):
        launch(Recipe(name="test"), "tpu", 1, 1, None)
