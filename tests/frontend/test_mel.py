"""The mel filter bank against librosa and against its own definition."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.frontend import mel_filters
from toolkit.specs.front_end import FrontEndSpec


@pytest.mark.parametrize(
    "spec",
    [
        FrontEndSpec(),
        FrontEndSpec(sample_rate_hz=16_000, window_samples=512, hop_samples=160, f_max_hz=8000.0),
        FrontEndSpec(sample_rate_hz=44_100, window_samples=2048, hop_samples=441, mel_bins=128, f_min_hz=0.0),
    ],
    ids=["panns", "16 kHz", "44.1 kHz"],
)
def test_filters_equal_librosa(spec: FrontEndSpec) -> None:
    """Scale and normalization are those of librosa's default, Slaney's."""
    theirs = librosa.filters.mel(
        sr=spec.sample_rate_hz,
        n_fft=spec.window_samples,
        n_mels=spec.mel_bins,
        fmin=spec.f_min_hz,
        fmax=spec.f_max_hz,
        dtype=np.float64,
    )
    np.testing.assert_allclose(mel_filters(spec), theirs, rtol=1e-9, atol=1e-12)


@given(mel_bins=st.integers(1, 40), f_min_hz=st.floats(0, 3000), width_hz=st.floats(4000, 13_000))
def test_every_filter_has_unit_area_inside_the_band(mel_bins: int, f_min_hz: float, width_hz: float) -> None:
    """Filters weigh nothing outside the band, and each one's area over frequency is 1."""
    spec = FrontEndSpec(window_samples=16_384, mel_bins=mel_bins, f_min_hz=f_min_hz, f_max_hz=f_min_hz + width_hz)
    filters = mel_filters(spec)
    bin_hz = np.arange(filters.shape[1]) * spec.sample_rate_hz / spec.window_samples
    outside = (bin_hz <= spec.f_min_hz) | (bin_hz >= spec.f_max_hz)
    assert not filters[:, outside].any()
    assert (filters >= 0).all()
    np.testing.assert_allclose(filters.sum(axis=1) * spec.sample_rate_hz / spec.window_samples, 1.0, rtol=0.02)
