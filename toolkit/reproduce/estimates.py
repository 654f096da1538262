"""`Estimate`: a figure over seeds, with how much seeds differ and how sure the test recordings make it.

The spread is of trainings, the interval of test recordings (`toolkit.reproduce.bootstrap`); neither holds the other.
All units share the resamples' weights, so a difference is resampled as differences.
Axis letter: R resamples. Proved by tests/reproduce/test_report.py.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from toolkit.reproduce.bootstrap import INTERVAL_PERCENT, Numbers
from toolkit.specs.unit import TestScore

BySeed = Mapping[int, TestScore]


@dataclass(frozen=True)
class Estimate:
    """mAP, or a difference of two, in percent: of each seed, and the 95 % interval of their mean."""

    by_seed: Mapping[int, float]
    low: float
    high: float

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return statistics.mean(self.by_seed.values())

    @property
    def spread(self) -> float | None:
        """Standard deviation over the seeds; None of one."""
        return statistics.stdev(self.by_seed.values()) if len(self.by_seed) > 1 else None


def estimate(scores: BySeed) -> Estimate | None:
    """mAP over the seeds there are; None if there is none."""
    return _estimate(
        {seed: score.mean_average_precision for seed, score in scores.items()},
        {seed: np.array(score.resampled()) for seed, score in scores.items()},
    )


def difference(scores: BySeed, others: BySeed) -> Estimate | None:
    """First minus second over the seeds that both have; None if there is none."""
    seeds = [seed for seed in scores if seed in others]
    return _estimate(
        {seed: scores[seed].mean_average_precision - others[seed].mean_average_precision for seed in seeds},
        {seed: np.subtract(scores[seed].resampled(), others[seed].resampled()) for seed in seeds},
    )


def _estimate(values: Mapping[int, float], resampled: Mapping[int, Numbers]) -> Estimate | None:
    """From fractions, and for each seed those of the resamples [R]."""
    if not values:
        return None
    low, high = np.percentile(np.mean(list(resampled.values()), axis=0), INTERVAL_PERCENT)
    return Estimate({seed: 100 * value for seed, value in values.items()}, 100 * float(low), 100 * float(high))
