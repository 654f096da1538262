"""`Watch`: what a training says of itself while it runs: a progress bar and TensorBoard's files.

Proved by tests/train/test_train.py.
"""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from torch.utils.tensorboard import SummaryWriter

from toolkit.progress import Progress

LATEST = 50
"""Steps that the rates are taken over."""
LOGS = "tensorboard"


class Watch(Protocol):
    """Is told of each step and of each look at validation."""

    def step(self, stage: str, step: int, steps: int, loss: float, clips: int) -> None:
        """After a step: `step` of `steps` are done, `clips` crops were in it."""
        ...

    def evaluated(self, stage: str, step: int, means: dict[str, float]) -> None:
        """Validation mAP by subnet id after a step."""
        ...


class Unwatched:
    """Says nothing."""

    def step(self, stage: str, step: int, steps: int, loss: float, clips: int) -> None:
        """Nothing."""

    def evaluated(self, stage: str, step: int, means: dict[str, float]) -> None:
        """Nothing."""


class Shown:
    """Bars on stderr, curves in `folder/tensorboard/STAGE`."""

    def __init__(self, folder: Path, progress: Progress) -> None:
        self._folder, self._progress = folder / LOGS, progress
        self._writers: dict[str, SummaryWriter] = {}
        self._moments: deque[tuple[float, int]] = deque(maxlen=LATEST)
        self._means = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for writer in self._writers.values():
            writer.close()

    def step(self, stage: str, step: int, steps: int, loss: float, clips: int) -> None:
        """Show loss, mAP and clips a second; log the loss and the rate."""
        if stage not in self._writers:
            self._moments.clear()
            self._means = ""
        writer = self._writer(stage, step)
        self._moments.append((time.monotonic(), clips))
        note = f"loss {loss:.4f}{self._means}"
        writer.add_scalar("loss", loss, step)
        if len(self._moments) > 1:
            (first, _), (last, _) = self._moments[0], self._moments[-1]
            rate = sum(count for _, count in list(self._moments)[1:]) / max(last - first, 1e-9)
            note += f", {rate:.0f} clips/s"
            writer.add_scalar("clips_per_second", rate, step)
        self._progress.count(stage, step, steps, note)

    def evaluated(self, stage: str, step: int, means: dict[str, float]) -> None:
        """Show and log validation mAP."""
        self._means = ", mAP " + " to ".join(f"{mean:.3f}" for mean in means.values())
        for subnet, mean in means.items():
            self._writer(stage, step).add_scalar(f"mAP/{subnet}", mean, step)

    def _writer(self, stage: str, step: int) -> SummaryWriter:
        if stage not in self._writers:
            # A resumed training repeats the steps since its checkpoint: what was logged of them is dropped.
            self._writers[stage] = SummaryWriter(str(self._folder / stage), purge_step=step)
        return self._writers[stage]
