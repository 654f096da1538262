"""Log-mel in float64 numpy, straight from its definition, and how far other features are from it.

Not fast and not for training. Proved by tests/frontend/test_reference.py, against librosa.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from toolkit.frontend.mel import mel_filters
from toolkit.specs.front_end import FrontEndSpec


def reference_mel_power(waveform: ArrayLike, spec: FrontEndSpec) -> NDArray[np.float64]:
    """Mel power [..., T, F] of samples [..., S] at `spec.sample_rate_hz`, without logarithm and floor."""
    samples = np.asarray(waveform, dtype=np.float64)
    window, hop, frames = spec.window_samples, spec.hop_samples, spec.frames(samples.shape[-1])
    padding = [(0, 0)] * (samples.ndim - 1) + [(window // 2, window + hop)]
    padded = np.pad(samples, padding)
    framed = np.lib.stride_tricks.sliding_window_view(padded, window, axis=-1)[..., : frames * hop : hop, :]
    power = np.abs(np.fft.rfft(framed * hann(window), axis=-1)) ** 2
    return np.asarray(power @ mel_filters(spec).T, dtype=np.float64)


def reference_log_mel(waveform: ArrayLike, spec: FrontEndSpec) -> NDArray[np.float64]:
    """Log-mel [..., T, F] in dB of samples [..., S]: 10 log10(max(power, floor)).

    Source: PANNs, torchlibrosa's `power_to_db` with ref 1 and no top_db; the floor is a maximum, not a sum.
    """
    return np.asarray(10.0 * np.log10(np.maximum(reference_mel_power(waveform, spec), spec.floor_power)))


@dataclass(frozen=True)
class FeatureError:
    """How far features are from the float64 reference, at the worst frame and band.

    Not in logarithms alone: float32 has no digits left for bands far below a strong tone, whatever the transform.

    Attributes:
        power: error of mel power over the largest mel power of its frame; 1e-5 is the most that is allowed.
        log10: error of log10 of mel power, on bands within 60 dB of the frame's largest; 1e-4 (0.001 dB) is allowed.
    """

    power: float
    log10: float

    LARGEST_POWER = 1e-5
    LARGEST_LOG10 = 1e-4

    @property
    def small(self) -> bool:
        """Whether both errors are allowed."""
        return self.power <= self.LARGEST_POWER and self.log10 <= self.LARGEST_LOG10


def feature_error(log_mel_db: ArrayLike, waveform: ArrayLike, spec: FrontEndSpec) -> FeatureError:
    """Error of features [..., T, F] in dB of the samples [..., S] they were made of, S > 0."""
    reference = np.maximum(reference_mel_power(waveform, spec), spec.floor_power)
    log10 = np.asarray(log_mel_db, dtype=np.float64) / 10.0
    largest = reference.max(axis=-1, keepdims=True)
    within_60_db = reference >= 1e-6 * largest
    return FeatureError(
        power=float(np.max(np.abs(10.0**log10 - reference) / largest)),
        log10=float(np.max(np.abs(log10 - np.log10(reference)), where=within_60_db, initial=0.0)),
    )


def hann(window_samples: int) -> NDArray[np.float64]:
    """Periodic Hann window [window_samples]: the first sample is 0, the middle one 1."""
    return 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(window_samples) / window_samples)
