"""A label's decision is fitted for the false alarms that are allowed, and its figures do not flatter it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.fakes import label_decision
from toolkit.events.decoder import Decision, Event, EventDecoder
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.run import off_threshold
from toolkit.specs.space import STREAM_CHUNK_FRAMES
from toolkit.train.examples import Example
from toolkit.train.streams import Part, Stream
from toolkit.train.thresholds import (
    DEFAULT_THRESHOLD,
    LEAST_POSITIVES,
    SHAPES,
    THRESHOLDS,
    LabelFit,
    Measured,
    Shape,
    middle_of_best,
    stream_timing,
)

DECISIONS = 48
HOP_S = 0.96
WINDOW_DECISIONS = 11
"""So many windows hold an event of a decision's length."""
ONSET = 15
Scores = NDArray[np.float32]


def stream(half: int, onsets: Sequence[int] = (ONSET,), label: str = "Dog") -> Stream:
    """46 s with an event of two decisions at each onset, in decisions."""
    frames = 2 * STREAM_CHUNK_FRAMES
    heard = np.zeros((frames, 64), np.float16)
    parts = [
        Part(Example("x", heard, (label,)), heard, 0, frames - 1, onset * STREAM_CHUNK_FRAMES, 20.0) for onset in onsets
    ]
    return Stream(half, DECISIONS, tuple(parts), FrontEndSpec(), (0,))


STREAMS = (stream(0), stream(0, ()), stream(1), stream(1, ()))
HOURS = len(STREAMS) * DECISIONS * HOP_S / 3600


def scores(level: float, background: float = 0.0) -> Scores:
    """What a detector scores on STREAMS that hears an event at this level as long as its window holds some of it."""
    made = np.full((len(STREAMS), DECISIONS), background, np.float32)
    made[::2, ONSET : ONSET + WINDOW_DECISIONS + 1] = level
    return made


def noise(seed: int) -> Scores:
    """Random scores on STREAMS that rise and fall, and have nothing to do with the events."""
    drawn = np.random.default_rng(seed).random((len(STREAMS), DECISIONS // 3))
    return np.repeat(drawn, 3, axis=1).astype(np.float32)


def fit(
    samples: Sequence[Scores] = (), rate: float = 1.0, streams: Sequence[Stream] = STREAMS, positives: int = 99
) -> LabelFit:
    """The fit of the label Dog."""
    return LabelFit("Dog", streams, positives, rate, samples)


def decoded(found: Scores, threshold: float, shape: Shape) -> list[list[Event]]:
    """What a listener tells of each stream."""
    rule = label_decision(
        "Dog",
        threshold=threshold,
        off_threshold=off_threshold(threshold, shape.off_ratio),
        smoothing_decisions=shape.smoothing_decisions,
    )
    timing = stream_timing(STREAMS[0])
    events = []
    for heard in found:
        hears = EventDecoder([rule], timing.window_samples, timing.hop_samples, timing.sample_rate_hz)
        ends = timing.hop_samples * np.arange(1, DECISIONS + 1)
        own = [
            event
            for end, score in zip(ends.tolist(), heard, strict=True)
            for event in hears.push(Decision(end, end, np.array([score])))
        ]
        events.append(own + hears.flush())
    return events


def false_alarms(events: list[list[Event]]) -> int:
    """Those that lie more than a collar from the event of every other stream."""
    before_s, after_s = (ONSET - 3) * HOP_S, (ONSET + 2 + 3) * HOP_S
    apart = [event.start_s >= after_s or event.end_s <= before_s for own in events[::2] for event in own]
    return sum(apart) + sum(len(own) for own in events[1::2])


@settings(max_examples=40)
@given(seed=st.integers(0, 9999), rate=st.floats(1, 200))
def test_no_more_false_alarms_than_allowed(seed: int, rate: float) -> None:
    """On its own streams a listener with the fitted decision raises no more, unless the highest threshold does."""
    heard = noise(seed)
    fitted = fit([heard], rate)
    found = fitted.measure(heard)
    assert fitted.calibrated
    alarms = false_alarms(decoded(heard, found.threshold, fitted.shape))
    assert alarms <= rate * HOURS or found.threshold == THRESHOLDS[-1]


@settings(max_examples=40)
@given(seed=st.integers(0, 9999), rates=st.lists(st.floats(1, 300), min_size=2, max_size=2).map(sorted))
def test_the_more_is_allowed_the_lower_is_the_threshold(seed: int, rates: list[float]) -> None:
    """Lower or equal, for any scores, where the shape is the same."""
    few, many = (fit((), rate).measure(noise(seed)).threshold for rate in rates)
    assert many <= few


@given(
    values=st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=12),
    data=st.data(),
    limits=st.tuples(st.integers(0, 3), st.integers(0, 3)).map(sorted),
)
def test_a_wider_choice_is_never_answered_by_a_higher_place(
    values: list[float], data: st.DataObject, limits: list[int]
) -> None:
    """The place is the best of those from where nothing is forbidden, and sinks as more is permitted."""
    alarms = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(values), max_size=len(values))))
    few, many = (middle_of_best(np.array(values), alarms <= limit) for limit in limits)
    assert many <= few
    for place, limit in ((few, limits[0]), (many, limits[1])):
        open_to_it = [at for at in range(len(values)) if (alarms[at:] <= limit).all()]
        assert place in (open_to_it or [len(values) - 1])
        assert values[place] == max((values[at] for at in open_to_it), default=values[-1])


