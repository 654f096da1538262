"""Evolution against random search where a space is too large to go through: 60 true evaluations each, in five seeds.

A Run of the space `ew-layerwise` is trained first (`benchmarks/layerwise.toml`), or given with --run; costs are
modelled for the device. Each method compares subnets on a fixed part of the validation recordings. The front that it
finds is scored again on all of them, and its hypervolume is taken over mAP, latency and memory, as shares of what lies
between the smallest and the largest subnet. Recordings: the folder that AEC_DATA names.
Run: python -m benchmarks.search_layerwise [--quick] [--run DIR]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from toolkit.audio.dataset import data_root, load_dataset
from toolkit.costs.predict import Costs, predict_all, widths_of
from toolkit.evaluate.evaluator import Evaluator
from toolkit.profile.device_model import modelled_table
from toolkit.progress import Progress
from toolkit.search.choice import with_costs
from toolkit.search.front import pareto_front
from toolkit.search.methods import EVALUATIONS, Method, Problem, scored
from toolkit.search.scores import RunScores, pool
from toolkit.specs.cost import CostTable
from toolkit.specs.device import Budget, load_profile
from toolkit.specs.recipe import Recipe
from toolkit.specs.run import Run, RunManifest
from toolkit.specs.space import Subnet
from toolkit.train.memory import keep_freed_memory
from toolkit.train.train import train

RECIPE = Path(__file__).with_name("layerwise.toml")
DEVICE = "rpi4"
SEEDS, CLIPS = 5, 128
QUICK_SEEDS, QUICK_CLIPS, QUICK_EVALUATIONS = 2, 32, 18
METHODS: tuple[Method, ...] = ("evolution", "random")


def main() -> None:
    """Search, print a table for people, and the result as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer evaluations, clips and seeds")
    parser.add_argument("--run", type=Path, help="a Run of ew-layerwise; trained if none is given")
    options = parser.parse_args()
    seeds, clips, evaluations = (
        (QUICK_SEEDS, QUICK_CLIPS, QUICK_EVALUATIONS) if options.quick else (SEEDS, CLIPS, EVALUATIONS)
    )
    keep_freed_memory()
    dataset = load_dataset(data_root(None))
    with Progress() as progress, tempfile.TemporaryDirectory() as folder:
        run = (
            Run.open(options.run)
            if options.run
            else train(Recipe.find(str(RECIPE)), dataset, Path(folder), progress=progress)
        )
        whole = Evaluator(run, dataset, None, None, progress.count)
        part = whole.on(clips)
        table = modelled_table(load_profile(DEVICE), "int8", "stream", run.manifest)
        found: dict[Method, list[float]] = {method: [] for method in METHODS}
        for seed in range(seeds):
            for method in METHODS:
                found[method].append(volume_of(run, table, part, whole, method, evaluations, seed))
                print(f"seed {seed}  {method:<10} hypervolume {found[method][-1]:.4f}", flush=True)
    medians = {method: statistics.median(volumes) for method, volumes in found.items()}
    for method, volumes in found.items():
        print(f"{method:<10} median {medians[method]:.4f}, {min(volumes):.4f} to {max(volumes):.4f}")
    ratio = medians["evolution"] / medians["random"]
    detail = {
        "space": f"{run.manifest.space.name} at base width {run.manifest.space.base_width}",
        "subnets": len(run.manifest.space),
        "evaluations": evaluations,
        "clips": len(part.heard),
        "all_clips": len(whole.heard),
        "evolution": [round(volume, 4) for volume in found["evolution"]],
        "random": [round(volume, 4) for volume in found["random"]],
    }
    result = {"name": "search_layerwise", "figure": round(ratio, 4), "unit": "of random search's hypervolume, medians"}
    print(json.dumps({**result, "goal": 1.0, "holds": ratio > 1, "detail": detail}))


def volume_of(
    run: Run,
    table: CostTable,
    part: Evaluator,
    whole: Evaluator,
    method: Method,
    evaluations: int,
    seed: int,
) -> float:
    """Hypervolume of the front that a method finds, scored again on all recordings."""
    subnets = pool(run, _Anywhere(run), method, seed)
    problem = Problem(run.manifest.space, subnets, costs_from(table, run.manifest), part, Budget())
    front = pareto_front(with_costs(problem, scored(problem, method, evaluations, seed)))
    finals = with_costs(problem, whole([each.subnet for each in front]))
    ends = problem.cost([run.manifest.space.smallest, run.manifest.space.largest])
    least, most = (np.array([ends.latency_ms[at], ends.memory_mb[at]]) for at in (0, 1))
    points = [
        (1 - each.mean_average_precision, *((np.array(each.objectives[1:]) - least) / (most - least)))
        for each in finals
    ]
    return hypervolume(np.array(points))


class _Anywhere(RunScores):
    """Any subnet can be scored."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.knows_all = True


def costs_from(table: CostTable, run: RunManifest) -> Callable[[Sequence[Subnet]], Costs]:
    """Predicted costs of subnets."""
    return lambda subnets: predict_all(table, run.space, widths_of(subnets), run.front_end, len(run.labels))


def hypervolume(points: np.ndarray) -> float:
    """Volume of the unit cube that points [N, 3] dominate, smaller being better: slice by slice of the last axis."""
    ordered = points[np.argsort(points[:, 2])]
    heights = np.diff([*ordered[:, 2], 1.0])
    return float(sum(height * _area(ordered[: at + 1, :2]) for at, height in enumerate(heights) if height > 0))


def _area(points: np.ndarray) -> float:
    """Area of the unit square that points [N, 2] dominate."""
    area, best = 0.0, 1.0
    for first, second in points[np.argsort(points[:, 0])]:
        if second < best:
            area += (1 - min(first, 1.0)) * (best - second)
            best = second
    return area


if __name__ == "__main__":
    main()
