"""Decisions become events whose times and confidences hold what the docstring promises."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import label_decision
from toolkit.events.decoder import BRIDGED_HOPS, Decision, Event, EventDecoder
from toolkit.specs.run import LabelDecision

HOP, RATE = 10, 100
PLAIN = label_decision("a")
TWO = (PLAIN, label_decision("b", threshold=0.9, off_threshold=0.72))


def decoder(rules: Sequence[LabelDecision] = TWO, window_hops: int = 5) -> EventDecoder:
    """A decoder with hops of a tenth of a second."""
    return EventDecoder(rules, window_hops * HOP, HOP, RATE)


def decode(
    scores: np.ndarray, heard: int, window_hops: int = 5, rules: Sequence[LabelDecision] = (PLAIN,)
) -> list[Event]:
    """Events of a whole stream of scores [decisions, labels] over `heard` samples."""
    hears = decoder(rules, window_hops)
    events = []
    for number, row in enumerate(scores, start=1):
        events += hears.push(Decision(number * HOP, min(number * HOP, heard), row))
    return events + hears.flush()


def of_one(scores: Sequence[float], window_hops: int = 1, **rule: float) -> list[Event]:
    """Events of one label with these scores, all of them heard."""
    return decode(np.array([scores]).T, len(scores) * HOP, window_hops, (label_decision("a", **rule),))


def ideal_scores(spans: list[tuple[int, int]], heard: int, window_hops: int) -> np.ndarray:
    """Scores [decisions, 1] of a detector that is sure while its window holds a sample of an event."""
    decisions = -(-heard // HOP) + window_hops
    ends = range(HOP, (decisions + 1) * HOP, HOP)
    return np.array([[float(any(a < end and b > end - window_hops * HOP for a, b in spans))] for end in ends])


score_tables: st.SearchStrategy[np.ndarray] = st.lists(
    st.tuples(*[st.sampled_from([0.0, 0.3, 0.41, 0.45, 0.5, 0.6, 0.75, 0.89, 0.95, 1.0])] * 2), min_size=1, max_size=80
).map(np.array)
smoothings = st.sampled_from([1, 3, 5, 7])


@given(
    scores=score_tables,
    window_hops=st.integers(1, 12),
    cut=st.integers(0, 9),
    tail=st.integers(0, 12),
    smoothing=st.tuples(smoothings, smoothings),
)
def test_events_are_ordered_and_within_the_audio(
    scores: np.ndarray, window_hops: int, cut: int, tail: int, smoothing: tuple[int, int]
) -> None:
    """Every event has a length, lies within the audio, follows the one before, and is as sure as its highest score."""
    heard = max(1, (len(scores) - min(tail, len(scores) - 1)) * HOP - cut)
    rules = [rule.model_copy(update={"smoothing_decisions": n}) for rule, n in zip(TWO, smoothing, strict=True)]
    events = decode(scores, heard, window_hops, rules)
    for index, label in enumerate("ab"):
        own = [event for event in events if event.label == label]
        for event in own:
            assert 0 <= event.start_s < event.end_s <= heard / RATE
            assert (0.5, 0.9)[index] <= event.confidence <= 1
            assert event.confidence in scores[:, index]
        for before, after in itertools.pairwise(own):
            assert before.end_s <= after.start_s


@given(scores=score_tables)
def test_no_event_without_a_crossing(scores: np.ndarray) -> None:
    """A label whose score never reaches its threshold has no event."""
    heard = {event.label for event in decode(scores, len(scores) * HOP, 1, TWO)}
    assert heard == {label for index, label in enumerate("ab") if (scores[:, index] >= (0.5, 0.9)[index]).any()}


@given(data=st.data(), window_hops=st.integers(1, 12), count=st.integers(1, 4))
def test_an_ideal_detector_is_located_to_a_hop(data: st.DataObject, window_hops: int, count: int) -> None:
    """Events further apart than a window come out one by one, start and end known to one hop, smoothed or not."""
    spans, at = [], 0
    for _ in range(count):
        start = at + data.draw(st.integers(0, 40))
        stop = start + data.draw(st.integers(1, 90))
        spans.append((start, stop))
        at = stop + (window_hops + BRIDGED_HOPS + 1) * HOP
    heard = spans[-1][1] + data.draw(st.integers(0, 50))
    # A median of 5 keeps what lasts 3 decisions, and an event lasts as many as a window has hops.
    rule = label_decision("a", smoothing_decisions=data.draw(st.sampled_from([1, 3, 5])) if window_hops >= 3 else 1)
    events = decode(ideal_scores(spans, heard, window_hops), heard, window_hops, (rule,))
    assert len(events) == count
    for event, (start, stop) in zip(events, spans, strict=True):
        assert abs(event.start_s - start / RATE) <= HOP / RATE
        assert abs(event.end_s - stop / RATE) <= HOP / RATE


def test_close_events_come_out_as_one() -> None:
    """Two barks within a window are one event that spans both."""
    spans = [(100, 110), (140, 150)]
    (event,) = decode(ideal_scores(spans, 400, 10), 400, 10)
    assert (event.start_s, event.end_s) == (1.0, 1.5)


@pytest.mark.parametrize("off", [0.1, 0.3, 0.5])
def test_between_the_thresholds_nothing_begins_or_ends(off: float) -> None:
    """A score from the off threshold up holds an event that has begun, below it ends it; it begins none."""
    just_below = off - 0.01
    assert of_one([off - 0.01, *[min(off, 0.49)] * 5], off_threshold=off) == []
    (held,) = of_one([0.6, *[off] * 9], off_threshold=off)
    assert held.end_s == 1.0
    (ended,) = of_one([0.6, *[just_below] * 9], off_threshold=off)
    assert ended.end_s == 0.1


def test_short_gaps_are_bridged() -> None:
    """A score that is low for two decisions does not end an event; for three it does."""
    assert len(of_one([0.6, 0.4, 0.0, 0.0, 0.6, 0.6], off_threshold=0.4)) == 1
    assert len(of_one([0.6, 0.39, 0.0, 0.0, 0.6, 0.6], off_threshold=0.4)) == 2


def test_a_flicker_is_no_event() -> None:
    """Where every event is in several windows, a score that is high in only one of them is not believed."""
    flicker = [0.0, 0.9, 0.0, 0.0, 0.0, 0.0]
    assert of_one(flicker, window_hops=5) == []
    assert len(of_one(flicker, window_hops=1)) == 1


@given(scores=score_tables, smoothing=st.tuples(smoothings, smoothings), window_hops=st.integers(1, 12))
def test_smoothed_events_are_those_of_the_medians(
    scores: np.ndarray, smoothing: tuple[int, int], window_hops: int
) -> None:
    """Each label has the events of its own medians, zeros standing before and after, as if these were its scores."""
    heard = len(scores) * HOP
    rules = [rule.model_copy(update={"smoothing_decisions": n}) for rule, n in zip(TWO, smoothing, strict=True)]
    padded = np.pad(scores, ((3, 3), (0, 0)))
    medians = np.array(
        [
            [np.median(padded[at + 3 - n // 2 : at + 4 + n // 2, column]) for column, n in enumerate(smoothing)]
            for at in range(len(scores))
        ]
    )

    def by_label(events: list[Event]) -> list[Event]:
        return sorted(events, key=lambda event: event.label)

    assert by_label(decode(scores, heard, window_hops, rules)) == by_label(decode(medians, heard, window_hops, TWO))


@pytest.mark.parametrize("smoothing", [1, 3, 5])
def test_smoothing_tells_an_event_later(smoothing: int) -> None:
    """The median of n scores is known n // 2 decisions late: so late an event begins and ends, at the same times."""
    hears = decoder((label_decision("a", smoothing_decisions=smoothing),), window_hops=1)
    assert hears.lag_decisions == smoothing // 2
    began = told = 0
    for number in range(1, 20):
        before = hears.sounding
        score = 0.9 if 5 <= number <= 9 else 0.0
        for event in hears.push(Decision(number * HOP, number * HOP, np.array([score]))):
            told = number
            assert (event.start_s, event.end_s) == (0.4, 0.9)
        if hears.sounding - before:
            began = number
    assert began == 5 + smoothing // 2
    assert told == 9 + BRIDGED_HOPS + 1 + smoothing // 2


