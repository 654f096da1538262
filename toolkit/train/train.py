"""From a recipe and labelled recordings to a Run folder: gather, train the stages, recalibrate, evaluate, write.

Proved by tests/train/test_train.py.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor

import toolkit
from toolkit.audio.dataset import Dataset
from toolkit.progress import Progress
from toolkit.specs.errors import UserError
from toolkit.specs.files import remove_leftovers, sha256, write_text
from toolkit.specs.recipe import Recipe
from toolkit.specs.run import (
    CARD,
    CREDITS,
    IMPRINTS,
    MANIFEST,
    NORMS,
    SUBNETS,
    WEIGHTS,
    Run,
    RunManifest,
    write_results,
)
from toolkit.specs.space import Subnet
from toolkit.supernet.norms import recalibrate
from toolkit.supernet.supernet import Supernet
from toolkit.supernet.weights import round_to_half, save_weights
from toolkit.train.batches import Batches
from toolkit.train.card import model_card
from toolkit.train.checkpoint import load_checkpoint
from toolkit.train.credits import write_credits
from toolkit.train.decide import decide
from toolkit.train.evaluate import results_of, score_all
from toolkit.train.examples import Examples, gather
from toolkit.train.features import FeatureStore
from toolkit.train.imprints import CROPS_PER_LABEL, Imprints, listen, listeners, save_imprints
from toolkit.train.loop import Training, finished
from toolkit.train.metrics import mean_average_precision
from toolkit.train.teachers import NetworkTeacher, Teacher, cached_by_clip, is_augmentation_free, make_teacher
from toolkit.train.watch import Shown

WORK = "work"
"""Folder inside the Run that holds checkpoints; not needed once the Run is written."""


def train(
    recipe: Recipe,
    dataset: Dataset,
    out: Path,
    *,
    progress: Progress,
    stages: Sequence[str] = (),
    subnet: Subnet | None = None,
    fabric: Fabric | None = None,
    features: Path | None = None,
) -> Run:
    """Train the stages of a recipe and write the last one's network as a Run to `out`.

    Stages that lie finished in `out` are not trained again, one that is under way is gone on with.

    Args:
        recipe: what to train.
        dataset: labelled recordings.
        out: folder of the Run.
        progress: bars.
        stages: other stages than the recipe's `run`; what they stand on is trained first.
        subnet: for a stage that trains a `given` one.
        fabric: the processors to run on, launched; one CPU if none is given.
        features: folder in which the features of shards are kept; in memory alone if none is given.

    Raises:
        UserError: the data or the recipe do not do, or the loss is no number.
        MismatchError: a checkpoint in `out` is of another recipe or of other data.
    """
    fabric = fabric or Fabric(accelerator="cpu", devices=1)
    if stages:
        recipe = recipe.model_copy(update={"run": tuple(stages)})
    order = stage_order(recipe, recipe.run)
    stage, space = recipe.stage(order[-1]), recipe.search_space()
    fixed = stage.fixed(space, subnet)
    if fabric.is_global_zero:
        remove_leftovers(out)
        remove_leftovers(out / WORK)
    store = partial(FeatureStore, recipe.front_end, device=fabric.device, folder=features)
    examples = gather(recipe, dataset, progress.count, store)
    batches = Batches(examples, recipe)
    look = Look(examples, batches, [fixed] if fixed else [space.smallest, space.largest])
    with Shown(out / WORK, progress) as watch:
        training = Training(recipe, batches, out / WORK, fabric, watch, look)
        seconds = 0.0
        for name in order:
            teacher = (
                None if finished(training.folder, name).exists() else teacher_of(training, name, examples, progress)
            )
            net, spent = training.train(name, teacher, subnet)
            seconds += spent
    if fabric.is_global_zero:
        subnets = [fixed] if fixed else space.evaluated(recipe.evaluated_subnets, recipe.seed)
        write_run(out, recipe, net.to("cpu"), examples, batches, subnets, seconds, progress)
    fabric.barrier()
    return Run.open(out)


def stage_order(recipe: Recipe, wanted: Sequence[str]) -> tuple[str, ...]:
    """The wanted stages with what they stand on, in the order they must run.

    Raises:
        UserError: the recipe has no such stage.
    """
    try:
        return tuple(dict.fromkeys(name for last in wanted for name in recipe.needed(last)))
    except ValueError as error:
        raise UserError(f"{error}.") from None


def teacher_of(training: Training, name: str, examples: Examples, progress: Progress) -> Teacher | None:
    """Who teaches a stage, if anyone: the recipe's own teacher stage, or what its `teacher` table names."""
    recipe = training.recipe
    if recipe.stage(name).labels != "teacher":
        return None
    if recipe.teacher.kind != "stage":
        return make_teacher(recipe.teacher, examples, recipe, training.folder, progress.count)
    net = training.new_net().to(training.fabric.device)
    load_checkpoint(finished(training.folder, recipe.teacher.stage), net, None)
    subnet = recipe.search_space().parse(recipe.stage(recipe.teacher.stage).subnet)
    norms = recalibrate(net.eval(), calibration_frames(training.batches), [subnet])
    network = NetworkTeacher(net, subnet, norms)
    if is_augmentation_free(recipe, examples):
        return cached_by_clip(network, examples, recipe, training.folder, progress.count)
    return network


