"""One file, or one span of a shard, into a float32 mono waveform at the rate asked for, whole or in chunks.

Not a dataset (`toolkit.audio.dataset`) and not features. Whole equals chunked, and every kind of broken file ends in
one clear line: proved by tests/audio/test_decode.py.
"""

from __future__ import annotations

import io
import mmap
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr

from toolkit.audio.clip import Span
from toolkit.audio.mp3 import count_frames, with_length
from toolkit.specs.errors import UserError
from toolkit.specs.files import new_file

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")

_BLOCK_SAMPLES = 1 << 17
_LOWEST_RATE_HZ, _HIGHEST_RATE_HZ = 1_000, 768_000
_LARGEST_SAMPLE = 1e9
# MP3 headers may promise a few MPEG frames (1152 samples each) more than the decoder gives.
_MP3_SLACK_FRAMES = 4 * 1152
# What libsndfile's log says of a file that ends early. A WAV written to a pipe promises the most it can: that is whole.
_ENDS_EARLY = re.compile(r"lacks an end-of-stream bit|without an End-Of-Stream flag")
_WAV_PROMISE = re.compile(r"^data : (\d+) \(should be (\d+)\)", re.MULTILINE)
_PIPE_BYTES = 0x7FFF_0000
# A recorder that is killed leaves a WAV of 0 samples; a FLAC written to a pipe is of as many as can be.
_FILE_BYTES = re.compile(r"^Length : (\d+)", re.MULTILINE)
_HEADER_BYTES = 8_192
_NO_LENGTH = 2**63 - 1


def read_audio(path: Path, sample_rate_hz: int, span: Span | None = None) -> np.ndarray:
    """Decode a whole file: float32, shape [samples], channels averaged, resampled to `sample_rate_hz` (soxr HQ).

    With `span` the file is those bytes of `path`. Threads may read at the same time, from one shard too.

    Raises:
        UserError: missing, empty, truncated, not audio, or with samples that are not finite.
    """
    return np.concatenate(list(_resampled(path, sample_rate_hz, span)))


def stream_audio(path: Path, sample_rate_hz: int, chunk_samples: int, span: Span | None = None) -> Iterator[np.ndarray]:
    """Yield the samples of `read_audio` in chunks of `chunk_samples` (the last may be shorter), in constant memory.

    Raises as `read_audio` does, but a fault late in the file shows only when the stream comes to it.
    """
    if chunk_samples < 1:
        raise UserError(f"chunk of {chunk_samples} samples: expected at least 1.")
    waiting = np.empty(0, np.float32)
    for block in _resampled(path, sample_rate_hz, span):
        waiting = np.concatenate([waiting, block])
        whole = len(waiting) - len(waiting) % chunk_samples
        for start in range(0, whole, chunk_samples):
            yield waiting[start : start + chunk_samples]
        waiting = waiting[whole:]
    if len(waiting):
        yield waiting


def write_wav(path: Path, waveform: np.ndarray, sample_rate_hz: int) -> None:
    """Write a mono waveform, shape [samples], as 16-bit WAV, whole or not at all; beyond -1..1 it is clipped."""
    with new_file(path) as temporary:
        soundfile.write(temporary, waveform, sample_rate_hz, subtype="PCM_16", format="WAV")


def _resampled(path: Path, sample_rate_hz: int, span: Span | None = None) -> Iterator[np.ndarray]:
    """Blocks of mono samples at `sample_rate_hz`; at least one sample in all."""
    place = str(path) if span is None else f"{path} from byte {span.offset_bytes} on"
    with _open(path, span, place) as file:
        native_hz = file.samplerate
        if not _LOWEST_RATE_HZ <= native_hz <= _HIGHEST_RATE_HZ:
            raise UserError(
                f"{place} claims {native_hz} Hz, expected {_LOWEST_RATE_HZ}-{_HIGHEST_RATE_HZ}. Re-encode it."
            )
        resampler = soxr.ResampleStream(native_hz, sample_rate_hz, 1, dtype="float32", quality="HQ")
        samples = 0
        for block in _mono_blocks(file, place):
            ready = block if native_hz == sample_rate_hz else resampler.resample_chunk(block)
            samples += len(ready)
            yield ready
        if native_hz != sample_rate_hz:
            rest = resampler.resample_chunk(np.empty(0, np.float32), last=True)
            samples += len(rest)
            yield rest
    if samples == 0:
        raise UserError(f"{place} holds no sound: zero samples at {sample_rate_hz} Hz. Record it again.")