def test_an_event_that_sounds_at_the_end_reaches_it() -> None:
    """A sound that lasts to the last sample ends there, not a window before and not after the audio."""
    (event,) = decode(ideal_scores([(100, 207)], 207, 5), 207, 5)
    assert event.end_s == pytest.approx(2.07)


def test_what_sounds_now_is_known() -> None:
    """A label is sounding from the decision that begins its event until the one that ends it."""
    hears = decoder()
    hears.push(Decision(10, 10, np.array([0.6, 0.6])))
    assert hears.sounding == {"a"}
    for end in range(20, 50, 10):
        hears.push(Decision(end, end, np.array([0.0, 0.95])))
    assert hears.sounding == {"b"}


def test_memory_does_not_grow() -> None:
    """Ten thousand decisions take no more memory than one thousand."""
    hears = decoder([label_decision(label, smoothing_decisions=3) for label in "ab"], 10)
    scores = np.random.default_rng(0).random((100, 2))

    def most_bytes(decisions: int) -> int:
        tracemalloc.reset_peak()
        for number in range(1, decisions + 1):
            hears.push(Decision(number * HOP, number * HOP, scores[number % 100]))
        return tracemalloc.get_traced_memory()[1]

    tracemalloc.start()
    try:
        hour = most_bytes(1_000)
        longer = most_bytes(9_000)
    finally:
        tracemalloc.stop()
    assert longer < hour + 5_000
