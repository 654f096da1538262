"""Decoding many clips: order is kept, broken ones are reported and left out, an emptied label is an error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from toolkit.audio.clip import Clip
from toolkit.audio.clips import decode_all
from toolkit.audio.decode import write_wav
from toolkit.specs.errors import UserError


def clip(folder: Path, name: str, *labels: str, samples: int = 100, broken: bool = False) -> Clip:
    """A clip of a constant, or a file that is no sound."""
    path = folder / name
    write_wav(path, np.full(samples, 0.5, np.float32), 16_000)
    if broken:
        path.write_bytes(b"no sound")
    return Clip(path, name, labels, "train", name, path.stat().st_size)


@pytest.mark.parametrize("workers", [1, 3])
def test_order_is_kept(tmp_path: Path, workers: int) -> None:
    """Clips come back in the order asked for, at the rate asked for, whatever the number of threads."""
    clips = [clip(tmp_path, f"{index}.wav", "Dog", samples=100 * (10 - index)) for index in range(8)]
    decoded = decode_all(clips, 32_000, workers=workers)
    assert [each.clip for each in decoded.clips] == clips
    assert [len(each.waveform) for each in decoded.clips] == [200 * (10 - index) for index in range(8)]
    assert decoded.broken == []


def test_broken_clips_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A clip that does not decode is returned with its reason and logged, and the others stay."""
    good, broken = clip(tmp_path, "a.wav", "Dog"), clip(tmp_path, "b.wav", "Dog", broken=True)
    decoded = decode_all([broken, good], 16_000)
    assert [each.clip for each in decoded.clips] == [good]
    assert [each.clip for each in decoded.broken] == [broken]
    assert "b.wav is not audio" in decoded.broken[0].reason
    assert decoded.broken[0].reason in caplog.text


def test_label_left_with_no_clip(tmp_path: Path) -> None:
    """A label whose clips are all broken is an error that names it."""
    clips = [clip(tmp_path, "a.wav", "Dog"), clip(tmp_path, "b.wav", "Cat", "Dog", broken=True)]
    with pytest.raises(UserError, match=r"no usable clip is left for: Cat\."):
        decode_all(clips, 16_000)


def test_progress(tmp_path: Path) -> None:
    """The caller hears of every clip once, broken ones included."""
    clips = [clip(tmp_path, f"{index}.wav", "Dog", broken=index == 1) for index in range(3)]
    heard: list[tuple[int, int]] = []
    decode_all(clips, 16_000, on_progress=lambda done, total: heard.append((done, total)))
    assert heard == [(1, 3), (2, 3), (3, 3)]
