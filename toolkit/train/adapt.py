"""Own sounds: a Run learns the labels of somebody's few recordings. Its body stays; its head gets new rows.

    hidden features of crops, by some subnets -> new rows -> evaluate -> old labels and new ones in one Run

Nothing of the old labels changes, and no subnet is recalibrated, because convolutions and statistics are the old ones.
Not a training of the network: that is `toolkit.train.train`. Proved by tests/train/test_adapt.py.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

import toolkit
from toolkit.audio.dataset import Dataset
from toolkit.progress import Progress
from toolkit.specs.errors import UserError
from toolkit.specs.files import new_folder, sha256, write_text
from toolkit.specs.run import (
    CARD,
    CREDITS,
    IMPRINTS,
    MANIFEST,
    NORMS,
    SUBNETS,
    WEIGHTS,
    LabelDecision,
    Run,
    RunManifest,
    SubnetResult,
    write_results,
)
from toolkit.specs.space import Subnet
from toolkit.supernet.norms import StoredNorms
from toolkit.supernet.supernet import Supernet
from toolkit.supernet.weights import load_weights, round_to_half, save_weights
from toolkit.train.adapt_card import adapted_card
from toolkit.train.batches import Batches
from toolkit.train.credits import write_credits
from toolkit.train.decide import decide
from toolkit.train.evaluate import RANGE_CROPS, results_of, score_all
from toolkit.train.examples import gather
from toolkit.train.imprints import Imprints, listen, listeners, load_imprints, save_imprints
from toolkit.train.own_labels import OwnLabels, own_examples, own_recipe, with_enough
from toolkit.train.rows import fit_rows

CROPS_PER_CLIP, MOST_CROPS = 12, 4096
"""On which new rows rest."""
Rows = Mapping[str, tuple[Tensor, Tensor]]
"""Weights [H] and bias of each label's row of the head."""


def adapt(run: Run, dataset: Dataset, out: Path, *, progress: Progress, only: bool = False) -> Run:
    """Teach a Run the labels of a dataset and write the new Run to `out`.

    Args:
        run: whose body is taken over; it is not changed.
        dataset: labelled recordings. Rows of labels that the Run knows stay as they are; those recordings say what the
            new labels are not.
        out: folder of the new Run, which appears whole or not at all.
        progress: bars.
        only: the new Run knows the dataset's labels alone, in place of those of the Run and of the dataset.

    Raises:
        UserError: the data do not do, or hold nothing new, or there is something in `out`.
        MismatchError: files of the Run do not belong together.
    """
    if out.is_dir() and any(out.iterdir()):
        raise UserError(f"{out} is not empty. Name another --out.")
    with new_folder(out) as folder:
        _write(run, dataset, folder, out.resolve().name, progress, only=only)
    return Run.open(out)


def _write(run: Run, dataset: Dataset, out: Path, name: str, progress: Progress, *, only: bool) -> None:
    started = time.monotonic()
    net, norms = load_weights(run)
    recipe = own_recipe(run, name)
    gathered = gather(recipe, with_enough(run, dataset, recipe), progress.count)
    labels = OwnLabels.of(run, gathered.labels, only=only)
    examples = own_examples(gathered, labels.judged, recipe)
    batches = Batches(examples, recipe)
    rows, imprints = _rows_of(run, net), load_imprints(run)
    if labels.new:
        new_rows, heard = _learn(run, net, norms, batches, labels.new, imprints, progress)
        rows, imprints = {**rows, **new_rows}, imprints and imprints.joined(heard)

    whole, taught = (with_rows(net, [rows[label] for label in some]) for some in (labels.all, labels.judged))
    subnets = _subnets(run)
    scores = score_all(taught, norms, subnets, examples.validation, lambda n, of: progress.count("evaluating", n, of))
    decided = decide(taught, norms, subnets, examples, recipe, scores, progress.count)
    own = results_of(
        whole,
        norms,
        subnets,
        scores,
        examples.targets(examples.validation),
        torch.from_numpy(batches.draw("ranges", 0, range(RANGE_CROPS)).clean),
        decided.subnets,
        lambda n, of: progress.count("activation ranges", n, of),
    )
    before = () if only else run.manifest.decisions
    results = [joined(run.results[result.subnet], result, before, decided.labels) for result in own]

    save_weights(out, whole, norms)
    files = [WEIGHTS, NORMS]
    if imprints:
        save_imprints(out, imprints)
        files.append(IMPRINTS)
    write_results(out / SUBNETS, results)
    write_credits(out / CREDITS, gathered.clips, run.folder / CREDITS)
    manifest = RunManifest(
        name=name,
        space=net.space,
        front_end=recipe.front_end,
        labels=labels.all,
        decisions=(*before, *decided.labels),
        recipe=recipe,
        data_hash=gathered.data_hash,
        data_summary=gathered.summary(),
        seconds=round(time.monotonic() - started, 1),
        machine=f"{platform.machine()}, {torch.get_num_threads()} threads",
        toolkit_version=toolkit.__version__,
        sha256={file: sha256(out / file) for file in files},
        parent=f"{run.manifest.name} {run.hash}",
    )
    write_text(out / CARD, adapted_card(manifest, results, gathered, run, labels, decided.summary))
    manifest.save(out / MANIFEST)


