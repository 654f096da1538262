"""Own sounds against training from scratch: two labels that a Run never heard, from 20 recordings each.

A small Run is trained without any recording of the held-out labels. For each pair of these and each seed, 20 of their
training recordings and 12 of silence become somebody's own sounds; five and three of them are for validation. `adapt`
teaches them to the Run; a training from scratch, of the same network and recipe, has them alone. Both are judged by mAP
on the validation recordings of the pair among those of all other labels. The result holds if adapting beats the longest
training in the mean.
Run: python -m benchmarks.own_sounds [--data DIR] [--quick]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import tempfile
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from lightning_fabric import Fabric

from toolkit.audio.clip import Clip
from toolkit.audio.dataset import Dataset, data_root, load_dataset
from toolkit.progress import Progress
from toolkit.specs.recipe import Augmentation, Recipe, Stage
from toolkit.specs.run import Run
from toolkit.supernet.weights import load_weights
from toolkit.train.adapt import adapt
from toolkit.train.evaluate import score_all
from toolkit.train.examples import Examples, gather
from toolkit.train.memory import keep_freed_memory
from toolkit.train.metrics import mean_average_precision
from toolkit.train.train import train

Pair = tuple[str, str]
PAIRS: tuple[Pair, ...] = (
    ("Baby cry", "Rooster"),
    ("Chainsaw", "Clock tick"),
    ("Dishes", "Sneeze"),
    ("Footsteps", "Rain"),
)
SEEDS, PARENT_STEPS, SCRATCH_STEPS = 2, 1000, (60, 700)
"""60 steps take twice as long as adapting."""
OWN_CLIPS, BACKGROUND, BACKGROUND_CLIPS = 20, "Silence", 12
VALIDATED = 4
"""One in so many of somebody's own recordings, as in class folders."""
LEAST_CLIPS, MOST_CLIPS, OTHER_CLIPS = 10, 40, 5
"""Of a label of the parent to train; of each label to validate and to be judged among."""
RECIPE = Recipe(
    name="small",
    base_width=16,
    crop_frames=256,
    batch_size=16,
    precision="bf16-mixed",
    learning_rate=4e-3,
    min_train_clips=1,
    min_validation_clips=1,
    calibration_crops=96,
    run=("largest",),
    augmentation=Augmentation(mix_probability=0.4, time_masks=1, frequency_masks=1),
)


def train_small(dataset: Dataset, steps: int, seed: int, folder: Path, progress: Progress) -> Run:
    """Train the largest subnet alone."""
    recipe = RECIPE.model_copy(update={"seed": seed, "stages": {"largest": Stage(steps=steps)}})
    fabric = Fabric(accelerator="cpu", devices=1, precision=recipe.precision)
    return train(recipe, dataset, folder, progress=progress, fabric=fabric)


def parents_data(dataset: Dataset, held: Collection[str]) -> Dataset:
    """What a Run is trained on that has heard none of the held-out labels."""
    rng, counts = random.Random(0), dataset.subset(split="train").clips_per_label()
    labels = [label for label in dataset.labels if label not in held and counts[label] >= LEAST_CLIPS]
    clips = [
        clip
        for label in labels
        for split, most in (("train", MOST_CLIPS), ("validation", OTHER_CLIPS))
        for clip in _some(rng, dataset, label, split, most, without=held)
    ]
    return _dataset(clips, labels)


@dataclass(frozen=True)
class OwnSounds:
    """Somebody's recordings of two labels, and what the result is judged on, which nobody learns from."""

    data: Dataset
    judged: Examples

    @classmethod
    def of(cls, dataset: Dataset, pair: Pair, seed: int, progress: Progress) -> OwnSounds:
        """Those of one draw."""
        rng = random.Random(seed)
        own = [
            dataclasses.replace(clip, split="train" if number % VALIDATED else "validation")
            for label, count in ((pair[0], OWN_CLIPS), (pair[1], OWN_CLIPS), (BACKGROUND, BACKGROUND_CLIPS))
            for number, clip in enumerate(_some(rng, dataset, label, "train", count, without=_other(pair, label)))
        ]
        rng = random.Random(0)
        of_pair = [clip for label in pair for clip in _some(rng, dataset, label, "validation")]
        others = [
            clip
            for label in dataset.labels
            for clip in _some(rng, dataset, label, "validation", OTHER_CLIPS, without=pair)
        ]
        trained = [clip for clip in own if clip.split == "train"]
        judged = gather(RECIPE, _dataset([*trained, *of_pair, *others], pair), progress.count)
        return cls(_dataset(own, pair), judged)

    def judge(self, run: Run) -> float:
        """mAP of the largest subnet over both labels."""
        net, norms = load_weights(run)
        largest, labels = net.space.largest, run.manifest.labels
        scores = score_all(net, norms, [largest], self.judged.validation, lambda _done, _of: None)[largest.id]
        columns = [labels.index(label) for label in self.judged.labels]
        return mean_average_precision(scores[:, columns], self.judged.targets(self.judged.validation))


