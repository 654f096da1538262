"""The sweep tells exactly what the decoder tells, stream by stream and threshold by threshold."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes import label_decision
from toolkit.events.decoder import Decision, EventDecoder, fewest_decisions
from toolkit.events.sweep import NONE, event_times, smooth, sweep
from toolkit.specs.run import LabelDecision, off_threshold

HOP, RATE = 10, 100
LEVELS = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0]
Spans = list[tuple[float, float]]


def decoded(scores: np.ndarray, window_samples: int, rule: LabelDecision) -> Spans:
    """Start and end in seconds of the decoder's events on the scores [D] of one label."""
    hears = EventDecoder([rule], window_samples, HOP, RATE)
    events = []
    for number, score in enumerate(scores, start=1):
        events += hears.push(Decision(number * HOP, number * HOP, np.array([score])))
    return [(event.start_s, event.end_s) for event in events + hears.flush()]


@settings(max_examples=150)
@given(data=st.data(), window_samples=st.integers(HOP, 8 * HOP), ratio=st.sampled_from([0.3, 0.8, 1.0]))
def test_the_events_are_those_of_the_decoder(data: st.DataObject, window_samples: int, ratio: float) -> None:
    """For any scores, thresholds, off thresholds, smoothing and window."""
    streams, decisions, columns = (data.draw(st.integers(1, most)) for most in (2, 30, 2))
    size = streams * decisions * columns
    cells = data.draw(st.lists(st.sampled_from(LEVELS), min_size=size, max_size=size))
    scores = np.array(cells, np.float32).reshape(streams, decisions, columns)
    smoothing = data.draw(st.lists(st.sampled_from([1, 3, 5, 7]), min_size=columns, max_size=columns))
    thresholds = data.draw(st.lists(st.sampled_from(LEVELS[1:]), min_size=1, max_size=3))
    off = np.array([[off_threshold(on, ratio) for on in thresholds]] * columns)

    fewest = fewest_decisions(window_samples, HOP)
    events = sweep(smooth(scores, smoothing), np.array(thresholds), off, fewest)

    assert events.shape == (*scores.shape, len(thresholds))
    for stream, column, candidate in np.ndindex(streams, columns, len(thresholds)):
        last = events[stream, :, column, candidate]
        first = np.flatnonzero(last != NONE)
        starts, ends = event_times(first, last[first], window_samples, HOP, decisions * HOP)
        rule = label_decision(
            "a",
            threshold=thresholds[candidate],
            off_threshold=off[column, candidate],
            smoothing_decisions=smoothing[column],
        )
        found = list(zip((starts / RATE).tolist(), (ends / RATE).tolist(), strict=True))
        assert found == decoded(scores[stream, :, column], window_samples, rule)


def test_smoothing_leaves_the_scores_as_they_were() -> None:
    """The scores that are smoothed are not changed, and a column without smoothing is as it was."""
    scores = np.random.default_rng(0).random((2, 9, 3)).astype(np.float32)
    before = scores.copy()
    smoothed = smooth(scores, (1, 3, 5))
    np.testing.assert_array_equal(scores, before)
    np.testing.assert_array_equal(smoothed[:, :, 0], scores[:, :, 0])
    assert smoothed[0, 4, 1] == np.median(scores[0, 3:6, 1])
    assert smoothed[1, 4, 2] == np.median(scores[1, 2:7, 2])