@pytest.mark.parametrize(
    ("values", "permitted", "place"),
    [
        ([0, 1, 1, 1, 0], [1, 1, 1, 1, 1], 2),
        ([1, 0, 1, 1, 1], [1, 1, 1, 1, 1], 3),
        ([1, 1, 1, 0, 0], [0, 0, 1, 1, 1], 2),
        ([1, 1, 1, 0.5, 0], [1, 1, 0, 1, 1], 3),
        ([1, 1, 1, 1, 1], [1, 1, 1, 1, 0], 4),
    ],
    ids=["a run", "the longest run", "what is left of a run", "what lies below is forbidden too", "nothing"],
)
def test_the_middle_of_the_best_run(values: list[float], permitted: list[int], place: int) -> None:
    """Where several are as good, the middle of the longest run of them; the last where none is permitted."""
    assert middle_of_best(np.array(values, float), np.array(permitted, bool)) == place


def test_the_threshold_is_in_the_middle_of_those_that_part_best() -> None:
    """Between noise at 0.3 and events at 0.9 every threshold tells all and nothing else."""
    heard = scores(0.9, background=0.3)
    found = fit([heard]).measure(heard)
    parting = [threshold for threshold in THRESHOLDS if 0.3 < threshold <= 0.9]
    assert found == Measured(parting[len(parting) // 2], 1.0, 0.0)


def test_figures_are_those_of_the_other_half() -> None:
    """Where each half alone is told perfectly, but by a threshold that misleads in the other, F1 is 0, not 1."""
    quiet, loud = scores(0.5, background=0.3), scores(0.95, background=0.8)
    for same in (quiet, loud):
        assert fit([same]).measure(same).event_f1 == 1.0
    mixed = np.concatenate([quiet[:2], loud[2:]])
    assert fit([mixed]).measure(mixed).event_f1 == 0.0


def test_figures_of_noise_are_those_of_noise() -> None:
    """Shape and threshold are the best of hundreds, so on their own streams they seem to hear; the figures do not."""
    seen, unseen = [], []
    for seed in range(30):
        heard = noise(seed)
        fitted = fit([heard], rate=1000)
        found = fitted.measure(heard)
        unseen.append(found.event_f1)
        events = decoded(heard, found.threshold, fitted.shape)
        starts_s = [[event.start_s for event in own] for own in events[::2]]
        hits = sum(any(abs(start_s - ONSET * HOP_S) < 3.1 * HOP_S for start_s in own) for own in starts_s)
        seen.append(2 * hits / (sum(map(len, events)) + 2))
    assert np.mean(seen) > 0.15
    assert np.mean(np.array(unseen, float)) < np.mean(seen) / 2


def test_false_alarms_are_counted_by_the_hour() -> None:
    """A sound that no event explains, in every second stream, as loud as the events: an alarm each."""
    heard = scores(0.9)
    heard[1::2, 30:40] = 0.9
    found = fit([heard], rate=1000).measure(heard)
    assert found.event_f1 == pytest.approx(2 * 2 / (4 + 2), abs=1e-4)
    assert found.false_alarms_per_hour == pytest.approx(2 / HOURS, abs=0.01)
    forbidden = fit([heard], rate=1).measure(heard)
    assert forbidden.threshold > 0.9
    assert (forbidden.event_f1, forbidden.false_alarms_per_hour) == (0.0, 0.0)


def test_a_sound_with_gaps_gets_more_hysteresis() -> None:
    """Where events dip below what other sounds reach, the off threshold lies lower, so that they stay one."""
    heard = scores(0.9)
    heard[::2, ONSET + 4 : ONSET + 8] = 0.55
    heard[1::2, 30:40] = 0.6
    fitted = fit([heard])
    assert fitted.shape == Shape(1, 0.6), "0.8 would tell most of them twice"
    assert fitted.measure(heard).event_f1 == 1.0


def test_a_label_with_clicks_gets_smoothing() -> None:
    """Where other sounds are as loud as events but last two decisions, the median of five leaves them out."""
    heard = scores(0.9)
    heard[1::2, 30:32] = 1.0
    fitted = fit([heard])
    assert fitted.shape == Shape(5, 0.8)
    assert fitted.measure(heard).event_f1 == 1.0


@pytest.mark.parametrize(
    ("positives", "streams"),
    [(LEAST_POSITIVES - 1, STREAMS), (99, (*STREAMS[:2], stream(1, ()), stream(1, ())))],
    ids=["few clips", "all clips of one recording"],
)
def test_what_has_too_little_to_fit_on_is_not_calibrated(positives: int, streams: Sequence[Stream]) -> None:
    """Shape and threshold are the default ones whatever the scores say; what they do is measured all the same."""
    heard = scores(0.45)
    heard[1, 30:40] = 0.9
    fitted = fit([heard], streams=streams, positives=positives)
    found = fitted.measure(heard)
    assert not fitted.calibrated
    assert (found.threshold, fitted.shape) == (DEFAULT_THRESHOLD, SHAPES[0]) == (0.5, Shape(1, 0.8))
    assert found.event_f1 == 0.0
    assert found.false_alarms_per_hour == pytest.approx(1 / HOURS, abs=0.01)
    assert fit([heard], positives=LEAST_POSITIVES).calibrated


def test_a_label_that_no_stream_holds_has_no_f1() -> None:
    """There is nothing to measure it on but false alarms."""
    heard = scores(0.9)
    found = fit([heard], streams=[stream(half, ()) for half in (0, 0, 1, 1)]).measure(heard)
    assert found == Measured(0.5, None, round(2 / HOURS, 2))
