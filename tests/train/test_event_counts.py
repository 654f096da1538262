"""Told events are held against true ones as a well-kept library does it, and as one would by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.events.sweep import NONE
from toolkit.train.event_counts import COLLAR_DECISIONS, Counts, Span, Timing, count, f1, library_hits

DECISIONS = 40
TIMING = Timing(window_samples=10, hop_samples=1, sample_rate_hz=1, heard_samples=DECISIONS)
"""A decision a second, so that all times are whole numbers."""
COLLAR_S = 3.0

told_events = st.lists(st.tuples(st.integers(0, DECISIONS - 1), st.integers(0, 20)), max_size=8)
"""First decision and how many follow it."""
true_events: st.SearchStrategy[list[Span]] = st.lists(
    st.tuples(st.integers(0, DECISIONS), st.integers(1, 20)), max_size=6
).map(lambda drawn: sorted((float(onset), float(onset + length)) for onset, length in drawn))


def dense(told: list[tuple[int, int]]) -> np.ndarray:
    """Events as `sweep` gives them, [D]."""
    events = np.full(DECISIONS, NONE, np.int16)
    for first, more in told:
        events[first] = min(first + more, DECISIONS - 1)
    return events


def counted(told: list[tuple[int, int]], true: list[Span]) -> tuple[int, int, int, int]:
    """Hits, told, false alarms and true events of one stream."""
    counts = count(dense(told)[None, :, None, None], [true], TIMING)
    return tuple(int(part[0, 0, 0]) for part in (counts.hits, counts.told, counts.false_alarms, counts.true))  # type: ignore[return-value]


@given(told=told_events, true=true_events)
def test_hits_are_those_of_the_library(told: list[tuple[int, int]], true: list[Span]) -> None:
    """For any events, as many hit as in the largest matching of `mir_eval`."""
    events = dense(told)
    first = np.flatnonzero(events != NONE)
    starts_s, _ = TIMING.seconds(first, events[first])
    hits, number, _, held = counted(told, true)
    assert hits == library_hits(starts_s.tolist(), [onset_s for onset_s, _ in true], COLLAR_S)
    assert (number, held) == (len(first), len(true))


@given(told=told_events, true=true_events)
def test_false_alarms_touch_nothing(told: list[tuple[int, int]], true: list[Span]) -> None:
    """A false alarm is a told event that overlaps no true one, though that were a collar longer at both ends."""
    events = dense(told)
    first = np.flatnonzero(events != NONE)
    spans = zip(*TIMING.seconds(first, events[first]), strict=True)
    alone = [
        not any(start < offset + COLLAR_S and end > onset - COLLAR_S for onset, offset in true) for start, end in spans
    ]
    hits, number, alarms, _ = counted(told, true)
    assert alarms == sum(alone)
    assert hits + alarms <= number, "what hits is no false alarm"


@pytest.mark.parametrize(
    ("told", "true", "hits", "false_alarms"),
    [
        ([], [(10.0, 12.0)], 0, 0),
        ([(10, 5)], [], 0, 1),
        ([(13, 9)], [(10.0, 12.0)], 1, 0),
        ([(7, 9)], [(10.0, 12.0)], 1, 0),
        ([(14, 9)], [(10.0, 12.0)], 0, 0),
        ([(15, 9)], [(10.0, 12.0)], 0, 1),
        ([(14, 9)], [(10.0, 20.0)], 0, 0),
        ([(10, 9), (12, 9)], [(10.0, 12.0)], 1, 0),
        ([(11, 9)], [(10.0, 12.0), (12.0, 14.0)], 1, 0),
        ([(11, 9), (13, 9)], [(9.0, 12.0), (12.0, 14.0)], 2, 0),
    ],
    ids=[
        "nothing told",
        "nothing true",
        "a collar late",
        "a collar early",
        "too late to hit, but it touches",
        "too late for both",
        "in the midst of a long one",
        "only one of two hits",
        "hits only one of two",
        "each hits the one that leaves the other its own",
    ],
)
def test_cases_made_by_hand(told: list[tuple[int, int]], true: list[Span], hits: int, false_alarms: int) -> None:
    """Starts within three decisions of an onset hit, once each; what touches no true event is a false alarm."""
    assert counted(told, true) == (hits, len(told), false_alarms, len(true))


def test_the_collar_is_three_decisions() -> None:
    """At the hop of an exported stream that is 2.88 s."""
    assert COLLAR_DECISIONS == 3
    assert Timing(320_000, 30_720, 32_000, 1).collar_s == pytest.approx(2.88)


@given(streams=st.lists(st.tuples(st.lists(told_events, min_size=3, max_size=3), true_events), min_size=1, max_size=3))
def test_every_cell_is_counted_by_itself(streams: list[tuple[list[list[tuple[int, int]]], list[Span]]]) -> None:
    """Streams, columns and thresholds do not disturb one another, and sums go over the chosen streams alone."""
    events = np.stack([np.stack([dense(told) for told in cells], axis=-1) for cells, _ in streams])
    truth = [true for _, true in streams]
    alone = np.array([[counted(told, true)[:3] for told in cells] for cells, true in streams])
    for columns in (events[:, :, None], events[:, :, :, None]):
        counts = count(columns, truth, TIMING)
        found = np.stack([counts.hits, counts.told, counts.false_alarms], axis=-1)
        np.testing.assert_array_equal(found.reshape(len(streams), 3, 3), alone)
        chosen = range(0, len(streams), 2)
        np.testing.assert_array_equal(counts.over(chosen).told.reshape(3), alone[::2, :, 1].sum(axis=0))
        assert counts.over(chosen).true == sum(len(truth[stream]) for stream in chosen)


def test_f1_is_the_harmonic_mean() -> None:
    """Two of three told events hit two of four: precision 2/3, recall 1/2. Where there is nothing it is 0."""
    two, three, four, none = (np.array([[number]], np.int32) for number in (2, 3, 4, 0))
    precision, recall = 2 / 3, 1 / 2
    assert f1(Counts(two, three, none, four)) == pytest.approx(2 * precision * recall / (precision + recall))
    assert f1(Counts(none, none, none, none)) == 0
