"""What it costs to evaluate a whole space: all its subnets together, against 25 of them one by one as the paper does.

Both sides recalibrate batch norm for each subnet and score it on the same validation recordings with the default Run.
`toolkit.evaluate` takes all 128 at once and computes once what they share; the others have their turns between its
batches of clips, in the same process. Recordings: the folder that AEC_DATA names.
Run: python -m benchmarks.search_cost [--quick] [--threads N]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Self

import torch

from toolkit.audio.dataset import data_root, load_dataset
from toolkit.evaluate.evaluator import Evaluator
from toolkit.specs.errors import UserError
from toolkit.specs.run import Run
from toolkit.specs.space import Subnet
from toolkit.supernet.norms import recalibrate
from toolkit.train.evaluate import score_all
from toolkit.train.memory import keep_freed_memory
from toolkit.train.metrics import mean_average_precision

GOAL, TOLERANCE = 1.0, 1e-4
ALONE, SEED = 25, 0
"""Source: Lin et al. (2023), section 2.3: the random search evaluates 25 subnets."""
QUICK_CLIPS = 16


class Spent(NamedTuple):
    """Seconds by the clock, and of all threads together."""

    wall: float = 0.0
    cpu: float = 0.0

    @classmethod
    def now(cls) -> Self:
        """Since no particular time."""
        return cls(time.perf_counter(), time.process_time())

    def plus(self, began: Spent, ended: Spent) -> Spent:
        """With what lies between two times."""
        return Spent(self.wall + ended.wall - began.wall, self.cpu + ended.cpu - began.cpu)


class Turns:
    """Gives the subnets that are evaluated one by one their turns, evenly between the batches of the others.

    Args:
        subnets: to be evaluated.
    """

    def __init__(self, subnets: list[Subnet]) -> None:
        self.waiting, self.count = subnets[::-1], len(subnets)
        self.found: dict[Subnet, float] = {}
        self.spent = Spent()
        self.evaluate: Callable[[Subnet], float]

    def __call__(self, what: str, done: int, of: int) -> None:
        """Progress of the shared evaluation."""
        if what != "scoring clips":
            return
        while self.waiting and len(self.found) < self.count * done / of:
            began, subnet = Spent.now(), self.waiting.pop()
            self.found[subnet] = self.evaluate(subnet)
            self.spent = self.spent.plus(began, Spent.now())
            print(f"  {len(self.found)} of {self.count} alone, {done} of {of} clips together", file=sys.stderr)


def main() -> None:
    """Measure, print a table, and the result as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_CLIPS} validation clips in place of all")
    parser.add_argument("--threads", type=int, default=1, help="one if not given")
    options = parser.parse_args()
    if "OMP_WAIT_POLICY" not in os.environ:  # torch reads it when it is loaded; threads that spin would count as work
        environment = os.environ | {"OMP_WAIT_POLICY": "passive"}
        raise SystemExit(subprocess.run([sys.executable, *sys.orig_argv[1:]], env=environment, check=False).returncode)
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    try:
        dataset = load_dataset(data_root(None))
    except UserError as error:
        parser.exit(2, f"no recordings to evaluate on: {error}\n")

    with tempfile.TemporaryDirectory() as folder:
        run = Run.open(shutil.copytree(Run.open(None).folder, Path(folder, "run")))
        every = list(run.manifest.space.subnets())
        turns = Turns(random.Random(SEED).sample(every, ALONE))
        evaluator = Evaluator(run, dataset, QUICK_CLIPS if options.quick else None, on_progress=turns)
        targets = evaluator.examples.targets(evaluator.heard)

        def alone(subnet: Subnet) -> float:
            norms = recalibrate(evaluator.net, evaluator.frames, [subnet])
            scores = score_all(evaluator.net, norms, [subnet], evaluator.heard, lambda _done, _of: None)
            return mean_average_precision(scores[subnet.id], targets)

        turns.evaluate = alone
        evaluator.frames  # noqa: B018 both sides use the crops that are drawn here
        began = Spent.now()
        together = evaluator(every)
        whole = Spent().plus(began, Spent.now())
    shared = Spent(whole.wall - turns.spent.wall, whole.cpu - turns.spent.cpu)
    ratios = Spent(shared.wall / turns.spent.wall, shared.cpu / turns.spent.cpu)
    difference = max(abs(together[subnet] - mean) for subnet, mean in turns.found.items())

    print(f"{'':<28} {'seconds':>10} {'processor':>10}")
    print(f"{f'all {len(every)} subnets together':<28} {shared.wall:10.1f} {shared.cpu:10.1f}")
    print(f"{f'{ALONE} subnets one by one':<28} {turns.spent.wall:10.1f} {turns.spent.cpu:10.1f}")
    print(f"{'ratio':<28} {ratios.wall:10.3f} {ratios.cpu:10.3f}")
    print(f"largest difference of a mAP between the two: {difference:.1e}")
    detail = {"clips": len(evaluator.heard), "calibration_crops": len(evaluator.frames), "threads": options.threads}
    detail |= {"subnets": len(every), "alone": ALONE, "base_width": run.manifest.space.base_width}
    figures = {"shared_s": shared.wall, "alone_s": turns.spent.wall, "shared_cpu_s": shared.cpu}
    figures |= {"alone_cpu_s": turns.spent.cpu, "ratio": ratios.wall, "ratio_cpu": ratios.cpu}
    rounded = {name: round(value, 3) for name, value in figures.items()}
    difference_goal = {"map_difference": difference, "map_difference_goal": TOLERANCE, "torch": torch.__version__}
    result = {"name": "search_cost", "figure": round(max(ratios), 3), "goal": GOAL}
    result["unit"] = (
        f"times the time of {ALONE} subnets one by one, for all {len(every)}; by the clock or of the processor"
    )
    holds = max(ratios) <= GOAL and difference <= TOLERANCE
    print(json.dumps({**result, "holds": holds, "detail": {**detail, **rounded, **difference_goal}}))


if __name__ == "__main__":
    main()
