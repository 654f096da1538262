"""Windows: put together they are the recording; short ones stay as they are; a file's are those of its waveform."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from toolkit.audio.clip import Clip
from toolkit.audio.decode import read_audio
from toolkit.audio.windows import LEAST_SHARE, stream_windows, whole_name, window_name, windows
from toolkit.specs.errors import UserError

RATE_HZ = 100


def clip_of(path: Path, samples: int) -> Clip:
    """A clip of noise in a new file."""
    soundfile.write(path, 0.1 * np.random.default_rng(3).standard_normal(samples), 8_000)
    return Clip(path, path.name, ("Dog",), "train", path.name, path.stat().st_size)


@given(st.integers(0, 5_000), st.integers(1, 1_000))
def test_windows_are_the_recording(samples: int, length: int) -> None:
    """All but the last have the length asked for; together they are the recording but for a rest under a tenth."""
    waveform = np.arange(samples, dtype=np.float32)
    parts = windows(waveform, length / RATE_HZ, RATE_HZ)
    assert len(parts) >= 1
    assert {len(part) for part in parts[:-1]} <= {length}
    assert len(parts[-1]) <= length
    together = np.concatenate(parts)
    assert np.array_equal(together, waveform[: len(together)])
    assert samples - len(together) < LEAST_SHARE * length


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.01, [1]), (10.0, [1000]), (10.9, [1000]), (11.0, [1000, 100]), (30.0, [1000] * 3)]
)
def test_ten_second_windows(seconds: float, expected: list[int]) -> None:
    """A short clip is one window as it is, and a rest of less than a second is no window of its own."""
    assert [len(part) for part in windows(np.ones(round(seconds * RATE_HZ)), 10.0, RATE_HZ)] == expected


def test_a_file_streams_its_windows(tmp_path: Path) -> None:
    """The windows of a file that is decoded bit by bit are those of the whole waveform, resampled."""
    clip = clip_of(tmp_path / "a.wav", 8_000 * 5 // 2)
    whole = windows(read_audio(clip.path, 32_000), 1.0, 32_000)
    streamed = list(stream_windows(clip, 1.0, 32_000))
    assert [len(part) for part in streamed] == [32_000, 32_000, 16_000]
    for one, other in zip(whole, streamed, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_long_file_takes_the_memory_of_one_window(tmp_path: Path) -> None:
    """A file four times as long is streamed in no more memory."""
    peaks = []
    for seconds in (40, 160):
        clip = clip_of(tmp_path / "a.wav", 8_000 * seconds)
        tracemalloc.start()
        assert sum(1 for _ in stream_windows(clip, 5.0, 8_000)) == seconds // 5
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_a_window_without_a_sample_is_refused() -> None:
    """A length that rounds to nothing is the caller's mistake, told as such."""
    with pytest.raises(UserError, match="holds no sample at 100 Hz"):
        windows(np.ones(5), 0.001, RATE_HZ)


def test_names() -> None:
    """A window's name tells its time, and the recording it is of."""
    assert window_name("Dog/a.wav", 10.0, 12.5) == "Dog/a.wav#t=10,12.5"
    assert whole_name("Dog/a.wav#t=10,12.5") == whole_name("Dog/a.wav") == "Dog/a.wav"
