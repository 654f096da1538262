"""Told events held against true ones: hits, false alarms, event-based F1.

A told event hits a true one of its label when it starts within `COLLAR_DECISIONS` of its onset; each hits and is hit
once at most. Offsets are not judged: a window of 10 s hears an event long after its end. A false alarm is a told event
that touches no true one of its label, the collar added at both ends; one that starts too late for a hit is neither.
The collar: a start is known to one decision (0.96 s), and the mean over time that scores rest on grows with the next
ones, so that a sure answer may need two more.
`library_hits` has the matching of `mir_eval`, `count` the same for many thresholds at once.
Axis letters: S streams, D decisions, C columns, K thresholds. Proved by tests/train/test_event_counts.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.events.sweep import NONE, event_times

COLLAR_DECISIONS = 3

Span = tuple[float, float]
"""Onset and offset of a true event in seconds."""
Floats = NDArray[np.float64]
Ints = NDArray[np.int32]


@dataclass(frozen=True)
class Timing:
    """What a decision is in a stream."""

    window_samples: int
    hop_samples: int
    sample_rate_hz: int
    heard_samples: int
    """Length of a stream."""

    @property
    def collar_s(self) -> float:
        """Seconds between an onset and the start of an event that hits it, at most."""
        return COLLAR_DECISIONS * self.hop_samples / self.sample_rate_hz

    def seconds(self, first: NDArray[np.integer], last: NDArray[np.integer]) -> tuple[Floats, Floats]:
        """Start and end of events by their first and last decision."""
        start, end = event_times(first, last, self.window_samples, self.hop_samples, self.heard_samples)
        return start / self.sample_rate_hz, end / self.sample_rate_hz


@dataclass(frozen=True, eq=False)
class Counts:
    """By stream, column and threshold [S, C, K]; `true` events by stream [S, 1, 1]."""

    hits: Ints
    told: Ints
    false_alarms: Ints
    true: Ints

    def over(self, streams: Sequence[int]) -> Counts:
        """Sums over some streams, [C, K] and [1, 1]."""
        chosen = list(streams)
        return Counts(*(part[chosen].sum(axis=0) for part in (self.hits, self.told, self.false_alarms, self.true)))


def count(events: NDArray[np.int16], truth: Sequence[Sequence[Span]], timing: Timing) -> Counts:
    """Counts of `sweep`'s events [S, D, C, K] against the true ones of each stream, which are ordered by onset."""
    hits, false_alarms = (np.zeros((len(events), *events.shape[2:]), np.int32) for _ in range(2))
    first = np.arange(events.shape[1])[:, None, None]
    for stream, (last, spans) in enumerate(zip(events, truth, strict=True)):
        free = last != NONE
        untouched = free.copy()
        start_s, end_s = timing.seconds(first, last)
        for onset_s, offset_s in spans:
            near = free & (np.abs(start_s - onset_s) <= timing.collar_s)
            hit = near.any(axis=0)
            hits[stream] += hit
            free[(near.argmax(axis=0)[hit], *np.nonzero(hit))] = False
            untouched &= (start_s >= offset_s + timing.collar_s) | (end_s <= onset_s - timing.collar_s)
        false_alarms[stream] = untouched.sum(axis=0)
    true = np.array([len(spans) for spans in truth], np.int32)[:, None, None]
    return Counts(hits, (events != NONE).sum(axis=1, dtype=np.int32), false_alarms, true)


def f1(counts: Counts) -> Floats:
    """Harmonic mean of precision and recall; 0 where nothing is told or true."""
    return np.asarray(2 * counts.hits / np.maximum(counts.told + counts.true, 1))


def library_hits(starts_s: Sequence[float], onsets_s: Sequence[float], collar_s: float) -> int:
    """How many told events hit a true one, by `mir_eval`'s largest matching."""
    from mir_eval.util import match_events

    return len(match_events(np.array(onsets_s), np.array(starts_s), collar_s))
