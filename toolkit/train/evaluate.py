"""What a Run keeps of every subnet: mAP on validation and activation ranges; and the decision thresholds.

Proved by tests/train/test_evaluate.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from sklearn.metrics import precision_recall_curve
from torch import Tensor

from toolkit.specs.run import LabelDecision, Range, SubnetResult
from toolkit.specs.space import Subnet
from toolkit.supernet.norms import StoredNorms, walk
from toolkit.supernet.static import StaticNet
from toolkit.supernet.supernet import Supernet
from toolkit.train.examples import Example, Examples
from toolkit.train.metrics import Scores, average_precisions, mean_average_precision

EVALUATION_BATCH = 8
RANGE_CROPS = 48
LEAST_POSITIVES = 5
DEFAULT_THRESHOLD = 0.5
LEAST_THRESHOLD = 0.3
"""A listener hears far more windows without an event than validation holds, so no threshold lies below this."""


def score_all(
    net: Supernet,
    norms: StoredNorms,
    subnets: Sequence[Subnet],
    examples: Sequence[Example],
    on_progress: Callable[[int, int], None],
) -> dict[str, Scores]:
    """Probabilities [N, L] of every subnet on examples of equal length, shared prefixes computed once."""
    found: dict[str, list[Scores]] = {subnet.id: [] for subnet in subnets}
    for start in range(0, len(examples), EVALUATION_BATCH):
        part = examples[start : start + EVALUATION_BATCH]
        frames = torch.from_numpy(np.stack([example.log_mel for example in part]).astype(np.float32))[:, None]
        for subnet, logits in walk(net, frames, subnets, norms):
            found[subnet.id].append(torch.sigmoid(logits).numpy())
        on_progress(min(start + EVALUATION_BATCH, len(examples)), len(examples))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def activation_ranges(net: StaticNet, frames: Tensor) -> dict[str, Range]:
    """Least and greatest value at each tap of a static subnet over crops [B, 1, T, F]."""
    with torch.no_grad():
        return {tap: (float(value.min()), float(value.max())) for tap, value in net.taps(frames).items()}


def results_of(
    net: Supernet,
    norms: StoredNorms,
    subnets: Iterable[Subnet],
    scores: dict[str, Scores],
    targets: Scores,
    frames: Tensor,
    on_progress: Callable[[int, int], None],
) -> list[SubnetResult]:
    """Evaluation and ranges of each subnet."""
    every = list(subnets)
    results = []
    for number, subnet in enumerate(every, start=1):
        ranges = activation_ranges(StaticNet.extract(net, subnet, norms), frames[:RANGE_CROPS])
        mean = mean_average_precision(scores[subnet.id], targets)
        results.append(SubnetResult(subnet=subnet.id, mean_average_precision=round(mean, 6), ranges=ranges))
        on_progress(number, len(every))
    return results


def decide(examples: Examples, scores: Scores) -> tuple[LabelDecision, ...]:
    """The threshold of the best F1 for each label, bounded below; 0.5 where validation holds too few positives."""
    targets = examples.targets(examples.validation)
    precisions = average_precisions(scores, targets)
    decisions = []
    for column, label in enumerate(examples.labels):
        positives = int(targets[:, column].sum())
        threshold = DEFAULT_THRESHOLD
        if positives >= LEAST_POSITIVES:
            threshold = max(best_threshold(scores[:, column], targets[:, column]), LEAST_THRESHOLD)
        decisions.append(
            LabelDecision(
                label=label,
                threshold=threshold,
                train_clips=examples.count(label, "train"),
                validation_clips=positives,
                average_precision=precisions.get(column),
            )
        )
    return tuple(decisions)


def best_threshold(scores: Scores, targets: Scores) -> float:
    """The score from which on positives are told with the best F1, for scores and zeros and ones [N]."""
    precision, recall, thresholds = precision_recall_curve(targets, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    return float(thresholds[int(f1[:-1].argmax())])
