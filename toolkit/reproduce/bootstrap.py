"""How sure a test figure is: mAP under many weightings of the source recordings.

A mixture holds several recordings, so it counts with the product of their weights, each exponential with mean 1: the
Bayesian bootstrap, crossed. No label ever loses all of its positives. It errs to the wide side.
Source: Rubin (1981); Owen and Eckles, Bootstrapping data arrays of arbitrary order (2012).
Axis letters: R resamples, N mixtures, L labels. Proved by tests/reproduce/test_bootstrap.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000
RESAMPLE_SEED = 1981
INTERVAL_PERCENT = (2.5, 97.5)
Numbers = NDArray[np.float64]


def recording_weights(groups: Sequence[Sequence[str]], resamples: int = RESAMPLES) -> Numbers:
    """Weights [R, N] of mixtures, for each the groups that it holds; the same for the same groups."""
    names = sorted({name for each in groups for name in each})
    column = {name: index for index, name in enumerate(names)}
    drawn = np.random.default_rng(RESAMPLE_SEED).exponential(size=(resamples, len(names)))
    return np.stack([drawn[:, [column[name] for name in each]].prod(axis=1) for each in groups], axis=1)


def resampled_mean_average_precisions(
    scores: NDArray[np.float32], targets: NDArray[np.float32], weights: Numbers
) -> Numbers:
    """mAP [R] of scores and zeros and ones [N, L] under weights [R, N], over the labels that have a positive."""
    columns = [column for column in range(targets.shape[1]) if targets[:, column].any()]
    precisions = [_average_precision(scores[:, column], targets[:, column] > 0, weights) for column in columns]
    return np.asarray(np.mean(precisions, axis=0))


def _average_precision(scores: NDArray[np.float32], positive: NDArray[np.bool_], weights: Numbers) -> Numbers:
    """Weighted average precision [R] of one label; mixtures of equal score come in together, as scikit-learn has it."""
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.flatnonzero(positive[order])
    ordered = weights[:, order]
    ends = np.searchsorted(-ranked, -ranked[hits], side="right") - 1
    found = np.cumsum(ordered * positive[order], axis=1)
    precision = found[:, ends] / np.cumsum(ordered, axis=1)[:, ends]
    return np.asarray((ordered[:, hits] * precision).sum(axis=1) / found[:, -1])
