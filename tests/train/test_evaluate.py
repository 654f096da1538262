"""What a Run says of its subnets is what their weights do: average precision and activation ranges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from tests.supernet.built import known, log_mel
from tests.tiny_run import TINY
from toolkit.audio.dataset import load_dataset
from toolkit.specs.run import Run
from toolkit.supernet.norms import recalibrate
from toolkit.supernet.static import StaticNet
from toolkit.supernet.weights import load_weights
from toolkit.train.batches import Batches
from toolkit.train.decide import EventFigures
from toolkit.train.evaluate import RANGE_CROPS, activation_ranges, results_of, score_all
from toolkit.train.examples import Example, gather
from toolkit.train.metrics import average_precisions, mean_average_precision
from toolkit.train.train import calibration_frames

Floats = NDArray[np.float32]


@st.composite
def scored(draw: st.DrawFn) -> tuple[Floats, Floats]:
    """Scores, with many ties, and targets [N, 3]; the first label has a positive, the last has none."""
    count = draw(st.integers(1, 12))
    cells = st.lists(
        st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.9]), min_size=3, max_size=3), min_size=count, max_size=count
    )
    scores = np.array(draw(cells), dtype=np.float32)
    targets = (np.array(draw(cells)) > 0.3).astype(np.float32)
    targets[0, 0], targets[:, 2] = 1.0, 0.0
    return scores, targets


def by_hand(scores: Floats, targets: Floats) -> float:
    """Average precision: at each score from the top, the precision there times the recall won there."""
    found, precision, positives = 0.0, 0.0, targets.sum()
    for level in sorted(set(scores.tolist()), reverse=True):
        told = scores >= level
        hits = float(targets[told].sum())
        precision += (hits - found) / positives * hits / told.sum()
        found = hits
    return precision


@given(drawn=scored())
def test_average_precision_is_the_textbooks(drawn: tuple[Floats, Floats]) -> None:
    """Each label's figure equals the sum over its ranking; labels without a positive have none and do not count."""
    scores, targets = drawn
    found = average_precisions(scores, targets)
    wanted = {label: by_hand(scores[:, label], targets[:, label]) for label in range(3) if targets[:, label].any()}
    assert found.keys() == wanted.keys()
    assert 2 not in found
    assert list(found.values()) == pytest.approx(list(wanted.values()))
    assert mean_average_precision(scores, targets) == pytest.approx(sum(wanted.values()) / len(wanted))


@settings(max_examples=10)
@given(count=st.integers(1, 19), data=st.data())
def test_every_subnet_is_scored_on_every_clip(count: int, data: st.DataObject) -> None:
    """However many clips there are, each subnet's scores are those it gives clip by clip."""
    net, subnets, norms = known("ew-ed-22x")
    drawn = data.draw(st.lists(st.sampled_from(subnets), min_size=1, max_size=3, unique=True))
    clips = [
        Example(str(number), log_mel(1, 16, number)[0, 0].numpy().astype(np.float16), ()) for number in range(count)
    ]
    told: list[tuple[int, int]] = []
    scores = score_all(net, norms, drawn, clips, lambda done, total: told.append((done, total)))
    assert list(scores) == [subnet.id for subnet in drawn]
    for subnet in drawn:
        alone = [net(torch.from_numpy(clip.log_mel.astype(np.float32))[None, None], subnet, norms) for clip in clips]
        wanted = torch.sigmoid(torch.cat(alone)).numpy()
        np.testing.assert_allclose(scores[subnet.id], wanted, atol=1e-6)
    assert told[-1] == (count, count)


