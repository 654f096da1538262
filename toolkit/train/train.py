"""From a recipe and labelled recordings to a Run folder: gather, train, recalibrate, evaluate, write.

Proved by tests/train/test_train.py.
"""

from __future__ import annotations

import platform
from pathlib import Path

import torch

import toolkit
from toolkit.audio.dataset import Dataset
from toolkit.progress import Progress
from toolkit.specs.files import sha256, write_text
from toolkit.specs.recipe import Recipe
from toolkit.specs.run import CARD, CREDITS, MANIFEST, NORMS, SUBNETS, WEIGHTS, Run, RunManifest, write_results
from toolkit.supernet.norms import recalibrate
from toolkit.supernet.supernet import Supernet
from toolkit.supernet.weights import round_to_half, save_weights
from toolkit.train.batches import Batches
from toolkit.train.card import model_card
from toolkit.train.credits import write_credits
from toolkit.train.evaluate import decide, results_of, score_all
from toolkit.train.examples import Examples, gather
from toolkit.train.loop import Training, calibration_frames

WORK = "work"
"""Folder inside the Run that holds checkpoints; not needed once the Run is written."""


def train(recipe: Recipe, dataset: Dataset, out: Path, *, resume: bool, progress: Progress) -> Run:
    """Train a supernet and write its Run to `out`.

    Raises:
        UserError: the data or the recipe do not do, or a checkpoint is of another recipe.
    """
    torch.manual_seed(recipe.seed)
    examples = gather(recipe, dataset, progress.count)
    net = Supernet(recipe.search_space(), len(examples.labels), recipe.front_end.mel_bins, dropout=recipe.dropout)
    batches = Batches(examples, recipe)
    seconds = Training(recipe, net, batches, out / WORK, progress.step).run(resume)
    write_run(out, recipe, net, examples, batches, seconds, progress)
    return Run.open(out)


def write_run(
    out: Path,
    recipe: Recipe,
    net: Supernet,
    examples: Examples,
    batches: Batches,
    seconds: float,
    progress: Progress,
) -> None:
    """Recalibrate and evaluate every subnet of a trained supernet and write the Run; its manifest comes last."""
    subnets = list(recipe.search_space().subnets())
    round_to_half(net)
    frames = calibration_frames(batches)
    norms = recalibrate(net, frames, progress.each("batch norms", subnets))
    scores = score_all(net, norms, subnets, examples.validation, lambda n, of: progress.count("evaluating", n, of))
    targets = examples.targets(examples.validation)
    results = results_of(
        net, norms, subnets, scores, targets, frames, lambda n, of: progress.count("activation ranges", n, of)
    )
    save_weights(out, net, norms)
    write_results(out / SUBNETS, results)
    write_credits(out / CREDITS, examples.clips)
    manifest = RunManifest(
        name=recipe.name,
        space=net.space,
        front_end=recipe.front_end,
        labels=examples.labels,
        decisions=decide(examples, scores[net.space.largest.id]),
        recipe=recipe,
        data_hash=examples.data_hash,
        data_summary=examples.summary(),
        seconds=round(seconds, 1),
        machine=f"{platform.machine()}, {torch.get_num_threads()} threads",
        toolkit_version=toolkit.__version__,
        sha256={name: sha256(out / name) for name in (WEIGHTS, NORMS)},
    )
    write_text(out / CARD, model_card(manifest, results, examples))
    manifest.save(out / MANIFEST)