def _other(pair: Pair, label: str) -> list[str]:
    return [one for one in pair if one != label]


def _some(
    rng: random.Random,
    dataset: Dataset,
    label: str,
    split: str,
    most: int | None = None,
    *,
    without: Collection[str] = (),
) -> list[Clip]:
    """Clips of a label and split in a random order, none with one of the labels `without`."""
    clips = [clip for clip in dataset.clips if clip.split == split and label in clip.labels]
    clips = [clip for clip in clips if not {*clip.labels} & {*without}]
    return rng.sample(clips, min(len(clips), len(clips) if most is None else most))


def _dataset(clips: Sequence[Clip], labels: Sequence[str]) -> Dataset:
    """Each clip once, with these labels alone; a clip with none of them is background."""
    kept = {clip.name: tuple(label for label in clip.labels if label in labels) for clip in clips}
    named = {clip.name: dataclasses.replace(clip, labels=kept[clip.name]) for clip in clips}
    return Dataset(tuple(named.values()), tuple(sorted(labels)))


def main() -> None:
    """Measure, print a table, and the result as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="labelled recordings; otherwise those of $AEC_DATA")
    parser.add_argument("--quick", action="store_true", help="one pair, one seed, a shorter training")
    options = parser.parse_args()
    keep_freed_memory()
    pairs, seeds = (PAIRS[:1], 1) if options.quick else (PAIRS, SEEDS)
    parent_steps, scratch_steps = (250, SCRATCH_STEPS[:1]) if options.quick else (PARENT_STEPS, SCRATCH_STEPS)
    dataset = load_dataset(data_root(options.data))
    ways = ("adapted", *(f"{steps} steps" for steps in scratch_steps))
    found: dict[str, list[float]] = {way: [] for way in ways}
    cpu_s: dict[str, list[float]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as name, Progress() as progress:
        folder = Path(name)
        held = [label for pair in PAIRS for label in pair]
        parent = train_small(parents_data(dataset, held), parent_steps, 0, folder / "parent", progress)
        print(f"{'labels':<24} seed " + "".join(f"{way:>12}" for way in ways))
        for pair in pairs:
            for seed in range(seeds):
                own = OwnSounds.of(dataset, pair, seed, progress)
                for way, steps in zip(ways, (0, *scratch_steps), strict=True):
                    out, start_s = folder / f"{pair} {seed} {way}", time.process_time()
                    run = (
                        train_small(own.data, steps, seed, out, progress)
                        if steps
                        else adapt(parent, own.data, out, progress=progress)
                    )
                    cpu_s[way].append(time.process_time() - start_s)
                    found[way].append(own.judge(run))
                row = "".join(f"{found[way][-1]:12.3f}" for way in ways)
                print(f"{', '.join(pair):<24} {seed:4} {row}", flush=True)
    means = {way: round(mean(values), 3) for way, values in found.items()}
    print(f"{'mean':<29} " + "".join(f"{means[way]:12.3f}" for way in ways))
    print(f"{'CPU seconds':<29} " + "".join(f"{mean(cpu_s[way]):12.1f}" for way in ways))
    figure = round(means[ways[0]] - means[ways[-1]], 3)
    detail = {
        "mean_average_precision": {way: [round(value, 3) for value in values] for way, values in found.items()},
        "cpu_s": {way: round(mean(values), 1) for way, values in cpu_s.items()},
        "parent_map": max(result.mean_average_precision for result in parent.results.values()),
    }
    result = {"name": "own_sounds", "figure": figure, "unit": "mAP above training from scratch", "goal": 0}
    print(json.dumps({**result, "holds": figure > 0, "detail": detail}))


if __name__ == "__main__":
    main()
