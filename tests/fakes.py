"""A small Run folder for tests of what works from a Run's text: `fake_run`. No torch, no trained weights.

Its evaluations are invented: the more parameters a subnet has, the better it scores, with a small seeded wobble.
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from toolkit.specs.files import sha256
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.recipe import Recipe
from toolkit.specs.run import NORMS, SUBNETS, WEIGHTS, LabelDecision, RunManifest, SubnetResult, write_results

LABELS = ("Bell", "Cough", "Dog", "Rain")


def fake_run(folder: Path, base_width: int = 8, labels: tuple[str, ...] = LABELS, space: str = "ew-ed-22x") -> Path:
    """Write a whole Run to `folder` and return it: text through the specs, weights and norms as small placeholders."""
    folder.mkdir(parents=True, exist_ok=True)
    recipe = Recipe(name="fake", space=space, base_width=base_width)
    search_space, rng = recipe.search_space(), random.Random(0)  # noqa: S311 - a seeded test fixture
    save_file({"head.bias": np.zeros(len(labels), np.float16)}, folder / WEIGHTS)
    save_file({"stem.0/mean": np.zeros(base_width, np.float32)}, folder / NORMS)

    largest = search_space.params(search_space.largest, len(labels))
    results = []
    for subnet in search_space.subnets():
        share = search_space.params(subnet, len(labels)) / largest
        score = 0.5 + 0.4 * share**0.3 + rng.uniform(0, 0.002)
        results.append(SubnetResult(subnet=subnet.id, mean_average_precision=round(score, 4), ranges={}))
    write_results(folder / SUBNETS, results)

    decisions = tuple(
        LabelDecision(label=label, threshold=0.5, train_clips=40, validation_clips=10, average_precision=0.9)
        for label in labels
    )
    RunManifest(
        name="fake",
        space=search_space,
        front_end=FrontEndSpec(),
        labels=labels,
        decisions=decisions,
        recipe=recipe,
        data_hash="0" * 16,
        data_summary="none: a fake for tests",
        seconds=0.0,
        machine="none",
        toolkit_version="0",
        sha256={name: sha256(folder / name) for name in (WEIGHTS, NORMS)},
    ).save(folder / "run.json")
    return folder
