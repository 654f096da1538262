"""Mean average precision, the paper's metric, as scikit-learn computes it. Proved by tests/train/test_evaluate.py."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

Scores = NDArray[np.float32]
"""[N, L]: probabilities, or the zeros and ones they are held against."""


def average_precisions(scores: Scores, targets: Scores) -> dict[int, float]:
    """Average precision of each column that has a positive, for scores and zeros and ones [N, L]."""
    return {
        column: float(average_precision_score(targets[:, column], scores[:, column]))
        for column in range(targets.shape[1])
        if targets[:, column].any()
    }


def mean_average_precision(scores: Scores, targets: Scores) -> float:
    """Macro mean over the labels that have a positive; the paper's metric."""
    return float(np.mean(list(average_precisions(scores, targets).values())))
