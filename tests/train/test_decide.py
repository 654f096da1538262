"""Decisions are fitted on streams for every subnet, and say what they rest on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.supernet.built import MEL_BINS, known, log_mel
from toolkit.audio.clip import Clip
from toolkit.events.decoder import Decision, Event, EventDecoder
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.recipe import Recipe
from toolkit.specs.run import LabelDecision
from toolkit.train.card import label_table
from toolkit.train.decide import Decided, EventFigures, decide, score_streams
from toolkit.train.examples import Example, Examples
from toolkit.train.metrics import Scores
from toolkit.train.streams import Stream, plan_streams
from toolkit.train.thresholds import LEAST_POSITIVES, THRESHOLDS, Measured, stream_timing

COUNTS = {"Bell": LEAST_POSITIVES, "Cough": 8, "Dog": LEAST_POSITIVES - 1, "Rain": 1, "Siren": LEAST_POSITIVES}
"""Validation clips of each label; all those of Siren are of one recording."""
UNCALIBRATED = ("Dog", "Rain", "Siren")
RECIPE = Recipe(name="test", base_width=8, front_end=FrontEndSpec(mel_bins=MEL_BINS), false_alarms_per_hour=30)
NET, EVERY, NORMS = known("ew-ed-22x")
SUBNETS = (EVERY[0], EVERY[77], EVERY[-1])


@pytest.fixture(scope="module")
def examples() -> Examples:
    """Clips of noise, three seconds each, and seven more recordings of Dog to train on."""
    validation = []
    for number, label in enumerate(label for label, count in COUNTS.items() for _ in range(count)):
        heard = np.full((1000, MEL_BINS), -100, np.float16)
        heard[:300] = log_mel(1, 300, number)[0, 0].numpy() + 20
        group = "a siren" if label == "Siren" else f"recording {number}"
        validation.append(Example(f"{number}", heard, (label,), group=group))
    trained = [Clip(Path("x"), "x", ("Dog",), "train", "x", 1) for _ in range(7)]
    judged = [Clip(Path("x"), each.name, each.labels, "validation", each.group, 1) for each in validation]
    return Examples(tuple(COUNTS), (), tuple(validation), (*trained, *judged), "0" * 16, 0)


@pytest.fixture(scope="module")
def scores(examples: Examples) -> dict[str, Scores]:
    """Invented scores on the validation clips: the largest subnet is always right, the others are always wrong."""
    targets = examples.targets(examples.validation)
    return {subnet.id: targets if subnet == NET.space.largest else 1 - targets for subnet in SUBNETS}


@pytest.fixture(scope="module")
def streams(examples: Examples) -> tuple[Stream, ...]:
    """The streams that `decide` plans."""
    return plan_streams(examples, RECIPE)


@pytest.fixture(scope="module")
def decided(examples: Examples, scores: dict[str, Scores]) -> Decided:
    """The decisions of three subnets."""
    return decide(NET, NORMS, SUBNETS, examples, RECIPE, scores, lambda _what, _done, _of: None)


def test_every_label_and_subnet_is_decided(decided: Decided) -> None:
    """There is a decision for each label, in order, and a threshold of each subnet for each of them."""
    assert [decision.label for decision in decided.labels] == list(COUNTS)
    assert list(decided.subnets) == [subnet.id for subnet in SUBNETS]
    for figures in decided.subnets.values():
        assert len(figures.thresholds) == len(COUNTS)
        assert set(figures.thresholds) <= set(THRESHOLDS)


def test_a_label_with_too_few_positives_is_not_calibrated(decided: Decided) -> None:
    """Fewer than five clips, or clips of a single recording: marked, and at the default in every subnet."""
    for column, decision in enumerate(decided.labels):
        assert decision.calibrated == (decision.label not in UNCALIBRATED)
        if not decision.calibrated:
            assert (decision.threshold, decision.off_threshold, decision.smoothing_decisions) == (0.5, 0.4, 1)
            assert {figures.thresholds[column] for figures in decided.subnets.values()} == {0.5}


def test_the_card_marks_labels_that_are_not_calibrated(decided: Decided) -> None:
    """The last column of its table says so of each label."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in label_table(decided.labels)]
    assert rows[0][-1] == "calibrated"
    assert {row[0]: row[-1] for row in rows[2:]} == {
        label: "no" if label in UNCALIBRATED else "yes" for label in COUNTS
    }


