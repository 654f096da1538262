"""`Watch`: what a training says of itself while it runs: a progress bar and TensorBoard's files.

Proved by tests/train/test_watch.py.
"""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

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


class Curves:
    """A file of TensorBoard's, written at once and by whoever calls: a kill loses nothing, a full disk is the caller's.

    Its own writer keeps two minutes of curves in memory and writes them in a thread.
    """

    def __init__(self, folder: Path, step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time():010.0f}.{socket.gethostname()}.{os.getpid()}"
        self._file = (folder / name).open("wb")
        self._records = RecordWriter(self._file)
        self._write(0, file_version="brain.Event:2")
        # A resumed training repeats the steps since its checkpoint: what was logged of them is dropped.
        self._write(step, session_log=SessionLog(status=SessionLog.START))

    def add(self, step: int, values: dict[str, float]) -> None:
        """A point of each curve."""
        points = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._write(step, summary=Summary(value=points))

    def close(self) -> None:
        """End the file; what could not be written was told when it was added."""
        with suppress(OSError):
            self._file.close()

    def _write(self, step: int, **content: Any) -> None:
        self._records.write(Event(wall_time=time.time(), step=step, **content).SerializeToString())
        self._file.flush()


class Shown:
    """Bars on stderr, curves in `folder/tensorboard/STAGE`."""

    def __init__(self, folder: Path, progress: Progress) -> None:
        self._folder, self._progress = folder / LOGS, progress
        self._curves: dict[str, Curves] = {}
        self._moments: deque[tuple[float, int]] = deque(maxlen=LATEST)
        self._means = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for curves in self._curves.values():
            curves.close()

    def step(self, stage: str, step: int, steps: int, loss: float, clips: int) -> None:
        """Show loss, mAP and clips a second; log the loss and the rate."""
        if stage not in self._curves:
            self._moments.clear()
            self._means = ""
        self._moments.append((time.monotonic(), clips))
        note = f"loss {loss:.4f}{self._means}"
        values = {"loss": loss}
        if len(self._moments) > 1:
            (first, _), (last, _) = self._moments[0], self._moments[-1]
            rate = sum(count for _, count in list(self._moments)[1:]) / max(last - first, 1e-9)
            note += f", {rate:.0f} clips/s"
            values["clips_per_second"] = rate
        self._curves_of(stage, step).add(step, values)
        self._progress.count(stage, step, steps, note)

    def evaluated(self, stage: str, step: int, means: dict[str, float]) -> None:
        """Show and log validation mAP."""
        self._means = ", mAP " + " to ".join(f"{mean:.3f}" for mean in means.values())
        self._curves_of(stage, step).add(step, {f"mAP/{subnet}": mean for subnet, mean in means.items()})

    def _curves_of(self, stage: str, step: int) -> Curves:
        if stage not in self._curves:
            self._curves[stage] = Curves(self._folder / stage, step)
        return self._curves[stage]
