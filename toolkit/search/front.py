"""The Pareto front: subnets that no other one beats in accuracy, latency and memory at once.

Axis letters: N subnets, O objectives, smaller is better. Proved by tests/search/test_front.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.specs.cost import PredictedCost
from toolkit.specs.space import Subnet


@dataclass(frozen=True)
class Scored:
    """A subnet with its validation mAP and what it costs."""

    subnet: Subnet
    mean_average_precision: float
    cost: PredictedCost
    is_inside: bool
    """Of the budget."""

    @property
    def objectives(self) -> tuple[float, float, float]:
        """Smaller is better: negative mAP, latency, memory."""
        return -self.mean_average_precision, self.cost.latency_ms.value, self.cost.memory_mb.value


def pareto_front(every: Iterable[Scored]) -> tuple[Scored, ...]:
    """Those that none of the others beats, the quickest first; of equals all stay."""
    some = list(every)
    kept = undominated([each.objectives for each in some])
    front = [each for each, stays in zip(some, kept, strict=True) if stays]
    return tuple(sorted(front, key=lambda each: (each.cost.latency_ms.value, each.subnet.id)))


def best(every: Iterable[Scored]) -> Scored | None:
    """The best-scoring of them, of equals the quicker one; None of none."""
    return max(
        every,
        key=lambda each: (each.mean_average_precision, -each.cost.latency_ms.value, each.subnet.id),
        default=None,
    )


def staircase(front: Iterable[Scored]) -> tuple[list[float], list[float]]:
    """Latencies (ms) of a front and the best mAP that each buys; memory, which the front has too, is left out."""
    times_ms: list[float] = []
    scores: list[float] = []
    for each in front:
        if not scores or each.mean_average_precision > scores[-1]:
            times_ms.append(each.cost.latency_ms.value)
            scores.append(each.mean_average_precision)
    return times_ms, scores


def undominated(objectives: Sequence[Sequence[float]]) -> NDArray[np.bool_]:
    """Which of the points [N, O] no other one equals or betters in all and betters in one."""
    points = np.array(objectives, np.float64)
    kept = np.ones(len(points), bool)
    for at, point in enumerate(points):
        rivals = points[kept]
        kept[at] = not ((rivals <= point).all(axis=1) & (rivals < point).any(axis=1)).any()
    return kept
