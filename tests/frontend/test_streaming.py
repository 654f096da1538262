"""Streams of any chunking give the frames of the whole pass."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from toolkit.frontend import STREAM_CHUNK_FRAMES, LogMel, LogMelStream
from toolkit.specs.front_end import FrontEndSpec

SPEC = FrontEndSpec()
SMALL = FrontEndSpec(sample_rate_hz=8000, window_samples=48, hop_samples=14, mel_bins=6, f_max_hz=3500.0)


def _noise(samples: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(-1, 1, samples).astype(np.float32)


def _whole(waveform: NDArray[np.float32], spec: FrontEndSpec) -> NDArray[np.float32]:
    return np.asarray(LogMel(spec)(torch.from_numpy(waveform)[None])[0, 0].numpy())


def _streamed(chunks: Iterable[NDArray[np.float32]], stream: LogMelStream) -> NDArray[np.float32]:
    frames = [stream.push(chunk) for chunk in chunks]
    return np.concatenate([*frames, stream.flush()])


@pytest.mark.parametrize("samples", [0, 1, 319, 320, 321, 511, 512, 4999, 9600])
@pytest.mark.parametrize("chunk", [1, 2, 7, 159, 160, 319, 320, 321, 997, 1024, 30_720])
def test_chunked_equals_whole(chunk: int, samples: int) -> None:
    """Whatever the signal's and the chunks' lengths, the stream's frames are the whole pass's."""
    waveform = _noise(samples)
    chunks = [waveform[at : at + chunk] for at in range(0, samples, chunk)]
    streamed = _streamed(chunks, LogMelStream(LogMel(SPEC)))
    np.testing.assert_allclose(streamed, _whole(waveform, SPEC), atol=1e-3)


@settings(max_examples=100, deadline=None)
@given(lengths=st.lists(st.integers(0, 150), max_size=8), seed=st.integers(0, 99), hop=st.integers(1, 48))
def test_ragged_chunks_equal_whole(lengths: list[int], seed: int, hop: int) -> None:
    """Chunks of changing length, empty ones too, at any hop, equal the whole."""
    spec = SMALL.model_copy(update={"hop_samples": hop})
    waveform = _noise(sum(lengths), seed)
    chunks = np.split(waveform, np.cumsum(lengths)[:-1]) if lengths else []
    streamed = _streamed(chunks, LogMelStream(LogMel(spec)))
    np.testing.assert_allclose(streamed, _whole(waveform, spec), atol=1e-3)


def test_frames_come_as_soon_as_their_samples_are_there() -> None:
    """A frame is out once the hop after it is complete: 640 samples for the first, 320 for each further one."""
    stream = LogMelStream(LogMel(SPEC))
    counts = [len(stream.push(_noise(samples))) for samples in (639, 1, 319, 1, 3200)]
    assert counts == [0, 1, 0, 1, 10]


def test_a_flushed_stream_begins_anew() -> None:
    """After flush nothing of the last signal is heard in the next one."""
    stream = LogMelStream(LogMel(SPEC))
    _streamed([_noise(5000, seed=1)], stream)
    waveform = _noise(4000, seed=2)
    np.testing.assert_allclose(_streamed([waveform], stream), _whole(waveform, SPEC), atol=1e-3)


def test_the_exported_step_is_one_frame_behind() -> None:
    """Steps of 96 hops give frames -1..94, 95..190, ... of every stream of a batch, with three hops of state."""
    front_end = LogMel(SPEC)
    chunk_samples = STREAM_CHUNK_FRAMES * SPEC.hop_samples
    batch = torch.from_numpy(np.stack([_noise(3 * chunk_samples, seed) for seed in (1, 2)]))
    whole, state, steps = front_end(batch), front_end.initial_state(batch=2), []
    assert chunk_samples == 30_720
    assert state.shape == (2, 3 * SPEC.hop_samples)
    for chunk in batch.split(chunk_samples, dim=1):
        frames, state = front_end.stream(chunk, state)
        assert frames.shape == (2, 1, STREAM_CHUNK_FRAMES, SPEC.mel_bins)
        steps.append(frames)
    streamed = torch.cat(steps, dim=2)[:, :, front_end.delay_frames :]
    assert front_end.delay_frames == 1
    torch.testing.assert_close(streamed, whole[:, :, : streamed.shape[2]], atol=1e-3, rtol=0)