def calibration_frames(batches: Batches) -> Tensor:
    """Clean training crops [B, 1, T, F] on which batch-norm statistics are computed."""
    return torch.from_numpy(batches.draw("calibration", 0, range(batches.recipe.calibration_crops)).clean)


@dataclass
class Look:
    """Validation mAP of some subnets while training."""

    examples: Examples
    batches: Batches
    subnets: Sequence[Subnet]

    def __call__(self, net: Supernet) -> dict[str, float]:
        """mAP by subnet id; every process computes the same."""
        subnets = self.subnets
        norms = recalibrate(net, calibration_frames(self.batches), subnets)
        scores = score_all(net, norms, subnets, self.examples.validation, lambda _done, _of: None)
        targets = self.examples.targets(self.examples.validation)
        return {subnet.id: mean_average_precision(scores[subnet.id], targets) for subnet in subnets}


def write_run(
    out: Path,
    recipe: Recipe,
    net: Supernet,
    examples: Examples,
    batches: Batches,
    subnets: Sequence[Subnet],
    seconds: float,
    progress: Progress,
) -> None:
    """Recalibrate and evaluate subnets of a trained network and write the Run; its manifest comes last."""
    round_to_half(net)
    frames = calibration_frames(batches)
    norms = recalibrate(net, frames, subnets, lambda n, of: progress.count("batch norms", n, of))
    scores = score_all(net, norms, subnets, examples.validation, lambda n, of: progress.count("evaluating", n, of))
    decided = decide(net, norms, subnets, examples, recipe, scores, progress.count)
    results = results_of(
        net,
        norms,
        subnets,
        scores,
        examples.targets(examples.validation),
        frames,
        decided.subnets,
        lambda n, of: progress.count("activation ranges", n, of),
    )
    hear, crops = listeners(net.space, subnets, recipe.seed), CROPS_PER_LABEL * (len(examples.labels) + 1)
    heard = listen(net, norms, hear, batches, crops, lambda n, of: progress.count("imprints", n, of))
    save_weights(out, net, norms)
    save_imprints(out, Imprints.of(*heard, examples.labels))
    write_results(out / SUBNETS, results)
    write_credits(out / CREDITS, examples.clips)
    manifest = RunManifest(
        name=recipe.name,
        space=net.space,
        front_end=recipe.front_end,
        labels=examples.labels,
        decisions=decided.labels,
        recipe=recipe,
        data_hash=examples.data_hash,
        data_summary=examples.summary(),
        seconds=round(seconds, 1),
        machine=f"{platform.machine()}, {torch.get_num_threads()} threads",
        toolkit_version=toolkit.__version__,
        sha256={name: sha256(out / name) for name in (WEIGHTS, NORMS, IMPRINTS)},
    )
    write_text(out / CARD, model_card(manifest, results, examples, decided.summary))
    manifest.save(out / MANIFEST)
