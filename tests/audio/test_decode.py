"""Decoding: what was written is what is read, whole equals chunked, and broken files end in one clear line."""

from __future__ import annotations

import contextlib
import os
import struct
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.audio.decode import read_audio, stream_audio, write_wav
from toolkit.specs.errors import UserError

# Format: subtype, native rates in Hz, most channels, largest error of a tone of amplitude 0.4.
FORMATS = {
    "wav16": ("wav", "PCM_16", (8_000, 11_025, 16_000, 44_100, 48_000, 96_000), 6, 1e-3),
    "wav8": ("wav", "PCM_U8", (8_000, 22_050), 2, 2e-2),
    "wav float": ("wav", "FLOAT", (8_000, 22_050, 32_000, 192_000), 6, 1e-3),
    "flac": ("flac", "PCM_24", (8_000, 16_000, 32_000, 44_100, 96_000), 6, 1e-3),
    "ogg": ("ogg", "VORBIS", (16_000, 22_050, 32_000, 44_100, 48_000), 2, 5e-2),
    "mp3": ("mp3", "MPEG_LAYER_III", (16_000, 24_000, 32_000, 44_100, 48_000), 2, 5e-2),
}


def tone(seconds: float, sample_rate_hz: int, pitch_hz: float = 500.0) -> np.ndarray:
    """A sine of amplitude 0.4."""
    return 0.4 * np.sin(2 * np.pi * pitch_hz * np.arange(round(seconds * sample_rate_hz)) / sample_rate_hz)


def noise(samples: int, channels: int = 1) -> np.ndarray:
    """White noise of standard deviation 0.1."""
    return 0.1 * np.random.default_rng(7).standard_normal((samples, channels))


@given(
    st.sampled_from(sorted(FORMATS)).flatmap(
        lambda name: st.tuples(st.just(name), st.sampled_from(FORMATS[name][2]), st.integers(1, FORMATS[name][3]))
    ),
    st.sampled_from((8_000, 16_000, 32_000, 44_100)),
    st.floats(0.3, 0.9),
)
@settings(max_examples=60)
def test_round_trip(form: tuple[str, int, int], target_hz: int, seconds: float) -> None:
    """A tone comes back as the mean of its channels, at the rate asked for, in length and content."""
    name, native_hz, channels = form
    suffix, subtype, _, _, error = FORMATS[name]
    wave = tone(seconds, native_hz)
    gains = np.linspace(0.5, 1.5, channels) if channels > 1 else np.ones(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"tone.{suffix}")
        soundfile.write(path, wave[:, None] * gains, native_hz, subtype=subtype)
        heard = read_audio(path, target_hz)
    assert heard.dtype == np.float32
    assert heard.ndim == 1
    assert abs(len(heard) - len(wave) * target_hz / native_hz) <= 1
    inner = slice(len(heard) // 4, -len(heard) // 4)
    assert np.abs(heard - tone(seconds + 1, target_hz)[: len(heard)])[inner].max() < error


@pytest.mark.parametrize("native_hz", [8_000, 44_100, 32_000])
def test_blocks_leave_no_seam(tmp_path: Path, native_hz: int) -> None:
    """A file of many blocks equals one resampling of all of its samples."""
    stereo = noise(400_003, 2)
    soundfile.write(tmp_path / "a.wav", stereo, native_hz, subtype="FLOAT")
    reference = soxr.resample(stereo.mean(axis=1), native_hz, 32_000, quality="HQ")
    heard = read_audio(tmp_path / "a.wav", 32_000)
    assert len(heard) == len(reference)
    assert np.abs(heard - reference).max() < 1e-5


@given(st.one_of(st.sampled_from((1, 2, 331, 320, 30_720)), st.integers(1, 50_000)), st.sampled_from((8_000, 44_100)))
@settings(max_examples=20)
def test_stream_equals_whole(chunk_samples: int, native_hz: int) -> None:
    """Chunks of any size, put together, are the whole file; only the last may be shorter."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.flac")
        soundfile.write(path, noise(5_003), native_hz)
        chunks = list(stream_audio(path, 32_000, chunk_samples))
        whole = read_audio(path, 32_000)
    assert {len(chunk) for chunk in chunks[:-1]} <= {chunk_samples}
    assert 1 <= len(chunks[-1]) <= chunk_samples
    np.testing.assert_array_equal(np.concatenate(chunks), whole)


def test_stream_takes_constant_memory(tmp_path: Path) -> None:
    """A file four times as long is streamed in no more memory."""
    peaks = []
    for seconds in (20, 80):
        soundfile.write(tmp_path / "a.wav", noise(seconds * 16_000), 16_000)
        tracemalloc.start()
        for _ in stream_audio(tmp_path / "a.wav", 32_000, 30_720):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


@pytest.fixture(scope="session")
def good_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Two seconds of noise in each format."""
    folder = tmp_path_factory.mktemp("good")
    files = {}
    for suffix in ("wav", "flac", "ogg", "mp3"):
        path = folder / f"a.{suffix}"
        soundfile.write(path, noise(88_200, 2), 44_100)
        files[suffix] = path.read_bytes()
    return files


@given(st.sampled_from(("wav", "flac", "ogg", "mp3")), st.floats(0.0, 0.9))
def test_truncated(good_files: dict[str, bytes], suffix: str, share: float) -> None:
    """A file cut anywhere before its last tenth is named and refused."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"cut.{suffix}")
        path.write_bytes(good_files[suffix][: int(share * len(good_files[suffix]))])
        with pytest.raises(UserError, match=r"cut\.") as caught:
            read_audio(path, 32_000)
    assert "\n" not in str(caught.value)


@given(
    st.sampled_from(("wav", "flac", "ogg", "mp3")),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_damaged_header(good_files: dict[str, bytes], suffix: str, changes: list[tuple[int, int]]) -> None:
    """Changed bytes at the start of a file give sound or a UserError, nothing else."""
    damaged = bytearray(good_files[suffix])
    for place, byte in changes:
        damaged[place] = byte
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"a.{suffix}")
        path.write_bytes(damaged)
        with contextlib.suppress(UserError):
            assert np.isfinite(read_audio(path, 32_000)).all()


@given(st.binary(max_size=200), st.sampled_from(("wav", "mp3", "ogg", "raw", "txt", "")))
def test_arbitrary_bytes(content: bytes, suffix: str) -> None:
    """What is not audio gives a UserError, whatever its name says."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"a.{suffix}")
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"Copy or record it again|not audio that can be read"):
            read_audio(path, 32_000)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers(tmp_path: Path, bad: float) -> None:
    """One NaN or Inf, even in one channel, refuses the file, whole or streamed."""
    samples = noise(200_000, 2)
    samples[150_000, 1] = bad
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")
    with pytest.raises(UserError, match="not finite"):
        read_audio(tmp_path / "a.wav", 16_000)
    with pytest.raises(UserError, match="not finite"):
        list(stream_audio(tmp_path / "a.wav", 32_000, 1_000))


