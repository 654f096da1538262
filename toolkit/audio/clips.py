"""Clips decoded into memory by a thread pool, in order; broken ones are reported and left out.

soundfile and soxr let other threads run while they work, so threads are enough. Proved by tests/audio/test_clips.py.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from toolkit.audio.clip import Clip
from toolkit.audio.dataset import require_carried
from toolkit.audio.decode import read_audio
from toolkit.specs.errors import UserError

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class DecodedClip:
    """A clip and its sound: float32 mono, shape [samples].

    Not 16-bit: rounding would lay a noise floor over bands that are empty in audio resampled from a low rate.
    """

    clip: Clip
    waveform: np.ndarray


@dataclass(frozen=True)
class BrokenClip:
    """A clip that does not decode, and why, in one line."""

    clip: Clip
    reason: str


@dataclass(frozen=True)
class DecodedClips:
    """What `decode_all` gives: the clips that decode, in the order asked for, and those that do not."""

    clips: list[DecodedClip]
    broken: list[BrokenClip]


def decode_all(
    clips: Sequence[Clip],
    sample_rate_hz: int,
    *,
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> DecodedClips:
    """Decode `clips` at `sample_rate_hz` with `workers` threads (default: all cores).

    `on_progress(done, total)` is called in the caller's thread after each clip, for a progress bar.

    Raises:
        UserError: a label of `clips` is left with no clip that decodes.
    """
    good: list[DecodedClip] = []
    broken: list[BrokenClip] = []
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        decoded = pool.map(lambda clip: _decode(clip, sample_rate_hz), clips)
        for done, result in enumerate(decoded, start=1):
            if isinstance(result, BrokenClip):
                _log.warning("left out: %s", result.reason)
                broken.append(result)
            else:
                good.append(result)
            if on_progress:
                on_progress(done, len(clips))
    carried = (label for each in good for label in each.clip.labels)
    require_carried((label for clip in clips for label in clip.labels), carried)
    return DecodedClips(good, broken)


def read_clip(clip: Clip, sample_rate_hz: int) -> np.ndarray:
    """The sound of a clip, from its own file or from its shard, as `toolkit.audio.decode.read_audio` gives it."""
    return read_audio(clip.path, sample_rate_hz, clip.span)


def _decode(clip: Clip, sample_rate_hz: int) -> DecodedClip | BrokenClip:
    try:
        return DecodedClip(clip, read_clip(clip, sample_rate_hz))
    except UserError as error:
        return BrokenClip(clip, str(error))
