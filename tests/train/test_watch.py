"""Curves: TensorBoard reads what a training logged, whatever became of the training."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.limits import files_end_at
from toolkit.progress import Progress
from toolkit.train.watch import LOGS, Shown

STEPS = 9


def watch(folder: Path, steps: Sequence[int], stage: str = "largest", means: dict[str, float] | None = None) -> Shown:
    """A watch that was told of some steps, the loss of step n being 1 / n."""
    shown = Shown(folder, Progress())
    for step in steps:
        shown.step(stage, step, STEPS, 1 / step, clips=4)
        if means and step % 2 == 0:
            shown.evaluated(stage, step, means)
    return shown


def curves(folder: Path, stage: str = "largest") -> dict[str, dict[int, float]]:
    """By name and step, as TensorBoard shows them."""
    read = EventAccumulator(str(folder / LOGS / stage))
    read.Reload()
    return {tag: {point.step: point.value for point in read.Scalars(tag)} for tag in read.Tags()["scalars"]}


def test_tensorboard_reads_the_curves(tmp_path: Path) -> None:
    """Loss and rate of every step and mAP of every look, before the training ends, each stage apart."""
    shown = watch(tmp_path, range(1, 5), means={"3-6": 0.25, "8-16": 0.75})
    found = curves(tmp_path)
    assert found.keys() == {"loss", "clips_per_second", "mAP/3-6", "mAP/8-16"}
    assert found["loss"] == pytest.approx({step: 1 / step for step in range(1, 5)})
    assert found["mAP/8-16"] == {2: 0.75, 4: 0.75}
    assert list(found["clips_per_second"]) == [2, 3, 4]
    assert all(0 < rate < math.inf for rate in found["clips_per_second"].values())
    with shown:
        shown.step("supernet", 1, STEPS, 0.5, clips=4)
    assert curves(tmp_path, "supernet") == {"loss": {1: 0.5}}
    assert curves(tmp_path) == found


class Bars(Progress):
    """Keeps what is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[tuple[str, int, int, str]] = []

    def count(self, what: str, done: int, total: int, note: str = "") -> None:
        """Keep it."""
        self.shown.append((what, done, total, note))


def test_the_bar_tells_loss_rate_and_mean(tmp_path: Path) -> None:
    """Each stage has a bar; it says the loss, the last mAP of the subnets looked at, and clips a second."""
    bars = Bars()
    with Shown(tmp_path, bars) as shown:
        shown.step("largest", 1, STEPS, 0.75, clips=4)
        shown.evaluated("largest", 1, {"3-6": 0.25, "8-16": 0.5})
        shown.step("largest", 2, STEPS, 0.5, clips=4)
        shown.step("supernet", 1, STEPS, 0.25, clips=4)
    (first, second, other) = bars.shown
    assert first == ("largest", 1, STEPS, "loss 0.7500")
    assert second[:3] == ("largest", 2, STEPS)
    assert re.fullmatch(r"loss 0\.5000, mAP 0\.250 to 0\.500, \d+ clips/s", second[3])
    assert other == ("supernet", 1, STEPS, "loss 0.2500")


def test_a_resumed_training_goes_on_with_its_curves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps that are repeated since the checkpoint stand there once, as they were the second time."""
    monkeypatch.setattr("time.time", lambda: 1e9)
    with watch(tmp_path, range(1, 6), means={"8-16": 0.5}):
        pass
    monkeypatch.setattr("time.time", lambda: 1e9 + 1)
    with watch(tmp_path, range(4, 8), means={"8-16": 0.75}):
        found = curves(tmp_path)
    assert found["loss"] == pytest.approx({step: 1 / step for step in range(1, 8)})
    assert found["mAP/8-16"] == {2: 0.5, 4: 0.75, 6: 0.75}


def test_a_full_disk_is_an_error_of_the_step(tmp_path: Path) -> None:
    """It is raised where the step is logged, once; closing says nothing, and no thread of TensorBoard's does."""
    shown = watch(tmp_path, [1])
    with files_end_at(1), shown, pytest.raises(OSError, match="File too large"):
        shown.step("largest", 2, STEPS, 0.5, clips=4)
    assert curves(tmp_path)["loss"] == {1: 1.0}
