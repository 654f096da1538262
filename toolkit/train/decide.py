"""When a score counts as an event: thresholds, hysteresis and smoothing of each label, fitted on validation streams.

For each label and subnet the threshold of the best event-based F1 among those that raise no more false alarms than
asked for; where several are as good, the middle one. Smoothing and the ratio of off to on threshold are fitted on
three subnets and shared by all. What is kept is fitted on all streams; the figures are cross-fitted: what one half of
the streams says, measured on the other, both ways. Axis letters: S streams, D decisions, L labels, C columns (a label
with a shape), K thresholds. Proved by tests/train/test_decide.py.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from toolkit.events.decoder import fewest_decisions
from toolkit.events.sweep import NONE, smooth, sweep
from toolkit.frontend import LogMel
from toolkit.specs.recipe import Recipe
from toolkit.specs.run import LabelDecision, off_threshold
from toolkit.specs.space import CLIP_SECONDS, STREAM_CHUNK_FRAMES, Subnet
from toolkit.supernet.norms import StoredNorms
from toolkit.supernet.supernet import Supernet
from toolkit.train.event_counts import Counts, Span, Timing, count, f1, library_hits
from toolkit.train.examples import Examples, Progress
from toolkit.train.metrics import Scores, average_precisions
from toolkit.train.stream_scores import stream_scores
from toolkit.train.streams import HALVES, Stream, plan_streams

LEAST_POSITIVES = 5
DEFAULT_THRESHOLD = 0.5
THRESHOLDS = tuple(round(1 / (1 + math.exp(-logit / 4)), 4) for logit in range(-8, 37))
"""0.1192 to 0.9999 in even steps of the logit; 0.5 is one. No lower one: a listener hears sounds that no stream has."""
SHAPE_SUBNETS = 3
ALL = len(HALVES)
"""The fit on both halves."""


class Shape(NamedTuple):
    """What is shared by all subnets: decisions that a median is over, off threshold by threshold."""

    smoothing_decisions: int
    off_ratio: float


SHAPES = tuple(Shape(n, ratio) for n, ratio in itertools.product((1, 3, 5), (0.8, 0.6, 0.4)))
"""The first is the default, and taken where others are no better."""


@dataclass(frozen=True)
class EventFigures:
    """What the streams say of one subnet; figures are means over the calibrated labels, none where there are none."""

    thresholds: tuple[float, ...]
    event_f1: float | None
    false_alarms_per_hour: float | None


@dataclass(frozen=True)
class Decided:
    """Decisions of the labels at the largest subnet's thresholds, every subnet's figures, and what they rest on."""

    labels: tuple[LabelDecision, ...]
    subnets: dict[str, EventFigures]
    summary: str


def decide(
    net: Supernet,
    norms: StoredNorms,
    subnets: Sequence[Subnet],
    examples: Examples,
    recipe: Recipe,
    scores: Mapping[str, Scores],
    on_progress: Progress,
) -> Decided:
    """Fit the decisions of every subnet.

    Args:
        net, norms, subnets: the trained network, and which of it.
        examples: whose validation clips make the streams.
        recipe: for `false_alarms_per_hour`, front end and seed.
        scores: [N, L] of each subnet on the validation clips.
        on_progress: called with what is done, how much, and of how much.
    """
    streams = plan_streams(examples, recipe)
    by_size = sorted(subnets, key=lambda subnet: net.space.params(subnet, len(examples.labels), recipe.front_end))
    heard = score_streams(net, norms, subnets, streams, on_progress)
    positives = examples.targets(examples.validation).sum(axis=0).astype(int)
    fit = Fit(streams, examples.labels, positives, recipe.false_alarms_per_hour)
    spread = {by_size[round(place)].id for place in np.linspace(0, len(by_size) - 1, SHAPE_SUBNETS)}
    fit.choose_shapes([heard[name] for name in sorted(spread)])
    measured = {}
    for number, subnet in enumerate(subnets, start=1):
        measured[subnet.id] = fit.measure(heard[subnet.id])
        on_progress("fitting decisions", number, len(subnets))
    largest = by_size[-1].id
    precisions = average_precisions(scores[largest], examples.targets(examples.validation))
    labels = tuple(
        LabelDecision(
            label=label,
            threshold=found.threshold,
            off_threshold=off_threshold(found.threshold, fit.shape(ALL, column).off_ratio),
            smoothing_decisions=fit.shape(ALL, column).smoothing_decisions,
            calibrated=bool(fit.calibrated[column]),
            train_clips=examples.count(label, "train"),
            validation_clips=int(positives[column]),
            average_precision=precisions.get(column),
            event_f1=found.event_f1,
            false_alarms_per_hour=found.false_alarms_per_hour,
        )
        for column, (label, found) in enumerate(zip(examples.labels, measured[largest], strict=True))
    )
    return Decided(labels, {name: fit.figures(found) for name, found in measured.items()}, fit.summary())


def score_streams(
    net: Supernet,
    norms: StoredNorms,
    subnets: Sequence[Subnet],
    streams: Sequence[Stream],
    on_progress: Progress,
) -> dict[str, NDArray[np.float32]]:
    """Scores [S, D, L] of each subnet; one stream is in memory at a time, and 4 bytes a score."""
    delay = LogMel(streams[0].front_end).delay_frames
    shape = (len(streams), streams[0].chunks, net.head.out_features)
    heard = {subnet.id: np.empty(shape, np.float32) for subnet in subnets}
    for number, stream in enumerate(streams):
        for subnet, scores in stream_scores(net, norms, subnets, torch.from_numpy(stream.mix()), delay):
            heard[subnet.id][number] = scores.numpy()
        on_progress("hearing streams", number + 1, len(streams))
    return heard


@dataclass(frozen=True)
class Measured:
    """One label of one subnet: the threshold, and how it does."""

    threshold: float
    event_f1: float | None
    false_alarms_per_hour: float


class Fit:
    """Decisions fitted on the scores of streams.

    Args:
        streams: in both halves.
        labels: of the scores.
        positives: validation clips of each label.
        false_alarms_per_hour: how many are allowed, for each label.
    """

    def __init__(
        self,
        streams: Sequence[Stream],
        labels: Sequence[str],
        positives: Sequence[int] | NDArray[np.int_],
        false_alarms_per_hour: float,
    ) -> None:
        spec = streams[0].front_end
        hop = STREAM_CHUNK_FRAMES * spec.hop_samples
        self.streams, self.labels = streams, labels
        self.timing = Timing(CLIP_SECONDS * spec.sample_rate_hz, hop, spec.sample_rate_hz, streams[0].chunks * hop)
        self.truth: list[list[list[Span]]] = [
            [[(event.onset_s, event.offset_s) for event in stream.events if event.label == label] for label in labels]
            for stream in streams
        ]
        self.halves = [[number for number, stream in enumerate(streams) if stream.half == half] for half in HALVES]
        self.parts = [*self.halves, list(range(len(streams)))]
        """Numbers of the streams of each fit."""
        self.hours = [sum(streams[number].seconds for number in part) / 3600 for part in self.parts]
        self.allowed = [math.floor(false_alarms_per_hour * hours) for hours in self.hours]
        self.rate = false_alarms_per_hour
        in_both = [all(any(self.truth[s][c] for s in half) for half in self.halves) for c in range(len(labels))]
        self.calibrated = (np.array(positives) >= LEAST_POSITIVES) & np.array(in_both)
        self.shapes: list[list[Shape]] = [[SHAPES[0]] * len(labels) for _ in self.parts]

    def shape(self, part: int, label: int) -> Shape:
        """The shape that was fitted on some streams."""
        return self.shapes[part][label]

    def choose_shapes(self, heard: Sequence[NDArray[np.float32]]) -> None:
        """For each fit and calibrated label the shape of the best F1, summed over some subnets' scores [S, D, L]."""
        every = range(len(self.labels))
        best = np.zeros((len(SHAPES), len(self.parts), len(self.labels)))
        for number, shape in enumerate(SHAPES):
            for scores in heard:
                _, counts = self._count(scores, [(label, shape) for label in every])
                for part, streams in enumerate(self.parts):
                    summed = counts.over(streams)
                    reached, chosen = f1(summed), self._thresholds(part, summed)
                    best[number, part] += reached[every, chosen]
        for part in range(len(self.parts)):
            winners = best[:, part].argmax(axis=0)
            self.shapes[part] = [SHAPES[winners[label]] if self.calibrated[label] else SHAPES[0] for label in every]

    def measure(self, scores: NDArray[np.float32]) -> list[Measured]:
        """Thresholds fitted on all of a subnet's scores [S, D, L], and the cross-fitted figures of each label."""
        columns = list(dict.fromkeys((label, part[label]) for label in range(len(self.labels)) for part in self.shapes))
        events, counts = self._count(scores, columns)
        chosen = [self._thresholds(part, counts.over(streams)) for part, streams in enumerate(self.parts)]
        default = THRESHOLDS.index(DEFAULT_THRESHOLD)
        measured = []
        for label in range(len(self.labels)):
            hits = told = alarms = true = 0
            for fitted, other in zip(HALVES, reversed(HALVES), strict=True):
                column = columns.index((label, self.shapes[fitted][label]))
                at = chosen[fitted][column] if self.calibrated[label] else default
                for stream in self.halves[other]:
                    hits += self._hits(events[stream, :, column, at], self.truth[stream][label])
                    told += int(counts.told[stream, column, at])
                    alarms += int(counts.false_alarms[stream, column, at])
                    true += len(self.truth[stream][label])
            at = chosen[ALL][columns.index((label, self.shapes[ALL][label]))] if self.calibrated[label] else default
            figure = 2 * hits / (told + true) if true else None
            measured.append(Measured(THRESHOLDS[at], _rounded(figure), round(alarms / self.hours[ALL], 2)))
        return measured

    def figures(self, measured: Sequence[Measured]) -> EventFigures:
        """The same of all labels together."""
        kept = [one for one, calibrated in zip(measured, self.calibrated, strict=True) if calibrated]
        figures = [one.event_f1 for one in kept if one.event_f1 is not None]
        return EventFigures(
            tuple(one.threshold for one in measured),
            _rounded(float(np.mean(figures))) if figures else None,
            round(float(np.mean([one.false_alarms_per_hour for one in kept])), 2) if kept else None,
        )

    def summary(self) -> str:
        """What the figures rest on, in two sentences."""
        total = sum(len(stream.events) for stream in self.streams)
        return (
            f"{len(self.streams)} streams, {self.hours[ALL]:.1f} hours in all, hold {total} known events; thresholds "
            f"are fitted for at most {self.rate:g} false alarms an hour and label. An event counts as told when it is "
            f"told to begin within {self.timing.collar_s:.2f} s of its onset."
        )

    def _count(
        self, scores: NDArray[np.float32], columns: Sequence[tuple[int, Shape]]
    ) -> tuple[NDArray[np.int16], Counts]:
        """Events [S, D, C, K] of labels with a shape, and their counts."""
        smoothed = smooth(scores[:, :, [label for label, _ in columns]], [s.smoothing_decisions for _, s in columns])
        off = np.array([[off_threshold(on, shape.off_ratio) for on in THRESHOLDS] for _, shape in columns])
        fewest = fewest_decisions(self.timing.window_samples, self.timing.hop_samples)
        events = sweep(smoothed, np.tile(THRESHOLDS, (len(columns), 1)), off, fewest)
        truth = [[spans[label] for label, _ in columns] for spans in self.truth]
        return events, count(events, truth, self.timing)

    def _thresholds(self, part: int, counts: Counts) -> list[int]:
        """For each column the place in THRESHOLDS that is fitted on counts [C, K]."""
        reached = f1(counts)
        return [
            middle_of_best(own, alarms <= self.allowed[part])
            for own, alarms in zip(reached, counts.false_alarms, strict=True)
        ]

    def _hits(self, last: NDArray[np.int16], spans: Sequence[Span]) -> int:
        """Events of one stream [D] that hit a true one."""
        first = np.flatnonzero(last != NONE)
        if not len(first) or not spans:
            return 0
        start_s, _ = self.timing.seconds(first, last[first])
        return library_hits(start_s.tolist(), [onset_s for onset_s, _ in spans], self.timing.collar_s)


def middle_of_best(values: NDArray[np.float64], permitted: NDArray[np.bool_]) -> int:
    """The middle of the longest run of the best permitted values; the last place where none is permitted."""
    if not permitted.any():
        return len(values) - 1
    best = permitted & (values >= values[permitted].max() - 1e-9)
    runs = [list(run) for good, run in itertools.groupby(range(len(values)), key=lambda place: best[place]) if good]
    longest = max(runs, key=len)
    return longest[len(longest) // 2]


def _rounded(figure: float | None) -> float | None:
    return None if figure is None else round(figure, 4)
