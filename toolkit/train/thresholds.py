"""Threshold, hysteresis and smoothing of one label, fitted on what subnets score on validation streams.

The threshold is that of the best event-based F1 among those which, as all higher ones, raise no more false alarms than
asked for; where several are as good, the middle one. Smoothing and the ratio of off to on threshold are fitted on some
subnets and shared by all. What is kept is fitted on all streams; the figures are cross-fitted: what one half of the
streams says, measured on the other, both ways. Axis letters: S streams, D decisions, C columns (one shape each),
K thresholds. Proved by tests/train/test_thresholds.py.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolkit.events.decoder import fewest_decisions
from toolkit.events.sweep import NONE, smooth, sweep
from toolkit.specs.run import off_threshold
from toolkit.specs.space import CLIP_SECONDS, STREAM_CHUNK_FRAMES
from toolkit.train.event_counts import Counts, Span, Timing, count, f1, library_hits
from toolkit.train.streams import HALVES, Stream

LEAST_POSITIVES = 5
DEFAULT_THRESHOLD = 0.5
THRESHOLDS = tuple(round(1 / (1 + math.exp(-logit / 4)), 4) for logit in range(-8, 37))
"""0.1192 to 0.9999 in even steps of the logit; 0.5 is one. No lower one: a listener hears sounds that no stream has."""
ALL = len(HALVES)
"""The fit on both halves."""


class Shape(NamedTuple):
    """What is shared by all subnets: decisions that a median is over, off threshold by threshold."""

    smoothing_decisions: int
    off_ratio: float


SHAPES = tuple(Shape(n, ratio) for n, ratio in itertools.product((1, 3, 5), (0.8, 0.6, 0.4)))
"""The first is the default, and taken where others are no better."""


@dataclass(frozen=True)
class Measured:
    """The threshold for one subnet, and how it does; no F1 where there is no event."""

    threshold: float
    event_f1: float | None
    false_alarms_per_hour: float


class LabelFit:
    """The decision of one label.

    Args:
        label: which.
        streams: of equal length, in both halves.
        positives: validation clips that hold it.
        false_alarms_per_hour: how many are allowed.
        samples: scores [S, D] of some subnets, for the shape.
    """

    def __init__(
        self,
        label: str,
        streams: Sequence[Stream],
        positives: int,
        false_alarms_per_hour: float,
        samples: Sequence[NDArray[np.float32]],
    ) -> None:
        self._timing = stream_timing(streams[0])
        self._truth: list[list[Span]] = [
            [(event.onset_s, event.offset_s) for event in stream.events if event.label == label] for stream in streams
        ]
        halves = [[number for number, stream in enumerate(streams) if stream.half == half] for half in HALVES]
        self._parts = (*halves, list(range(len(streams))))
        """Numbers of the streams of each fit."""
        self._hours = [sum(streams[number].seconds for number in part) / 3600 for part in self._parts]
        self._allowed = [math.floor(false_alarms_per_hour * hours) for hours in self._hours]
        in_both = all(any(self._truth[number] for number in half) for half in halves)
        self.calibrated = positives >= LEAST_POSITIVES and in_both
        """Otherwise there is too little to fit on, and shape and threshold are the default ones."""
        self._shapes = self._best_shapes(samples) if self.calibrated else [SHAPES[0]] * len(self._parts)

    @property
    def shape(self) -> Shape:
        """That of the fit on all streams."""
        return self._shapes[ALL]

    def measure(self, scores: NDArray[np.float32]) -> Measured:
        """The threshold that is fitted on all of a subnet's scores [S, D], and its cross-fitted figures."""
        events, counts = self._count(scores, self._shapes)
        at = [THRESHOLDS.index(DEFAULT_THRESHOLD)] * len(self._parts)
        if self.calibrated:
            at = [self._places(part, counts)[part] for part in range(len(self._parts))]
        hits = told = alarms = 0
        for fitted, other in zip(HALVES, reversed(HALVES), strict=True):
            for stream in self._parts[other]:
                hits += self._hits(events[stream, :, fitted, at[fitted]], self._truth[stream])
                told += int(counts.told[stream, fitted, at[fitted]])
                alarms += int(counts.false_alarms[stream, fitted, at[fitted]])
        true = sum(len(spans) for spans in self._truth)
        return Measured(
            threshold=THRESHOLDS[at[ALL]],
            event_f1=round(2 * hits / (told + true), 4) if true else None,
            false_alarms_per_hour=round(alarms / self._hours[ALL], 2),
        )

    def _best_shapes(self, samples: Sequence[NDArray[np.float32]]) -> list[Shape]:
        """For each fit the shape of the best F1, summed over the samples."""
        reached = np.zeros((len(self._parts), len(SHAPES)))
        for scores in samples:
            _, counts = self._count(scores, SHAPES)
            for part, streams in enumerate(self._parts):
                reached[part] += f1(counts.over(streams))[range(len(SHAPES)), self._places(part, counts)]
        return [SHAPES[winner] for winner in reached.argmax(axis=1)]

    def _count(self, scores: NDArray[np.float32], shapes: Sequence[Shape]) -> tuple[NDArray[np.int16], Counts]:
        """Events [S, D, C, K] with each shape, and their counts."""
        smoothed = smooth(np.stack([scores] * len(shapes), axis=-1), [shape.smoothing_decisions for shape in shapes])
        off = np.array([[off_threshold(on, shape.off_ratio) for on in THRESHOLDS] for shape in shapes])
        fewest = fewest_decisions(self._timing.window_samples, self._timing.hop_samples)
        events = sweep(smoothed, np.array(THRESHOLDS), off, fewest)
        return events, count(events, self._truth, self._timing)

    def _places(self, part: int, counts: Counts) -> list[int]:
        """For each column the place in THRESHOLDS that is fitted on a part of the streams."""
        summed = counts.over(self._parts[part])
        return [
            middle_of_best(reached, alarms <= self._allowed[part])
            for reached, alarms in zip(f1(summed), summed.false_alarms, strict=True)
        ]

    def _hits(self, last: NDArray[np.int16], spans: Sequence[Span]) -> int:
        """Events of one stream [D] that hit a true one."""
        first = np.flatnonzero(last != NONE)
        start_s, _ = self._timing.seconds(first, last[first])
        return library_hits(start_s.tolist(), [onset_s for onset_s, _ in spans], self._timing.collar_s)


def stream_timing(stream: Stream) -> Timing:
    """What a decision is in a stream."""
    spec, hop = stream.front_end, STREAM_CHUNK_FRAMES * stream.front_end.hop_samples
    return Timing(CLIP_SECONDS * spec.sample_rate_hz, hop, spec.sample_rate_hz, stream.chunks * hop)


def middle_of_best(values: NDArray[np.float64], permitted: NDArray[np.bool_]) -> int:
    """The middle of the longest run of the best values from where all are permitted; the last place if none is."""
    lowest = len(values) - int(np.logical_and.accumulate(permitted[::-1]).sum())
    if lowest == len(values):
        return lowest - 1
    best = values[lowest:] >= values[lowest:].max() - 1e-9
    runs = [list(run) for good, run in itertools.groupby(range(len(best)), key=lambda place: best[place]) if good]
    longest = max(runs, key=len)
    return lowest + longest[len(longest) // 2]
