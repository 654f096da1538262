"""`Listener`: samples that come in pieces of any length become decisions, one each hop. Events: `toolkit.events`.

    samples     |--- hop ---|--- hop ---|--- hop ---|-- rest, then zeros
    decisions               ^           ^           ^                  ^        ^        ^ (flush)

`flush` lets the window slide off the end of the audio hop by hop, so that the last event ends as any other does.
Any chunking gives the same decisions. Proved by tests/listen/test_listener.py.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator

import numpy as np

from toolkit.events.decoder import Decision
from toolkit.listen.steps import Step
from toolkit.specs.errors import UserError

_KEPT_TIMES = 4096


class Listener:
    """One running stream, in constant memory.

    Args:
        step: scores one hop.
        window_samples: audio behind one decision.
        hop_samples: audio between two decisions.
    """

    def __init__(self, step: Step, window_samples: int, hop_samples: int) -> None:
        if hop_samples > window_samples:
            raise UserError(f"a hop of {hop_samples} samples leaves gaps between windows of {window_samples}.")
        self._step, self._window, self._hop = step, window_samples, hop_samples
        self._waiting = np.empty(0, np.float32)
        self._end = self.heard = 0
        self.inference_seconds: deque[float] = deque(maxlen=_KEPT_TIMES)
        """Wall time of the latest steps."""

    @property
    def decisions(self) -> int:
        """How many there were."""
        return self._end // self._hop

    def push(self, samples: np.ndarray) -> list[Decision]:
        """Decisions that samples [S] complete, possibly none."""
        self.heard += len(samples)
        waiting = np.concatenate((self._waiting, samples.astype(np.float32, copy=False)))
        whole = len(waiting) // self._hop * self._hop
        self._waiting = waiting[whole:]
        return [self._decide(hop) for hop in waiting[:whole].reshape(-1, self._hop)]

    def flush(self) -> Iterator[Decision]:
        """The remaining decisions, silence following the audio until the last window that holds some of it."""
        while self.heard and self._end + self._hop - self._window < self.heard:
            hop = np.zeros(self._hop, np.float32)
            hop[: len(self._waiting)] = self._waiting
            self._waiting = self._waiting[:0]
            yield self._decide(hop)

    def _decide(self, hop: np.ndarray) -> Decision:
        started = time.perf_counter()
        scores = self._step(hop)
        self.inference_seconds.append(time.perf_counter() - started)
        if not np.isfinite(scores).all():
            raise UserError("the model gave scores that are not finite. Verify the bundle: python -m toolkit.verify")
        self._end += self._hop
        return Decision(self._end, min(self.heard, self._end), scores)
