"""`LogMel` over whole signals: as accurate as the tolerance says, for any window, batch and loudness."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import librosa
import numpy as np
import pytest
import soxr
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from toolkit.frontend import LogMel, feature_error
from toolkit.specs.errors import UserError
from toolkit.specs.front_end import FrontEndSpec

SPEC = FrontEndSpec()
SECONDS = 4
TIME_S = np.arange(SECONDS * SPEC.sample_rate_hz) / SPEC.sample_rate_hz


def _sine(f_hz: float) -> NDArray[np.float64]:
    return np.asarray(np.sin(2 * np.pi * f_hz * TIME_S))


def _chirp(from_hz: float, to_hz: float) -> NDArray[np.float64]:
    return np.asarray(np.sin(2 * np.pi * (from_hz + (to_hz - from_hz) * TIME_S / (2 * SECONDS)) * TIME_S))


def _exponential_chirp(from_hz: float, to_hz: float) -> NDArray[np.float64]:
    rate = np.log(to_hz / from_hz) / SECONDS
    return np.asarray(np.sin(2 * np.pi * from_hz * np.expm1(rate * TIME_S) / rate))


def _noise(level: float, rate_hz: int = SPEC.sample_rate_hz) -> NDArray[np.float64]:
    return np.random.default_rng(5).uniform(-level, level, SECONDS * rate_hz)


def _from_8_khz() -> NDArray[np.float64]:
    return np.asarray(soxr.resample(_noise(0.9, 8000), 8000, SPEC.sample_rate_hz), dtype=np.float64)


SIGNALS: dict[str, Callable[[], NDArray[np.float64]]] = {
    "noise": lambda: _noise(1.0),
    "faint noise": lambda: _noise(1e-4),
    "silence": lambda: np.zeros(len(TIME_S)),
    "constant": lambda: np.ones(len(TIME_S)),
    **{f"sine {f_hz} Hz": partial(_sine, f_hz) for f_hz in (60, 440, 1000, 4000, 9973, 13_900)},
    "chirp up": lambda: _chirp(50, 14_000),
    "chirp down": lambda: _chirp(14_000, 50),
    "exponential chirp": lambda: _exponential_chirp(50, 14_000),
    "8 kHz audio": _from_8_khz,
}


@pytest.mark.parametrize("name", SIGNALS)
def test_error_is_within_the_tolerance(name: str) -> None:
    """Against float64: mel power to 1e-5 of the frame's largest, log10 to 1e-4 within 60 dB of it."""
    waveform = SIGNALS[name]().astype(np.float32)
    log_mel = LogMel(SPEC)(torch.from_numpy(waveform)[None])[0, 0]
    error = feature_error(log_mel.numpy(), waveform, SPEC)
    assert error.small, error


def test_features_equal_librosa() -> None:
    """The features are the ones librosa makes with PANNs' constants and zeros outside the signal."""
    waveform = _noise(0.5).astype(np.float32)
    stft = librosa.stft(waveform, n_fft=1024, hop_length=320, window="hann", center=True, pad_mode="constant")
    filters = librosa.filters.mel(sr=32_000, n_fft=1024, n_mels=64, fmin=50, fmax=14_000)
    theirs = librosa.power_to_db(filters @ np.abs(stft) ** 2, ref=1.0, amin=1e-10, top_db=None).T[:400]
    ours = LogMel(SPEC)(torch.from_numpy(waveform)[None])[0, 0].numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


@settings(max_examples=40, deadline=None)
@given(
    window=st.integers(8, 300).map(lambda half: 2 * half),
    hop_share=st.floats(0.05, 1.0),
    samples=st.integers(1, 1500),
    seed=st.integers(0, 99),
)
def test_any_window_hop_and_length(window: int, hop_share: float, samples: int, seed: int) -> None:
    """Windows of any even length, prime halves included, with any hop give the reference's frames."""
    spec = FrontEndSpec(window_samples=window, hop_samples=max(1, round(hop_share * window)), mel_bins=5)
    waveform = np.random.default_rng(seed).uniform(-1, 1, samples).astype(np.float32)
    log_mel = LogMel(spec)(torch.from_numpy(waveform)[None])
    assert log_mel.shape == (1, 1, spec.frames(samples), spec.mel_bins)
    error = feature_error(log_mel[0, 0].numpy(), waveform, spec)
    assert error.power <= error.LARGEST_POWER, error


def test_clips_of_a_batch_do_not_meet() -> None:
    """Each clip of a batch gets the features it gets alone."""
    batch = torch.from_numpy(np.stack([_noise(0.5), _sine(440), _chirp(50, 14_000)]).astype(np.float32))
    together = LogMel(SPEC)(batch)
    assert together.shape == (3, 1, 400, 64)
    for waveform, log_mel in zip(batch, together, strict=True):
        assert feature_error(log_mel[0].numpy(), waveform.numpy(), SPEC).small


def test_float16_neither_overflows_nor_becomes_infinite() -> None:
    """In half precision a full-scale tone keeps its peak to 0.1 dB and silence is the floor."""
    half = LogMel(SPEC).half()
    tone = half(torch.from_numpy(_sine(1000)).half()[None])
    exact = LogMel(SPEC)(torch.from_numpy(_sine(1000)).float()[None])
    assert tone.isfinite().all()
    assert (tone.amax(dim=-1) - exact.amax(dim=-1)).abs().max() < 0.1
    assert half(torch.ones(1, 32_000).half()).isfinite().all()
    assert (half(torch.zeros(1, 32_000).half()) == -100).all()


def test_checkpoints_hold_nothing_of_it() -> None:
    """The front end adds no parameter and no entry to a state dict."""
    front_end = LogMel(SPEC)
    assert not list(front_end.parameters())
    assert not front_end.state_dict()


def test_a_chunk_that_is_not_whole_hops_is_refused() -> None:
    """The message says what was found and where odd lengths go."""
    front_end = LogMel(SPEC)
    with pytest.raises(UserError, match=r"found a chunk of 321 samples.*LogMelStream"):
        front_end.stream(torch.zeros(1, 321), front_end.initial_state())
