"""How fast a training step is: clips a second, and the share of this machine's matrix-multiply peak.

Steps that `toolkit.train` takes, the same ones as one would first write them (`_naive_step.py`) and matrix products
take turns in one process; figures are medians. `done` counts the multiplications that our step makes, `useful` those of
each subnet by itself and the teacher. Processor time stands there too, because a machine is seldom quiet. The result
holds only if both ways have the same gradients.
Run: python -m benchmarks.train_step [--quick] [--threads N]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import torch
from lightning_fabric import Fabric
from torch.utils.flop_counter import FlopCounterMode

from benchmarks._naive_step import LABELS, Naive, new_net, subnets_of, teacher_of, worst_difference
from toolkit.frontend import LogMel
from toolkit.specs.recipe import Recipe
from toolkit.specs.space import CLIP_SECONDS, TIME_STRIDE
from toolkit.supernet.supernet import Supernet
from toolkit.train.batches import Batches
from toolkit.train.examples import Example, Examples
from toolkit.train.features import log_mel
from toolkit.train.loop import Training
from toolkit.train.memory import keep_freed_memory
from toolkit.train.plan import BACKWARD_FACTOR
from toolkit.train.watch import Unwatched, Watch

GOAL, SPEED_UP_GOAL, TOLERANCE = 0.5, 2.0, 1e-4
HELD = "paper 32-true supernet"
CROPS, ROUNDS = {"paper": 8, "compact": 32}, {"paper": 5, "compact": 10}
PRECISIONS = {"32-true": torch.float32, "bf16-mixed": torch.bfloat16}
STAGES = ("teacher", "supernet")
SIDES, PRODUCT_MACS = (512, 1024, 2048, 3072), 4e10
"""Of square matrix products, the best of which is the peak; each is repeated up to about so many multiplications."""
COUNTED_FRAMES = TIME_STRIDE
OURS, NAIVE = "ours", "naive"


class Spent(NamedTuple):
    """Seconds by the clock, and of all cores together."""

    wall: float
    cpu: float

    @classmethod
    def until_now(cls, since: Spent | None = None) -> Spent:
        """Since a time, or since no particular one."""
        before = since or cls(0, 0)
        return cls(time.perf_counter() - before.wall, time.process_time() - before.cpu)


class Turns(Unwatched):
    """Times our steps; between two of them the others have their turn. The first round warms up and does not count."""

    def __init__(self, others: Mapping[str, Callable[[int], object]]) -> None:
        self.rounds: list[dict[str, Spent]] = []
        self._others, self._began = others, Spent.until_now()

    def step(self, stage: str, step: int, steps: int, loss: float, clips: int) -> None:
        """Our step is done: now the others."""
        spent = {OURS: Spent.until_now(self._began)}
        for name, run in self._others.items():
            began = Spent.until_now()
            run(step - 1)
            spent[name] = Spent.until_now(began)
        if step > 1:
            self.rounds.append(spent)
        self._began = Spent.until_now()


class Counts(Unwatched):
    """Multiply-accumulates at the end of each step that trains under a counter: of convolutions, and of the rest."""

    def __init__(self, counter: FlopCounterMode) -> None:
        self.totals: list[np.ndarray] = []
        self._counter = counter

    def step(self, stage: str, step: int, steps: int, loss: float, clips: int) -> None:
        """Note the counts."""
        flops = self._counter.get_flop_counts()["Global"]
        convolutions = sum(count for operator, count in flops.items() if "convolution" in str(operator))
        self.totals.append(np.array([convolutions, sum(flops.values()) - convolutions]) / 2)


class Figures(NamedTuple):
    """Of one recipe, precision and stage; shares are of the peak."""

    clips_per_s: float
    naive_clips_per_s: float
    speed_up: float
    peak_gmacs_per_s: float
    done_share: float
    useful_share: float
    naive_useful_share: float
    speed_up_cpu: float
    done_share_cpu: float


def recipe_of(name: str, precision: str, crops: int, rounds: int) -> Recipe:
    """A shipped recipe, whose supernet starts untrained, for a warm-up and so many rounds of so many crops."""
    recipe, steps = Recipe.find(name), 1 + rounds
    stages = {stage: recipe.stage(stage).model_copy(update={"steps": steps, "start": None}) for stage in STAGES}
    changed = {"precision": precision, "batch_size": crops, "checkpoint_steps": steps, "evaluation_steps": 0}
    return recipe.model_copy(update={"stages": stages, **changed})


def train(recipe: Recipe, stage: str, sounds: np.ndarray, watch: Watch) -> None:
    """Train a stage as `toolkit.train` does, on the features of sounds [N, S]."""
    front_end, labels = LogMel(recipe.front_end), tuple(f"sound {row}" for row in range(len(sounds)))
    clips = [Example(label, log_mel(front_end, sound), (label,)) for label, sound in zip(labels, sounds, strict=True)]
    batches = Batches(Examples(labels, clips, (), (), "made up", 0), recipe)
    taught = recipe.stage(stage).labels == "teacher"
    with tempfile.TemporaryDirectory() as folder:
        fabric = Fabric(accelerator="cpu", devices=1, precision=recipe.precision)
        training = Training(recipe, batches, Path(folder), fabric, watch)
        training.train(stage, teacher_of(new_net(Supernet, recipe)) if taught else None)


def done_macs(recipe: Recipe, stage: str, sounds: np.ndarray) -> list[float]:
    """Multiply-accumulates that each step but the first makes, counted on one short crop: they grow with the frames."""
    small = recipe.model_copy(update={"crop_frames": COUNTED_FRAMES, "batch_size": 1, "precision": "32-true"})
    with FlopCounterMode(display=False) as counter:
        counts = Counts(counter)
        train(small, stage, sounds, counts)
    scale = recipe.batch_size * np.array([recipe.crop_frames / COUNTED_FRAMES, 1])
    return [float(each @ scale) for each in np.diff(counts.totals, axis=0)]


def useful_macs(recipe: Recipe, stage: str) -> list[float]:
    """Multiply-accumulates of the subnets of each step but the first, one by one, and of the teacher, once."""
    space, spec = recipe.search_space(), recipe.front_end
    crops_of_10_s = recipe.batch_size * recipe.crop_frames / spec.frames(CLIP_SECONDS * spec.sample_rate_hz)
    taught = space.macs(space.largest, spec, LABELS, "frames") if recipe.stage(stage).labels == "teacher" else 0
    learnt = [
        sum(space.macs(subnet, spec, LABELS, "frames") for subnet in subnets_of(recipe, stage, step))
        for step in range(1, recipe.stage(stage).steps)
    ]
    return [crops_of_10_s * (taught + (1 + BACKWARD_FACTOR) * macs) for macs in learnt]


def product(side: int, precision: str) -> Callable[[int], None]:
    """Square matrix products one after the other."""
    left, right = torch.randn(2, side, side).to(PRECISIONS[precision])

    def run(_step: int) -> None:
        for _ in range(repeats(side)):
            left @ right

    return run


def repeats(side: int) -> int:
    """How often a product is made."""
    return max(1, round(PRODUCT_MACS / side**3))


def measure(recipe: Recipe, stage: str) -> Figures:
    """Let the three take turns at one stage of a recipe."""
    samples = CLIP_SECONDS * recipe.front_end.sample_rate_hz
    sounds = 0.1 * np.random.default_rng(0).standard_normal((LABELS, samples), dtype=np.float32)
    done, useful = done_macs(recipe, stage, sounds), useful_macs(recipe, stage)
    products = {str(side): product(side, recipe.precision) for side in SIDES}
    turns = Turns({NAIVE: Naive(recipe, stage, sounds).step, **products})
    train(recipe, stage, sounds, turns)

    def rates(name: str, work: Sequence[float], clock: int) -> float:
        return median(macs / spent[name][clock] for macs, spent in zip(work, turns.rounds, strict=True))

    def peak(clock: int) -> float:
        return max(rates(str(side), [repeats(side) * side**3] * len(turns.rounds), clock) for side in SIDES)

    def speed_up(clock: int) -> float:
        return median(spent[NAIVE][clock] / spent[OURS][clock] for spent in turns.rounds)

    crops = [recipe.batch_size] * len(turns.rounds)
    wall, cpu = range(2)
    return Figures(
        clips_per_s=rates(OURS, crops, wall),
        naive_clips_per_s=rates(NAIVE, crops, wall),
        speed_up=speed_up(wall),
        peak_gmacs_per_s=peak(wall) / 1e9,
        done_share=rates(OURS, done, wall) / peak(wall),
        useful_share=rates(OURS, useful, wall) / peak(wall),
        naive_useful_share=rates(NAIVE, useful, wall) / peak(wall),
        speed_up_cpu=speed_up(cpu),
        done_share_cpu=rates(OURS, done, cpu) / peak(cpu),
    )


def main() -> None:
    """Measure, print a table, and the result as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a quarter of the crops, 2 rounds of each")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="all cores if not given")
    options = parser.parse_args()
    if "OMP_WAIT_POLICY" not in os.environ:  # torch reads it when it is loaded; threads that spin would count as work
        environment = os.environ | {"OMP_WAIT_POLICY": "passive"}
        raise SystemExit(subprocess.run([sys.executable, *sys.orig_argv[1:]], env=environment, check=False).returncode)
    torch.set_num_threads(options.threads)
    keep_freed_memory()

    difference = worst_difference()
    heads = ("clips/s", "naive", "ratio", "GMAC/s", "done", "useful", "naive", "ratio", "done")
    print(f"{'':<28}{'clips a second':>20}{'peak':>20}{'shares of the peak':>30}{'processor time':>20}")
    print(f"{'':<28}" + "".join(f"{head:>10}" for head in heads))
    found = {}
    for name, crops in CROPS.items():
        for precision in PRECISIONS:
            for stage in STAGES:
                case, sizes = f"{name} {precision} {stage}", (crops // 4, 2) if options.quick else (crops, ROUNDS[name])
                found[case] = measure(recipe_of(name, precision, *sizes), stage)
                print(f"{case:<28}" + "".join(f"{value:10.2f}" for value in found[case]), flush=True)
    print(f"largest difference of a gradient: {difference:.1e} of the largest gradient")
    held = found[HELD]
    result = {"name": "train_step", "figure": round(held.done_share, 3), "unit": "of the matrix-multiply peak"}
    holds = held.done_share >= GOAL and held.speed_up >= SPEED_UP_GOAL and difference <= TOLERANCE
    detail = {"threads": options.threads, "quick": options.quick, "speed_up": round(held.speed_up, 2)}
    detail |= {"speed_up_goal": SPEED_UP_GOAL, "gradient_difference": difference, "torch": torch.__version__}
    every = {case: {name: round(value, 3) for name, value in each._asdict().items()} for case, each in found.items()}
    print(json.dumps({**result, "goal": GOAL, "holds": holds, "detail": detail | every}))


if __name__ == "__main__":
    main()
