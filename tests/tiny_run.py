"""A whole Run in a few seconds: `make_tiny_run` trains the smallest supernet for two steps on sounds that it makes up.

For tests that need real weights, norms and ranges. How well such a Run hears means nothing.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile

from toolkit.audio.dataset import load_dataset
from toolkit.progress import Progress
from toolkit.specs.recipe import Recipe, Stage
from toolkit.train.train import train

RATE_HZ = 32_000
SECONDS = 1.0
PITCHES_HZ = {"Alarm": 3100.0, "Siren": 700.0, "Dog": 300.0, "Bell": 1500.0, "Kettle": 6500.0}
"""Each label of these tests is a tone with noise; where a clip has several labels they sound together."""
COLUMNS = ("path", "labels", "split", "group", "dataset", "tier", "licence")
TINY = Recipe(
    name="tiny",
    base_width=8,
    min_train_clips=2,
    min_validation_clips=1,
    generated={"Alarm": 1, "Siren": 1},
    crop_frames=16,
    batch_size=4,
    stages={
        "largest": Stage(steps=1),
        "supernet": Stage(steps=1, subnet="sampled", subnets_per_step=2, labels="teacher", start="largest"),
    },
    calibration_crops=8,
)


def write_sounds(
    folder: Path, counts: Mapping[str, tuple[int, int]], background: int = 0, seconds: float = SECONDS
) -> Path:
    """Write a dataset: for each label, or labels between `;`, so many clips to train and to validate; its folder."""
    rng = np.random.default_rng(5)
    rows = []
    for labels, numbers in [*counts.items(), ("", (background, 0))]:
        for split, number in zip(("train", "validation"), numbers, strict=True):
            for index in range(number):
                name = f"{labels.replace(';', '-') or 'background'}-{split}-{index}.wav"
                write_sound(folder / name, labels.split(";") if labels else [], rng, seconds)
                rows.append((name, labels, split, f"group of {name}", "made up", "open", "CC0-1.0"))
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return folder


def write_sound(path: Path, labels: Sequence[str], rng: np.random.Generator, seconds: float = SECONDS) -> None:
    """Write one clip of mono sound at 32 kHz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    times_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    sound = 0.01 * rng.standard_normal(len(times_s))
    for label in labels:
        sound += 0.2 * np.sin(2 * np.pi * PITCHES_HZ[label] * rng.uniform(0.95, 1.05) * times_s)
    soundfile.write(path, sound, RATE_HZ, subtype="PCM_16")


def make_tiny_run(folder: Path) -> Path:
    """Train and write a Run of three labels (Alarm, Dog, Siren), space ew-ed-22x, base width 8; its folder."""
    sounds = write_sounds(folder / "sounds", {"Alarm": (2, 1), "Siren": (2, 1), "Dog": (2, 1)})
    with Progress() as progress:
        return train(TINY, load_dataset(sounds), folder / "run", progress=progress).folder
