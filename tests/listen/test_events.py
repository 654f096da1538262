"""Decisions become events whose times and confidences hold what the docstring promises."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toolkit.listen.events import BRIDGED_HOPS, OFF_FACTOR, Event, EventDecoder

from toolkit.listen.listener import Decision

HOP, RATE = 10, 100


def decoder(window_hops: int = 5, thresholds: tuple[float, ...] = (0.5, 0.9)) -> EventDecoder:
    """A decoder of the labels a, b, ... with hops of a tenth of a second."""
    labels = "abcdefgh"[: len(thresholds)]
    return EventDecoder(labels, thresholds, window_hops * HOP, HOP, RATE)


def decode(
    scores: np.ndarray, heard: int, window_hops: int = 5, thresholds: tuple[float, ...] = (0.5, 0.9)
) -> list[Event]:
    """Events of a whole stream of scores [decisions, labels] over `heard` samples."""
    hears = decoder(window_hops, thresholds)
    events = []
    for number, row in enumerate(scores, start=1):
        events += hears.push(Decision(number * HOP, min(number * HOP, heard), row))
    return events + hears.flush()


def ideal_scores(spans: list[tuple[int, int]], heard: int, window_hops: int) -> np.ndarray:
    """Scores [decisions, 1] of a detector that is sure while its window holds a sample of an event."""
    decisions = -(-heard // HOP) + window_hops
    ends = range(HOP, (decisions + 1) * HOP, HOP)
    return np.array([[float(any(a < end and b > end - window_hops * HOP for a, b in spans))] for end in ends])


score_tables: st.SearchStrategy[np.ndarray] = st.lists(
    st.tuples(*[st.sampled_from([0.0, 0.3, 0.41, 0.45, 0.5, 0.6, 0.75, 0.89, 0.95, 1.0])] * 2), min_size=1, max_size=80
).map(np.array)


@given(scores=score_tables, window_hops=st.integers(1, 12), cut=st.integers(0, 9), tail=st.integers(0, 12))
def test_events_are_ordered_and_within_the_audio(scores: np.ndarray, window_hops: int, cut: int, tail: int) -> None:
    """Every event has a length, lies within the audio, follows the one before, and is as sure as its highest score."""
    heard = max(1, (len(scores) - min(tail, len(scores) - 1)) * HOP - cut)
    events = decode(scores, heard, window_hops)
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
    heard = {event.label for event in decode(scores, len(scores) * HOP, window_hops=1)}
    assert heard == {label for index, label in enumerate("ab") if (scores[:, index] >= (0.5, 0.9)[index]).any()}


@given(data=st.data(), window_hops=st.integers(1, 12), count=st.integers(1, 4))
def test_an_ideal_detector_is_located_to_a_hop(data: st.DataObject, window_hops: int, count: int) -> None:
    """Events further apart than a window come out one by one, start and end known to one hop."""
    spans, at = [], 0
    for _ in range(count):
        start = at + data.draw(st.integers(0, 40))
        stop = start + data.draw(st.integers(1, 90))
        spans.append((start, stop))
        at = stop + (window_hops + BRIDGED_HOPS + 1) * HOP
    heard = spans[-1][1] + data.draw(st.integers(0, 50))
    events = decode(ideal_scores(spans, heard, window_hops), heard, window_hops, (0.5,))
    assert len(events) == count
    for event, (start, stop) in zip(events, spans, strict=True):
        assert abs(event.start_s - start / RATE) <= HOP / RATE
        assert abs(event.end_s - stop / RATE) <= HOP / RATE


def test_close_events_come_out_as_one() -> None:
    """Two barks within a window are one event that spans both."""
    spans = [(100, 110), (140, 150)]
    (event,) = decode(ideal_scores(spans, 400, 10), 400, 10, (0.5,))
    assert (event.start_s, event.end_s) == (1.0, 1.5)


def test_hysteresis_and_bridging() -> None:
    """A score between the two thresholds, or low for two decisions, does not end an event; three do."""
    held = OFF_FACTOR * 0.5
    steady = [0.6, held, 0.0, 0.0, 0.6, 0.6]
    assert len(decode(np.array([steady]).T, 60, 1, (0.5,))) == 1
    broken = [0.6, held - 0.01, 0.0, 0.0, 0.6, 0.6]
    assert len(decode(np.array([broken]).T, 60, 1, (0.5,))) == 2


def test_a_flicker_is_no_event() -> None:
    """Where every event is in several windows, a score that is high in only one of them is not believed."""
    flicker = np.array([[0.0], [0.9], [0.0], [0.0], [0.0], [0.0]])
    assert decode(flicker, 60, 5, (0.5,)) == []
    assert len(decode(flicker, 60, 1, (0.5,))) == 1


def test_an_event_that_sounds_at_the_end_reaches_it() -> None:
    """A sound that lasts to the last sample ends there, not a window before and not after the audio."""
    (event,) = decode(ideal_scores([(100, 207)], 207, 5), 207, 5, (0.5,))
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
    """A day of decisions takes no more memory than an hour of them."""
    hears = decoder(10, (0.5,) * 8)
    rng = np.random.default_rng(0)
    scores = rng.random((100, 8))

    def most_bytes(decisions: int) -> int:
        tracemalloc.reset_peak()
        for number in range(1, decisions + 1):
            hears.push(Decision(number * HOP, number * HOP, scores[number % 100]))
        return tracemalloc.get_traced_memory()[1]

    tracemalloc.start()
    try:
        hour = most_bytes(1_000)
        day = most_bytes(24_000)
    finally:
        tracemalloc.stop()
    assert day < hour + 5_000
