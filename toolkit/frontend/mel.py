"""The mel filter bank: triangles on Slaney's scale, each of unit area. Written once, in float64 numpy.

Not the transform that feeds it: that is `log_mel.py` (and `reference.py` for checks).
Proved by tests/frontend/test_mel.py, against librosa.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from toolkit.specs.front_end import FrontEndSpec

# Source: Slaney, Auditory Toolbox (1998): linear to 1 kHz, then 27 steps for each factor of 6.4.
_HZ_PER_MEL = 200.0 / 3.0
_BREAK_HZ = 1000.0
_BREAK_MEL = _BREAK_HZ / _HZ_PER_MEL
_MEL_PER_NEPER = 27.0 / np.log(6.4)


def mel_filters(spec: FrontEndSpec) -> NDArray[np.float64]:
    """Weights [F, window/2 + 1] that turn the powers of the DFT's bins into powers of F mel bands.

    Source: Slaney's area normalization: a triangle from a to b Hz has the height 2 / (b - a).
    """
    bin_hz = np.arange(spec.window_samples // 2 + 1) * spec.sample_rate_hz / spec.window_samples
    edges_hz = _hz(np.linspace(_mel(spec.f_min_hz), _mel(spec.f_max_hz), spec.mel_bins + 2))
    low_hz, centre_hz, high_hz = (edges_hz[i : i + spec.mel_bins, None] for i in range(3))
    rising = (bin_hz - low_hz) / (centre_hz - low_hz)
    falling = (high_hz - bin_hz) / (high_hz - centre_hz)
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return np.asarray(triangles * 2.0 / (high_hz - low_hz), dtype=np.float64)


def _mel(hz: float) -> float:
    return hz / _HZ_PER_MEL if hz < _BREAK_HZ else _BREAK_MEL + _MEL_PER_NEPER * float(np.log(hz / _BREAK_HZ))


def _hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    logarithmic = _BREAK_HZ * np.exp((np.maximum(mel, _BREAK_MEL) - _BREAK_MEL) / _MEL_PER_NEPER)
    return np.where(mel < _BREAK_MEL, mel * _HZ_PER_MEL, logarithmic)
