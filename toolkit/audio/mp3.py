"""How long an MP3 is, by its MPEG frames. libsndfile guesses from the size where the first frame holds no length.

Not a decoder: `toolkit.audio.decode` gives libsndfile what `with_length` returns. Proved by tests/audio/test_mp3.py.
"""

from __future__ import annotations

import struct
from mmap import mmap
from typing import NamedTuple

# Source: ISO/IEC 11172-3, 2.4.2.3, layer III, and ISO/IEC 13818-3 for the lower rates. By the header's indices; the
# rates of MPEG 1, 2 and 2.5 are these over 1, 2 and 4.
_KBPS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0)
_LOW_KBPS = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0)
_RATES_HZ = (44_100, 48_000, 32_000)
_DIVISORS = {3: 1, 2: 2, 0: 4}
_LAYER_3, _MONO = 1, 3
_HEADER_BYTES = 4
# What the headers of one stream have in common: sync, version, layer and rate.
_STREAM = 0xFFFE_0C00
# A header's bits without CRC and padding, and of the middle bit rate: such a frame has room for what it has to hold.
_CLEARED, _SET = 0xFFFF_0DFF, 0x0001_9000


class Frames(NamedTuple):
    """What the frames of layer III in a file come to."""

    start: int
    """Byte at which the first one begins."""
    samples: int
    """Of one channel, in all of them; what an encoder puts before and behind the sound included."""
    has_length: bool
    """Whether the first one holds the stream's length (a Xing or Info header) in the place of sound."""


def count_frames(content: bytes | mmap) -> Frames | None:
    """All frames of a file, over tags, gaps and the seam of two files in one; None where there are none.

    A header counts next to another of the same stream, before or behind it: pictures hold bytes that look like one.
    """
    start, samples, at = -1, 0, 0
    end, stream = -1, 0  # of the frame before
    while (at := content.find(b"\xff", at)) >= 0:
        header = _header(content, at)
        size_bytes = _size_bytes(header)
        follows = at == end and header & _STREAM == stream
        if not size_bytes or not (follows or _header(content, at + size_bytes) & _STREAM == header & _STREAM):
            at += 1
            continue
        start = at if start < 0 else start
        samples += _samples(header)
        at = end = at + size_bytes
        stream = header & _STREAM
    if start < 0:
        return None
    mark = start + _mark_byte(_header(content, start))
    return Frames(start, samples, content[mark : mark + 4] in (b"Xing", b"Info"))


def with_length(content: bytes | mmap, frames: Frames) -> bytes:
    """The same MP3 behind a frame that says how many follow; what stood before the first is left out."""
    header = _header(content, frames.start) & _CLEARED | _SET
    count = frames.samples // _samples(header)
    mark = bytes(_mark_byte(header) - _HEADER_BYTES) + b"Xing" + struct.pack(">II", 1, count)
    return (header.to_bytes(_HEADER_BYTES, "big") + mark).ljust(_size_bytes(header), b"\0") + content[frames.start :]


def _header(content: bytes | mmap, at: int) -> int:
    return int.from_bytes(content[at : at + _HEADER_BYTES].ljust(_HEADER_BYTES, b"\0"), "big")


def _divisor(header: int) -> int | None:
    return _DIVISORS.get(header >> 19 & 3)


def _samples(header: int) -> int:
    return 1152 if _divisor(header) == 1 else 576


def _size_bytes(header: int) -> int:
    """Of the frame that a header begins; 0 where it begins none, or one whose bit rate it does not tell."""
    divisor, kbps, rate = _divisor(header), header >> 12 & 15, header >> 10 & 3
    if header >> 21 != 0x7FF or header >> 17 & 3 != _LAYER_3 or divisor is None or rate == len(_RATES_HZ):
        return 0
    bits_per_s = 1000 * (_KBPS if divisor == 1 else _LOW_KBPS)[kbps]
    return bits_per_s and _samples(header) // 8 * bits_per_s * divisor // _RATES_HZ[rate] + (header >> 9 & 1)


def _mark_byte(header: int) -> int:
    """Where in a frame the stream's length stands: behind the header and the side information."""
    mono = header >> 6 & 3 == _MONO
    side = (17 if mono else 32) if _divisor(header) == 1 else (9 if mono else 17)
    return _HEADER_BYTES + side
