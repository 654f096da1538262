"""MP3s whose first frame does not say how long they are, or says less than there is, are heard to their end."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.audio.decode import read_audio
from toolkit.audio.mp3 import Frames, count_frames, with_length
from toolkit.specs.errors import UserError

Mode = Literal["CONSTANT", "VARIABLE"]
RATES_HZ = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
LOUD_THEN_QUIET, QUIET_THEN_LOUD = (0.3, 1e-4), (1e-4, 0.3)
MPEG_FRAME = 1152
"""Samples of a frame, or two of them at 24 kHz and below."""


def mp3(
    levels: tuple[float, ...], rate_hz: int = 44_100, channels: int = 1, mode: Mode = "VARIABLE", seconds: float = 3.0
) -> bytes:
    """Noise of one level after the other, each for so long."""
    rng = np.random.default_rng(5)
    samples = np.concatenate([level * rng.standard_normal((round(seconds * rate_hz), channels)) for level in levels])
    with tempfile.NamedTemporaryFile(suffix=".mp3") as file:
        soundfile.write(file.name, samples, rate_hz, format="MP3", bitrate_mode=mode, compression_level=0.2)
        return Path(file.name).read_bytes()


def without_length(content: bytes) -> bytes:
    """Without the first frame, which holds the length: up to where the next header like it stands."""
    (frames,) = [found for found in (count_frames(content),) if found]
    assert frames.has_length
    at = content.index(content[:2], 2)
    while not ((rest := count_frames(content[at:])) and rest.start == 0 and rest.samples < frames.samples):
        at = content.index(content[:2], at + 1)
    return content[at:]


def heard(content: bytes, rate_hz: int, folder: Path) -> np.ndarray:
    """What is read of such a file at its own rate."""
    (folder / "a.mp3").write_bytes(content)
    return read_audio(folder / "a.mp3", rate_hz)


@given(
    st.sampled_from(RATES_HZ),
    st.integers(1, 2),
    st.sampled_from(("CONSTANT", "VARIABLE")),
    st.floats(0.2, 1.0),
    st.binary(max_size=300),
    st.binary(max_size=300),
)
@settings(max_examples=40, deadline=None)
def test_frames_hold_the_sound_and_little_more(
    rate_hz: int, channels: int, mode: Mode, seconds: float, before: bytes, behind: bytes
) -> None:
    """At any rate and bit rate, whatever stands around them, the frames are the sound and what an encoder adds."""
    content = mp3((0.3,), rate_hz, channels, mode, seconds)
    frames = count_frames(before + content + behind)
    assert frames
    assert frames.has_length
    samples = round(seconds * rate_hz)
    assert samples < frames.samples <= samples + 5 * MPEG_FRAME


@given(st.binary(max_size=4_000))
def test_what_holds_no_frames_is_no_length(content: bytes) -> None:
    """Any bytes give a count within them or none, and no error; too few headers in a row are none."""
    frames = count_frames(content)
    assert frames is None or 0 <= frames.start < len(content)
    assert count_frames(b"\xff\xfb\x90\xc0" + bytes(2_000)) is None


@given(st.sampled_from(RATES_HZ), st.integers(1, 2), st.sampled_from(("CONSTANT", "VARIABLE")))
@settings(max_examples=20, deadline=None)
def test_the_length_that_is_put_before_is_found_again(rate_hz: int, channels: int, mode: Mode) -> None:
    """A length of our own reads as an encoder's does, and one frame is added."""
    bare = without_length(mp3((0.3,), rate_hz, channels, mode, 0.5))
    frames = count_frames(bare)
    assert frames
    assert not frames.has_length
    own = count_frames(with_length(bare, frames))
    assert own == Frames(0, frames.samples + (MPEG_FRAME if rate_hz >= 32_000 else MPEG_FRAME // 2), True)


@pytest.mark.parametrize("levels", [LOUD_THEN_QUIET, QUIET_THEN_LOUD])
@pytest.mark.parametrize("rate_hz", [44_100, 16_000])
def test_variable_bit_rate_without_a_length_is_heard_to_its_end(
    levels: tuple[float, ...], rate_hz: int, tmp_path: Path
) -> None:
    """The first frame's bit rate tells nothing of the length: both halves are there at their own levels."""
    found = heard(without_length(mp3(levels, rate_hz)), rate_hz, tmp_path)
    assert len(found) == pytest.approx(6 * rate_hz, abs=4 * MPEG_FRAME)
    halves = found[rate_hz : 2 * rate_hz].std(), found[4 * rate_hz : 5 * rate_hz].std()
    assert [half > 0.1 for half in halves] == [level > 0.1 for level in levels]


@pytest.mark.parametrize("bare", [False, True])
def test_two_files_in_one_are_heard_one_after_the_other(bare: bool, tmp_path: Path) -> None:
    """With and without their lengths, what `cat` puts together is as long as both."""
    one, other = mp3((0.3,)), mp3((0.1,))
    found = heard(without_length(one) + without_length(other) if bare else one + other, 44_100, tmp_path)
    assert len(found) == pytest.approx(6 * 44_100, abs=8 * MPEG_FRAME)
    assert found[44_100 : 2 * 44_100].std() > 2 * found[4 * 44_100 : 5 * 44_100].std()


def test_two_files_of_different_rates_in_one_are_refused(tmp_path: Path) -> None:
    """Sound that cannot be heard as one is not cut without a word."""
    with pytest.raises(UserError, match=r"a\.mp3 is truncated or damaged: \d+ of \d+ samples decode\. [^\n]+"):
        heard(mp3((0.3,)) + mp3((0.1,), 32_000), 44_100, tmp_path)


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
def test_tags_and_a_length_change_nothing(mode: Mode, tmp_path: Path) -> None:
    """Of a file with its length, tags before (ID3v2, with a picture) and behind it give the same samples."""
    content = mp3(LOUD_THEN_QUIET, mode=mode)
    picture = b"\xff\xd8" + b"\xff\xfb\x90\xc0" * 20 + np.random.default_rng(1).bytes(5_000)
    tag = b"APIC" + len(picture).to_bytes(4, "big") + b"\0\0" + picture
    size = len(tag)
    id3v2 = b"ID3\3\0\0" + bytes((size >> 21 & 127, size >> 14 & 127, size >> 7 & 127, size & 127)) + tag
    plain = heard(content, 44_100, tmp_path)
    assert len(plain) == 6 * 44_100
    np.testing.assert_array_equal(heard(id3v2 + content + b"TAG" + b"name".ljust(125), 44_100, tmp_path), plain)