def test_no_sound_in_it(tmp_path: Path) -> None:
    """No samples, and too few to make one at the rate asked for, are both an error."""
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 16_000)
    soundfile.write(tmp_path / "one.wav", np.zeros(1), 96_000)
    for name in ("none.wav", "one.wav"):
        with pytest.raises(UserError, match="holds no sound"):
            read_audio(tmp_path / name, 16_000)


def test_what_is_no_file(tmp_path: Path) -> None:
    """A missing file, a folder, an empty file and a pipe each say what they are."""
    (tmp_path / "empty.mp3").touch()
    os.mkfifo(tmp_path / "pipe.wav")
    kinds = {"gone.wav": "does not exist", "": "is a folder", "empty.mp3": "is empty", "pipe.wav": "is a pipe"}
    for name, message in kinds.items():
        with pytest.raises(UserError, match=message):
            read_audio(tmp_path / name, 16_000)


def test_wav_from_a_pipe(tmp_path: Path) -> None:
    """A WAV whose header promises the most it can, as one written to a pipe does, is read to its end."""
    soundfile.write(tmp_path / "a.wav", noise(8_000), 16_000)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    place = content.index(b"data") + 4
    for promise in (0xFFFF_FFFF, 0x7FFF_FFFF):
        content[place : place + 4] = struct.pack("<I", promise)
        (tmp_path / "a.wav").write_bytes(content)
        assert len(read_audio(tmp_path / "a.wav", 16_000)) == 8_000


@pytest.mark.parametrize("riff_bytes", [0, 36, 40_036, 0xFFFF_FFFF])
def test_wav_of_a_recorder_that_was_killed(tmp_path: Path, riff_bytes: int) -> None:
    """A length of 0 before samples is a header that was never finished: the line says so and how to mend it."""
    soundfile.write(tmp_path / "a.wav", noise(20_000), 16_000)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    content[4:8] = struct.pack("<I", riff_bytes)
    content[40:44] = bytes(4)
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.wav was never finished: .* ffmpeg -i OLD NEW"):
        read_audio(tmp_path / "a.wav", 16_000)


def test_flac_without_a_length(tmp_path: Path) -> None:
    """One written to a pipe does not say how long it is, and is not called damaged."""
    soundfile.write(tmp_path / "a.flac", noise(20_000), 16_000)
    content = bytearray((tmp_path / "a.flac").read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    (tmp_path / "a.flac").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.flac was never finished: .* ffmpeg -i OLD NEW"):
        read_audio(tmp_path / "a.flac", 16_000)


def test_absurd_rate(tmp_path: Path) -> None:
    """A header that claims 7 samples a second is refused before anything is resampled."""
    soundfile.write(tmp_path / "a.wav", noise(100), 7)
    with pytest.raises(UserError, match="claims 7 Hz"):
        read_audio(tmp_path / "a.wav", 32_000)


def test_write_wav(tmp_path: Path) -> None:
    """What is written is read back to half a step of 16 bits, and beyond full scale it is clipped."""
    wave = np.array([0.0, 0.25, -0.5, 0.999, 3.0, -3.0], np.float32)
    write_wav(tmp_path / "new" / "a.wav", wave, 16_000)
    heard = read_audio(tmp_path / "new" / "a.wav", 16_000)
    assert np.abs(heard - np.clip(wave, -1, 1)).max() <= 1 / 32_768


def test_write_wav_whole_or_not_at_all(tmp_path: Path) -> None:
    """A write that fails leaves the earlier file and nothing else."""
    write_wav(tmp_path / "a.wav", np.zeros(100, np.float32), 16_000)
    with pytest.raises(ValueError, match="dtype"):
        write_wav(tmp_path / "a.wav", np.array(["no", "sound"]), 16_000)
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]
    assert len(read_audio(tmp_path / "a.wav", 16_000)) == 100