def _subnets(run: Run) -> tuple[Subnet, ...]:
    """Those that the Run knows, in its order."""
    return tuple(Subnet.parse(name) for name in run.results)


def _rows_of(run: Run, net: Supernet) -> Rows:
    weight, bias = net.head.weight.detach(), net.head.bias.detach()
    return {label: (weight[row], bias[row]) for row, label in enumerate(run.manifest.labels)}


def _learn(
    run: Run,
    net: Supernet,
    norms: StoredNorms,
    batches: Batches,
    labels: Sequence[str],
    imprints: Imprints | None,
    progress: Progress,
) -> tuple[Rows, Imprints]:
    """Rows of new labels, and what the hidden layer makes of them."""
    hear = listeners(net.space, _subnets(run), batches.recipe.seed)
    crops = min(CROPS_PER_CLIP * len(batches.train), MOST_CROPS)
    hidden, targets = listen(net, norms, hear, batches, crops, lambda n, of: progress.count("listening", n, of))
    targets = targets[:, [batches.row[label] for label in labels]]
    fitted = fit_rows(hidden, targets, net.head, run.manifest.labels, imprints, batches.recipe.seed)
    return dict(zip(labels, zip(*fitted, strict=True), strict=True)), Imprints.of(hidden, targets, labels)


def with_rows(net: Supernet, rows: Sequence[tuple[Tensor, Tensor]]) -> Supernet:
    """The network with another head, rounded as its file is."""
    weight, bias = zip(*rows, strict=True)
    changed = Supernet(net.space, len(rows), len(net.input_norm_weight))
    changed.load_state_dict(net.state_dict() | {"head.weight": torch.stack(weight), "head.bias": torch.stack(bias)})
    round_to_half(changed)
    return changed.eval()


def joined(
    parent: SubnetResult, own: SubnetResult, before: Sequence[LabelDecision], added: Sequence[LabelDecision]
) -> SubnetResult:
    """What is known of a subnet: its parent's figures of the old labels and its own of the new ones, as one mean.

    `before` are the old decisions that are kept, `added` the new ones.
    """

    def mean(name: str, old: int, new: int) -> float | None:
        figures: list[tuple[float | None, int]] = [(getattr(parent, name), old), (getattr(own, name), new)]
        known = [(value, weight) for value, weight in figures if value is not None and weight]
        if not known:
            return None
        return sum(value * weight for value, weight in known) / sum(weight for _, weight in known)

    def count(name: str, calibrated: bool) -> tuple[int, int]:
        sides = [
            sum(getattr(decision, name) is not None and (decision.calibrated or not calibrated) for decision in side)
            for side in (before, added)
        ]
        return sides[0], sides[1]

    precision = mean("mean_average_precision", *count("average_precision", False))
    f1, alarms = (mean(name, *count(name, True)) for name in ("event_f1", "false_alarms_per_hour"))
    ranges = {
        tap: (min(low, parent.ranges[tap][0]), max(high, parent.ranges[tap][1]))
        for tap, (low, high) in own.ranges.items()
    }
    return SubnetResult(
        subnet=own.subnet,
        mean_average_precision=round(precision or 0.0, 6),
        ranges=ranges,
        thresholds=(*(parent.thresholds if before else ()), *own.thresholds),
        event_f1=None if f1 is None else round(f1, 4),
        false_alarms_per_hour=None if alarms is None else round(alarms, 2),
    )