def test_decisions_say_what_they_rest_on(decided: Decided) -> None:
    """Clips to train and to validate, and the largest subnet's thresholds and average precision."""
    largest = decided.subnets[NET.space.largest.id]
    assert {decision.label: decision.validation_clips for decision in decided.labels} == COUNTS
    assert {decision.label: decision.train_clips for decision in decided.labels} == dict.fromkeys(COUNTS, 0) | {
        "Dog": 7
    }
    assert tuple(decision.threshold for decision in decided.labels) == largest.thresholds
    assert [decision.average_precision for decision in decided.labels] == [1.0] * len(COUNTS)


def test_a_subnets_figures_are_means_over_the_calibrated_labels(decided: Decided) -> None:
    """Those of the largest are the means of what its labels' decisions say."""
    largest = decided.subnets[NET.space.largest.id]
    kept = [decision for decision in decided.labels if decision.calibrated]
    f1s, alarms = zip(*((one.event_f1, one.false_alarms_per_hour) for one in kept), strict=True)
    assert largest.event_f1 == pytest.approx(np.mean(f1s), abs=1e-4)
    assert largest.false_alarms_per_hour == pytest.approx(np.mean(alarms), abs=0.011)


def test_without_a_calibrated_label_there_are_no_figures() -> None:
    """There is nothing to take a mean of; the thresholds stand there all the same."""
    found = [Measured(0.5, 0.9, 3.0), Measured(0.5, None, 1.0)]
    assert EventFigures.of(found, [False, False]) == EventFigures((0.5, 0.5), None, None)
    assert EventFigures.of(found, [True, True]) == EventFigures((0.5, 0.5), 0.9, 2.0)


def test_the_summary_counts_the_streams(decided: Decided, streams: tuple[Stream, ...]) -> None:
    """Streams, events and the false alarms that are asked for stand in whole sentences."""
    events = sum(len(stream.events) for stream in streams)
    assert decided.summary.startswith(f"{len(streams)} streams, ")
    assert f"hold {events} known events" in decided.summary
    assert "at most 30 false alarms an hour and label" in decided.summary
    assert decided.summary.endswith("begin within 2.88 s of its onset.")


def told(rule: LabelDecision, heard: Scores, stream: Stream) -> list[Event]:
    """What a listener with this decision tells of a stream with scores [D]."""
    timing = stream_timing(stream)
    hears = EventDecoder([rule], timing.window_samples, timing.hop_samples, timing.sample_rate_hz)
    events = []
    for number, score in enumerate(heard, start=1):
        end = number * timing.hop_samples
        events += hears.push(Decision(end, end, np.array([score])))
    return events + hears.flush()


def false_alarms(events: Sequence[Event], stream: Stream, label: str) -> int:
    """Events that lie more than a collar from all true ones of the label."""
    collar_s = stream_timing(stream).collar_s
    true = [(event.onset_s - collar_s, event.offset_s + collar_s) for event in stream.events if event.label == label]
    return sum(all(event.start_s >= end or event.end_s <= start for start, end in true) for event in events)


def test_listening_by_the_decisions_keeps_to_the_false_alarms(decided: Decided, streams: tuple[Stream, ...]) -> None:
    """A listener that obeys them raises no more on the streams than were allowed, with any subnet."""
    heard = score_streams(NET, NORMS, SUBNETS, streams, lambda _what, _done, _of: None)
    allowed = RECIPE.false_alarms_per_hour * sum(stream.seconds for stream in streams) / 3600
    alarms: Counter[tuple[str, str]] = Counter()
    for subnet in SUBNETS:
        for column, decision in enumerate(decided.labels):
            rule = decision.at(decided.subnets[subnet.id].thresholds[column])
            for number, stream in enumerate(streams):
                events = told(rule, heard[subnet.id][number, :, column], stream)
                alarms[subnet.id, decision.label] += false_alarms(events, stream, decision.label)
    for (subnet_id, label), count in alarms.items():
        threshold = decided.subnets[subnet_id].thresholds[list(COUNTS).index(label)]
        assert count <= allowed or threshold == THRESHOLDS[-1] or label in UNCALIBRATED
    assert max(alarms.values()) > 0, "there was something to keep to"
