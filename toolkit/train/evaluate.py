"""What a Run keeps of every subnet: mAP on validation and activation ranges. Decisions are fitted in `decide.py`.

Proved by tests/train/test_evaluate.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from toolkit.specs.run import Range, SubnetResult
from toolkit.specs.space import Subnet
from toolkit.supernet.norms import StoredNorms, walk
from toolkit.supernet.static import StaticNet
from toolkit.supernet.supernet import Supernet
from toolkit.train.decide import EventFigures
from toolkit.train.examples import Example
from toolkit.train.metrics import Scores, mean_average_precision

EVALUATION_BATCH = 8
RANGE_CROPS = 48


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
            found[subnet.id].append(torch.sigmoid(logits).cpu().numpy())
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
    figures: Mapping[str, EventFigures],
    on_progress: Callable[[int, int], None],
) -> list[SubnetResult]:
    """Evaluation, ranges and what streams said (`figures`) of each subnet."""
    every = list(subnets)
    results = []
    for number, subnet in enumerate(every, start=1):
        ranges = activation_ranges(StaticNet.extract(net, subnet, norms), frames[:RANGE_CROPS])
        mean = mean_average_precision(scores[subnet.id], targets)
        heard = figures[subnet.id]
        results.append(
            SubnetResult(
                subnet=subnet.id,
                mean_average_precision=round(mean, 6),
                ranges=ranges,
                thresholds=heard.thresholds,
                event_f1=heard.event_f1,
                false_alarms_per_hour=heard.false_alarms_per_hour,
            )
        )
        on_progress(number, len(every))
    return results