def _open(path: Path, span: Span | None, place: str) -> soundfile.SoundFile:
    try:
        packed = None if span is None else _bytes_at(path, span)
        empty = path.stat().st_size == 0 if packed is None else not packed
    except (OSError, ValueError):
        raise UserError(f"{place} does not exist or cannot be read. Check the path.") from None
    if path.is_dir():
        raise UserError(f"{path} is a folder, expected an audio file ({', '.join(AUDIO_SUFFIXES)}).")
    if not path.is_file():
        raise UserError(f"{path} is a pipe or a device, expected an audio file. Write it to a file first.")
    if empty:
        raise UserError(f"{place} is empty (0 bytes). Copy or record it again.")
    try:
        file = soundfile.SoundFile(path if packed is None else io.BytesIO(packed))
        return _whole_mp3(file, path, packed) if file.format == "MP3" else file
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: a suffix that means headerless samples
        reason = getattr(error, "error_string", "headerless samples").rstrip(".")
        raise UserError(f"{place} is not audio that can be read ({reason}). Expected wav, flac, ogg or mp3.") from None


def _whole_mp3(file: soundfile.SoundFile, path: Path, packed: bytes | None) -> soundfile.SoundFile:
    """The same file; one that libsndfile would read too little of, in memory and with the length that it has."""
    content = packed or _mapped(path)
    frames = count_frames(content)
    if frames is None:
        return file
    short = file.frames + _MP3_SLACK_FRAMES < frames.samples
    guessed = not frames.has_length and frames.samples + _MP3_SLACK_FRAMES < file.frames
    if not short and not guessed:
        return file
    file.close()
    return soundfile.SoundFile(io.BytesIO(with_length(content, frames)))


def _mapped(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _mono_blocks(file: soundfile.SoundFile, place: str) -> Iterator[np.ndarray]:
    """Blocks of the mean over channels, float32 [frames], at the file's own rate."""
    size = _FILE_BYTES.search(file.extra_info)
    if file.frames == _NO_LENGTH or (file.frames == 0 and size and int(size[1]) > _HEADER_BYTES):
        raise UserError(f"{place} was never finished: its header gives no length. Convert it: ffmpeg -i OLD NEW.wav")
    cut = f"{place} is truncated or damaged: "
    promise = _WAV_PROMISE.search(file.extra_info)
    if promise and int(promise[1]) < _PIPE_BYTES:
        raise UserError(f"{cut}{promise[2]} of {promise[1]} bytes are there. Copy or record it again.")
    if _ENDS_EARLY.search(file.extra_info):
        raise UserError(f"{cut}it ends before its last page. Copy or record it again.")
    decoded = 0
    while True:
        try:
            block = file.read(max(1, _BLOCK_SAMPLES // file.channels), dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise UserError(f"{cut}{error.error_string.rstrip('.')}. Copy or record it again.") from None
        if not len(block):
            break
        # One comparison finds NaN, infinities and absurd values that would overflow further on.
        if not np.abs(block).max() < _LARGEST_SAMPLE:
            raise UserError(f"{place} holds samples that are not finite (NaN or Inf). Write it anew from the source.")
        decoded += len(block)
        yield np.ascontiguousarray(block[:, 0] if file.channels == 1 else block.mean(axis=1))
    if decoded + _MP3_SLACK_FRAMES < file.frames:
        raise UserError(f"{cut}{decoded} of {file.frames} samples decode. Copy or record it again.")


def _bytes_at(path: Path, span: Span) -> bytes:
    with path.open("rb", buffering=0) as file:
        return os.pread(file.fileno(), span.size_bytes, span.offset_bytes)
