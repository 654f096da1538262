"""Two processes that share a batch over gloo train as one process with the whole batch does."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from toolkit.specs.errors import UserError
from toolkit.specs.recipe import Recipe
from toolkit.train.parallel import launch

ROOT = Path(__file__).parents[2]
TRAIN = """
import sys
from pathlib import Path
import torch
from tests.train.test_loop import PLAN, OFA, Nay, training
from toolkit.train.parallel import launch

torch.set_num_threads(1)
stages = {**PLAN.stages, "largest": PLAN.stages["largest"].model_copy(update={"mixup_alpha": 0.0})}
recipe = PLAN.model_copy(update={"dropout": False, "stages": stages})
one = training(Path(sys.argv[1]), recipe)
one.fabric = launch(recipe, "cpu", int(sys.argv[2]), 1, 1)
for stage in OFA:
    one.train(stage, Nay())
"""


def free_port() -> str:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def start(folder: Path, processes: int) -> None:
    """Train in so many processes, as torchrun starts them, and wait for all."""
    port, running = free_port(), []
    for rank in range(processes):
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
        torchrun = {name: str(value) for name, value in place.items()} | {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
            "GROUP_RANK": "0",
            "TORCHELASTIC_RUN_ID": "test",
        }
        running.append(
            subprocess.Popen(
                [sys.executable, "-c", TRAIN, str(folder), str(processes)],
                cwd=ROOT,
                env=os.environ | (torchrun if processes > 1 else {}),
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    for process in running:
        _, told = process.communicate(timeout=120)
        assert process.returncode == 0, told


def test_two_processes_give_what_one_gives(tmp_path: Path) -> None:
    """The same effective batch in one process or in two: the same weights, to what Adam makes of float32's rounding."""
    start(tmp_path / "one", 1)
    start(tmp_path / "two", 2)
    for stage, most in (("largest", 1e-4), ("supernet", 1e-3)):
        one, two = (load_file(tmp_path / folder / f"{stage}.safetensors") for folder in ("one", "two"))
        for name, value in one.items():
            assert (two[name] - value).abs().mean() < most, (stage, name)


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    """Processes that would get parts of different sizes are told before anything starts."""
    with pytest.raises(UserError, match="batch_size 10 cannot be shared evenly by 4 processes"):
        launch(Recipe(name="test", batch_size=10), "cpu", 2, 2, None)


def test_an_accelerator_that_is_not_there_is_told() -> None:
    """No traceback where there is no GPU."""
    with pytest.raises(UserError, match="cannot run on 1 "):
        launch(Recipe(name="test"), "tpu", 1, 1, None)
