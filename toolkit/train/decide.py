"""When a score counts as an event: for every subnet the thresholds, for every label the rest, and how well that does.

Streams are mixed from validation clips and heard by every subnet; each label is then fitted by itself, which is
`toolkit.train.thresholds`. Axis letters: S streams, D decisions, L labels. Proved by tests/train/test_decide.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from toolkit.frontend import LogMel
from toolkit.specs.recipe import Recipe
from toolkit.specs.run import LabelDecision, off_threshold
from toolkit.specs.space import SearchSpace, Subnet
from toolkit.supernet.norms import StoredNorms
from toolkit.supernet.supernet import Supernet
from toolkit.train.examples import Examples, Progress
from toolkit.train.metrics import Scores, average_precisions
from toolkit.train.stream_scores import stream_scores
from toolkit.train.streams import Stream, plan_streams
from toolkit.train.thresholds import LabelFit, Measured, stream_timing

SHAPE_SUBNETS = 3
"""Smoothing and hysteresis are fitted on so many subnets, from the smallest to the largest."""


@dataclass(frozen=True)
class EventFigures:
    """What the streams say of one subnet; figures are means over the calibrated labels, none where there are none."""

    thresholds: tuple[float, ...]
    event_f1: float | None
    false_alarms_per_hour: float | None

    @classmethod
    def of(cls, measured: Sequence[Measured], calibrated: Sequence[bool]) -> EventFigures:
        """Those of all labels together."""
        kept = [one for one, counts in zip(measured, calibrated, strict=True) if counts]
        return cls(
            tuple(one.threshold for one in measured),
            _mean([one.event_f1 for one in kept if one.event_f1 is not None], 4),
            _mean([one.false_alarms_per_hour for one in kept], 2),
        )


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
    heard = score_streams(net, norms, subnets, streams, on_progress)
    samples = spread(net.space, subnets, len(examples.labels))
    fits, measured = fit_labels(streams, heard, samples, examples, recipe, on_progress)
    largest = samples[-1].id
    precisions = average_precisions(scores[largest], examples.targets(examples.validation))
    labels = tuple(
        LabelDecision(
            label=label,
            threshold=best.threshold,
            off_threshold=off_threshold(best.threshold, fit.shape.off_ratio),
            smoothing_decisions=fit.shape.smoothing_decisions,
            calibrated=fit.calibrated,
            train_clips=examples.count(label, "train"),
            validation_clips=examples.count(label, "validation"),
            average_precision=precisions.get(column),
            event_f1=best.event_f1,
            false_alarms_per_hour=best.false_alarms_per_hour,
        )
        for column, (label, fit, best) in enumerate(zip(examples.labels, fits, measured[largest], strict=True))
    )
    return Decided(labels, figures_of(fits, measured), summary(streams, recipe))


def spread(space: SearchSpace, subnets: Sequence[Subnet], label_count: int) -> list[Subnet]:
    """The subnets that shapes are fitted on: from the smallest to the largest, which comes last."""
    by_size = sorted(subnets, key=lambda subnet: space.params(subnet, label_count))
    return [by_size[place] for place in sorted({round(at) for at in np.linspace(0, len(by_size) - 1, SHAPE_SUBNETS)})]


def fit_labels(
    streams: Sequence[Stream],
    heard: Mapping[str, NDArray[np.float32]],
    samples: Sequence[Subnet],
    examples: Examples,
    recipe: Recipe,
    on_progress: Progress,
) -> tuple[list[LabelFit], dict[str, list[Measured]]]:
    """The fit of each label, and by subnet id what it measures.

    Args:
        streams: what was heard.
        heard: scores [S, D, L] by subnet id.
        samples: the subnets among them that shapes are fitted on.
        examples: for labels and targets.
        recipe: for `false_alarms_per_hour`.
        on_progress: told how many labels are fitted.
    """
    positives = examples.targets(examples.validation).sum(axis=0)
    fits: list[LabelFit] = []
    measured: dict[str, list[Measured]] = {name: [] for name in heard}
    for column, label in enumerate(examples.labels):
        shaping = [heard[subnet.id][:, :, column] for subnet in samples]
        fits.append(LabelFit(label, streams, int(positives[column]), recipe.false_alarms_per_hour, shaping))
        for name, found in measured.items():
            found.append(fits[-1].measure(heard[name][:, :, column]))
        on_progress("fitting decisions", column + 1, len(examples.labels))
    return fits, measured


def figures_of(fits: Sequence[LabelFit], measured: Mapping[str, Sequence[Measured]]) -> dict[str, EventFigures]:
    """What all labels say together, by subnet id."""
    calibrated = [fit.calibrated for fit in fits]
    return {name: EventFigures.of(found, calibrated) for name, found in measured.items()}


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


def summary(streams: Sequence[Stream], recipe: Recipe) -> str:
    """What the figures rest on, in two sentences."""
    hours = sum(stream.seconds for stream in streams) / 3600
    events = sum(len(stream.events) for stream in streams)
    return (
        f"{len(streams)} streams, {hours:.1f} hours in all, hold {events} known events; thresholds are fitted for at "
        f"most {recipe.false_alarms_per_hour:g} false alarms an hour and label. An event counts as told when it is "
        f"told to begin within {stream_timing(streams[0]).collar_s:.2f} s of its onset."
    )


def _mean(figures: Sequence[float], places: int) -> float | None:
    return round(float(np.mean(figures)), places) if figures else None
