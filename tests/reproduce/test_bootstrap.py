"""Intervals of test figures: weighted mAP is the textbook's, and weights belong to source recordings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from toolkit.reproduce.bootstrap import recording_weights, resampled_mean_average_precisions
from toolkit.train.metrics import mean_average_precision


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(2, 40), levels=st.integers(2, 30))
def test_it_is_scikit_learns_weighted_average_precision(seed: int, count: int, levels: int) -> None:
    """For each resample the mean over the labels with a positive, whatever the ties; a label without counts not."""
    rng = np.random.default_rng(seed)
    scores = (rng.integers(levels, size=(count, 4)) / levels).astype(np.float32)
    targets = (rng.random((count, 4)) < 0.3).astype(np.float32)
    targets[rng.integers(count), :3], targets[:, 3] = 1, 0
    weights = rng.exponential(size=(5, count))
    wanted = [
        np.mean(
            [average_precision_score(targets[:, label], scores[:, label], sample_weight=each) for label in range(3)]
        )
        for each in weights
    ]
    assert resampled_mean_average_precisions(scores, targets, weights) == pytest.approx(wanted, abs=1e-6)


def test_equal_weights_give_the_figure_itself() -> None:
    """A resample that weighs all mixtures alike has the mAP that is reported."""
    rng = np.random.default_rng(0)
    scores, targets = rng.random((50, 3)).astype(np.float32), (rng.random((50, 3)) < 0.4).astype(np.float32)
    found = resampled_mean_average_precisions(scores, targets, np.full((1, 50), 0.7))
    assert found == pytest.approx([mean_average_precision(scores, targets)])


def test_a_mixture_weighs_what_its_recordings_weigh() -> None:
    """The weight of a mixture is the product of those of its groups, however mixtures are ordered."""
    weights = recording_weights([["a"], ["b"], ["c"], ["a", "c"], ["c", "b", "a"]])
    a, b, c = weights[:, 0], weights[:, 1], weights[:, 2]
    assert weights[:, 3] == pytest.approx(a * c)
    assert weights[:, 4] == pytest.approx(a * b * c)
    assert recording_weights([["c"], ["b"], ["a"]]) == pytest.approx(np.stack([c, b, a], axis=1))


def test_weights_are_exponential_with_mean_one() -> None:
    """Over many recordings mean and standard deviation are 1, as the Bayesian bootstrap has it, and none is zero."""
    weights = recording_weights([[f"recording {number}"] for number in range(200)])
    assert weights.mean() == pytest.approx(1, abs=0.01)
    assert weights.std() == pytest.approx(1, abs=0.02)
    assert weights.min() > 0
