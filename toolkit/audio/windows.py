"""A recording of any length as windows: `windows` of one in memory, `stream_windows` of a file, in constant memory.

Not padding: a shorter clip is one shorter window, and whoever needs equal lengths puts zeros after it.
Proved by tests/audio/test_windows.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from toolkit.audio.clip import Clip
from toolkit.audio.decode import stream_audio
from toolkit.specs.errors import UserError

LEAST_SHARE = 0.1
"""What is left after the last whole window is one more window only if it is at least this share of one: a clip of
10.02 s is one window of 10 s, not that and a click."""

_MARK = "#t="


def windows(waveform: np.ndarray, seconds: float, sample_rate_hz: int) -> list[np.ndarray]:
    """Consecutive windows, views of a waveform [samples], one at least; the last may be shorter.

    Raises:
        UserError: a window would hold no sample.
    """
    length = _samples(seconds, sample_rate_hz)
    return list(_kept((waveform[start : start + length] for start in range(0, max(1, len(waveform)), length)), length))


def stream_windows(clip: Clip, seconds: float, sample_rate_hz: int) -> Iterator[np.ndarray]:
    """The `windows` of a clip, decoded as they are asked for: an hour takes the memory of one of them.

    Raises:
        UserError: the clip does not decode (which may show late), or a window would hold no sample.
    """
    length = _samples(seconds, sample_rate_hz)
    return _kept(stream_audio(clip.path, sample_rate_hz, length, clip.span), length)


def window_name(name: str, start_s: float, end_s: float) -> str:
    """Name of the clip that is one window of a longer one, written as a media fragment: `Dog/long.wav#t=10,20`."""
    return f"{name}{_MARK}{start_s:g},{end_s:g}"


def whole_name(name: str) -> str:
    """Name of the recording that a clip is a window of; of any other clip, its own."""
    return name.partition(_MARK)[0]


def _samples(seconds: float, sample_rate_hz: int) -> int:
    length = round(seconds * sample_rate_hz)
    if length < 1:
        raise UserError(f"a window of {seconds} s holds no sample at {sample_rate_hz} Hz. Ask for a longer one.")
    return length


def _kept(parts: Iterable[np.ndarray], length: int) -> Iterator[np.ndarray]:
    for number, part in enumerate(parts):
        if number == 0 or len(part) >= LEAST_SHARE * length:
            yield part