def test_ranges_are_the_least_and_greatest_activations() -> None:
    """Each tap's range is reached on the crops at hand, and nothing lies outside of it."""
    net, subnets, norms = known("ew-ed-xxx")
    static, frames = StaticNet.extract(net, subnets[77], norms), log_mel(5, 24, seed=6)
    with torch.no_grad():
        parts = [static.taps(frames[start : start + 1]) for start in range(5)]
    ranges = activation_ranges(static, frames)
    assert list(ranges) == list(parts[0])
    for tap, (least, greatest) in ranges.items():
        assert least == pytest.approx(min(float(part[tap].min()) for part in parts), abs=1e-5)
        assert greatest == pytest.approx(max(float(part[tap].max()) for part in parts), abs=1e-5)
    assert ranges["scale"][0] < 0 < ranges["scale"][1]


def test_a_result_joins_evaluation_ranges_and_event_figures() -> None:
    """Each subnet's line has the mAP of its own scores, its own ranges, and what the streams said of it."""
    net, subnets, norms = known("ew-ed-22x")
    pair = (subnets[0], subnets[-1])
    targets = np.eye(4, 5, dtype=np.float32)
    scores = {pair[0].id: targets, pair[1].id: 1 - targets}
    figures = {pair[0].id: EventFigures((0.3,) * 5, 0.8, 0.5), pair[1].id: EventFigures((0.9,) * 5, None, None)}
    frames = log_mel(3, 24, seed=2)
    results = results_of(net, norms, pair, scores, targets, frames, figures, lambda _done, _of: None)
    assert [result.subnet for result in results] == [subnet.id for subnet in pair]
    assert [result.mean_average_precision for result in results] == pytest.approx([1.0, 0.25])
    for result, subnet in zip(results, pair, strict=True):
        assert result.ranges == activation_ranges(StaticNet.extract(net, subnet, norms), frames)
        assert EventFigures(result.thresholds, result.event_f1, result.false_alarms_per_hour) == figures[subnet.id]


def test_a_run_tells_what_its_files_do(tiny_run: Path) -> None:
    """From the stored weights alone each subnet has the mAP that the Run names, computed apart from the training.

    Static networks, one at a time, on features computed anew, judged by scikit-learn.
    """
    run = Run.open(tiny_run)
    net, norms = load_weights(run)
    examples = gather(TINY, load_dataset(tiny_run.parent / "sounds"), lambda _what, _done, _total: None)
    frames = torch.from_numpy(np.stack([example.log_mel for example in examples.validation]).astype(np.float32))
    targets = examples.targets(examples.validation)
    for subnet in [*list(net.space.subnets())[::25], net.space.largest]:
        with torch.no_grad():
            scores = StaticNet.extract(net, subnet, norms)(frames[:, None]).numpy()
        wanted = average_precision_score(targets, scores, average="macro")
        assert run.result(subnet).mean_average_precision == pytest.approx(wanted, abs=1e-5)
    for decision, column, scored in zip(run.manifest.decisions, targets.T, scores.T, strict=True):
        assert decision.average_precision == pytest.approx(average_precision_score(column, scored))


def test_a_run_holds_the_statistics_and_ranges_of_every_subnet(tiny_run: Path) -> None:
    """Norms and ranges are those of the stored weights on the training's own calibration crops."""
    run = Run.open(tiny_run)
    net, norms = load_weights(run)
    examples = gather(TINY, load_dataset(tiny_run.parent / "sounds"), lambda _what, _done, _total: None)
    frames = calibration_frames(Batches(examples, TINY))
    every = list(net.space.subnets())
    anew = recalibrate(net, frames, every)
    assert anew.moments.keys() == norms.moments.keys()
    for path, (mean, variance) in anew.moments.items():
        np.testing.assert_allclose(norms.at(path)[0], mean, atol=1e-4, rtol=1e-4)
        np.testing.assert_allclose(norms.at(path)[1], variance, atol=1e-4, rtol=1e-4)
    for subnet in every[::25]:
        ranges = activation_ranges(StaticNet.extract(net, subnet, norms), frames[:RANGE_CROPS])
        stored = run.result(subnet).ranges
        assert list(stored) == list(ranges)
        np.testing.assert_allclose(list(stored.values()), list(ranges.values()), atol=1e-4, rtol=1e-4)
