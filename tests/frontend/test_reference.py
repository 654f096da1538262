"""The float64 reference against librosa, against a closed form, and the error that is measured with it."""

from __future__ import annotations

import librosa
import numpy as np
import pytest

from toolkit.frontend import feature_error, mel_filters, reference_log_mel, reference_mel_power
from toolkit.specs.front_end import FrontEndSpec

SPEC = FrontEndSpec()


@pytest.mark.filterwarnings("ignore:n_fft=1024 is too large")  # librosa on the shortest signals
@pytest.mark.parametrize("samples", [1, 319, 320, 321, 32_000])
def test_reference_equals_librosa(samples: int) -> None:
    """STFT with zeros outside, filters and decibels are librosa's, one frame for each whole or begun hop."""
    waveform = np.random.default_rng(0).uniform(-1, 1, samples)
    stft = librosa.stft(waveform, n_fft=1024, hop_length=320, window="hann", center=True, pad_mode="constant")
    filters = librosa.filters.mel(sr=32_000, n_fft=1024, n_mels=64, fmin=50, fmax=14_000, dtype=np.float64)
    theirs = librosa.power_to_db(filters @ np.abs(stft) ** 2, ref=1.0, amin=1e-10, top_db=None).T
    np.testing.assert_allclose(reference_log_mel(waveform, SPEC), theirs[: -(-samples // 320)], atol=1e-6)


@pytest.mark.parametrize("position", [0, 511, 512, 3200, 9599])
def test_frame_k_covers_320k_minus_512_to_320k_plus_511(position: int) -> None:
    """An impulse shows in the frames that cover it, in each with the window's square there, and nowhere else."""
    waveform = np.zeros(9600)
    waveform[position] = 1.0
    in_window = position - (320 * np.arange(30) - 512)
    covered = (in_window >= 0) & (in_window <= 1023)
    square = np.where(covered, np.sin(np.pi * in_window / 1024) ** 4, 0.0)
    expected = square[:, None] * mel_filters(SPEC).sum(axis=1)
    np.testing.assert_allclose(reference_mel_power(waveform, SPEC), expected, rtol=1e-9, atol=1e-15)


def test_silence_is_the_floor() -> None:
    """Digital silence gives -100 dB, 10 log10 of the floor, in every band."""
    np.testing.assert_allclose(reference_log_mel(np.zeros(3200), SPEC), -100.0)


def test_error_sees_a_thousandth_of_a_decibel() -> None:
    """Features 0.002 dB off are told from the reference; the reference itself has no error."""
    waveform = np.random.default_rng(0).uniform(-1, 1, 3200)
    exact = reference_log_mel(waveform, SPEC)
    assert feature_error(exact, waveform, SPEC).log10 < 1e-12
    assert not feature_error(exact + 0.002, waveform, SPEC).small
    assert feature_error(exact + 0.002, waveform, SPEC).log10 == pytest.approx(2e-4)
