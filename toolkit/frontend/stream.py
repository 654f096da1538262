"""`LogMelStream`: frames of audio that arrives in pieces of any length, equal to the frames of the whole.

Host-side: it gathers samples into whole hops, drops the frames before the audio, and closes the end as the whole
pass does. Not part of exported graphs: those call `LogMel.stream`.
Proved by tests/frontend/test_streaming.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from toolkit.frontend.log_mel import LogMel


@dataclass
class LogMelStream:
    """One running stream: push samples, take frames, flush at the end; then it is ready for the next signal.

    Args:
        front_end: makes the frames; streams may share it.
    """

    front_end: LogMel
    _state: torch.Tensor = field(init=False, repr=False)
    _waiting: NDArray[np.float32] = field(init=False, repr=False)
    _samples: int = field(init=False, default=0)
    _frames: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._reset()

    def push(self, samples: ArrayLike) -> NDArray[np.float32]:
        """Take samples [S], give the frames [n, F] they complete (n may be 0)."""
        new = np.asarray(samples, dtype=np.float32)
        self._samples += len(new)
        return self._advance(new)

    def flush(self) -> NDArray[np.float32]:
        """Give the remaining frames [n, F], zeros standing after the audio, and begin anew."""
        spec = self.front_end.spec
        total = spec.frames(self._samples)
        silence = (total + self.front_end.delay_frames) * spec.hop_samples - self._samples
        frames = self._advance(np.zeros(silence, dtype=np.float32))
        self._reset()
        return frames

    def _advance(self, new: NDArray[np.float32]) -> NDArray[np.float32]:
        hop = self.front_end.spec.hop_samples
        waiting = np.concatenate([self._waiting, new])
        whole = len(waiting) // hop * hop
        self._waiting = waiting[whole:]
        if whole == 0:
            return np.empty((0, self.front_end.spec.mel_bins), dtype=np.float32)
        with torch.inference_mode():
            frames, self._state = self.front_end.stream(torch.from_numpy(waiting[None, :whole]), self._state)
        begin = max(0, self.front_end.delay_frames - self._frames)
        self._frames += frames.shape[2]
        return np.asarray(frames[0, 0, begin:].numpy(), dtype=np.float32)

    def _reset(self) -> None:
        self._state = self.front_end.initial_state()
        self._waiting = np.empty(0, dtype=np.float32)
        self._samples = self._frames = 0
