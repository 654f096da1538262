"""Evaluation sets of multi-label mixtures: recorded events at known times and levels over a recorded background.

Mixing works on mel power. The sets hang on the recordings and on a seed of their own, not on the training's: every
unit is judged on the same mixtures. Training crops are mixed elsewhere (`toolkit.train.batches`).
Axis letters: T frames, F mel bins. Proved by tests/reproduce/test_mixtures.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.space import mode_frames
from toolkit.train.examples import Example

VALIDATION_MIXTURES, TEST_MIXTURES = 600, 800
MIXTURE_SEED = 2023
MOST_EVENTS = 3
EVENT_FRAMES = 500
"""A longer recording gives 5 s around its loudest frame."""
EVENT_LEVEL_DB = (-10.0, 10.0)
"""Loudest frame of the second and third event against the first one's."""
BACKGROUND_SNR_DB = (3.0, 30.0)
"""Loudest frame of the first event against the background's."""
LEVEL_DB = (-20.0, 5.0)
"""Of the whole mixture, against the first event as it was recorded."""

Recordings = Mapping[str, Sequence[Example]]
"""Examples by source recording (group)."""


@dataclass(frozen=True)
class Placed:
    """One recording in a mixture: which frames it fills and how loud its loudest frame is against the first event's."""

    name: str
    group: str
    start_frame: int
    frames: int
    level_db: float


@dataclass(frozen=True, eq=False)
class Mixture:
    """10 s of log-mel [T, F] with the labels of its events, and what was put where."""

    example: Example
    events: tuple[Placed, ...]
    background: Placed | None


def make_mixtures(recordings: Recordings, count: int, front_end: FrontEndSpec, seed: int) -> list[Mixture]:
    """So many mixtures of the recordings of one split.

    Each has 1, 2 or 3 events of different groups. Groups are dealt like cards, so that each is used about equally
    often, and so are the clips of a group. Clips without labels are background; with none of them there is silence.
    """
    rng = np.random.default_rng([MIXTURE_SEED, seed])
    events, backgrounds = _by_group(recordings, labelled=True), _by_group(recordings, labelled=False)
    event_deck, background_deck = _deal(events, rng), _deal(backgrounds, rng)
    mixtures = []
    for number in range(count):
        parts: dict[str, Example] = {}
        wanted = min(int(rng.integers(1, MOST_EVENTS + 1)), len(events))
        while len(parts) < wanted:
            group, example = next(event_deck)
            parts.setdefault(group, example)
        background = next(background_deck) if backgrounds else None
        mixtures.append(_mix(f"mixture {number}", parts, background, front_end, rng))
    return mixtures


def _by_group(recordings: Recordings, *, labelled: bool) -> dict[str, list[Example]]:
    found: dict[str, list[Example]] = defaultdict(list)
    for group in sorted(recordings):
        for example in sorted(recordings[group], key=lambda example: example.name):
            if bool(example.labels) == labelled:
                found[group].append(example)
    return found


def _deal(groups: Recordings, rng: np.random.Generator) -> Iterator[tuple[str, Example]]:
    """Groups without end, each once a round, with the next of its clips."""
    names = list(groups)
    turn = 0
    while True:
        for index in rng.permutation(len(names)):
            clips = groups[names[index]]
            yield names[index], clips[turn % len(clips)]
        turn += 1


def _mix(
    name: str,
    parts: Mapping[str, Example],
    background: tuple[str, Example] | None,
    front_end: FrontEndSpec,
    rng: np.random.Generator,
) -> Mixture:
    frames = mode_frames(front_end, "clip")
    power = np.zeros((frames, front_end.mel_bins))
    placed: list[Placed] = []
    first_level = 0.0
    for group, example in parts.items():
        crop = _power(example)[_loudest_part(example, rng)]
        level = float(crop.mean(axis=1).max())
        first_level = first_level or level
        level_db = float(rng.uniform(*EVENT_LEVEL_DB)) if placed else 0.0
        start = int(rng.integers(frames - len(crop) + 1))
        power[start : start + len(crop)] += crop * (first_level / level * 10 ** (level_db / 10))
        placed.append(Placed(example.name, group, start, len(crop), level_db))
    under = None
    if background is not None:
        group, example = background
        looped = _power(example).take(rng.integers(len(example.log_mel)) + np.arange(frames), axis=0, mode="wrap")
        level_db = -float(rng.uniform(*BACKGROUND_SNR_DB))
        power += looped * (first_level / looped.mean(axis=1).max() * 10 ** (level_db / 10))
        under = Placed(example.name, group, 0, frames, level_db)
    power *= 10 ** (rng.uniform(*LEVEL_DB) / 10)
    log_mel = (10 * np.log10(np.maximum(power, front_end.floor_power))).astype(np.float16)
    labels = tuple(sorted({label for example in parts.values() for label in example.labels}))
    return Mixture(Example(name, log_mel, labels), tuple(placed), under)


def _power(example: Example) -> NDArray[np.float64]:
    return np.asarray(10 ** (example.log_mel.astype(np.float64) / 10))


def _loudest_part(example: Example, rng: np.random.Generator) -> slice:
    """At most `EVENT_FRAMES` frames that hold the loudest one."""
    total, peak = len(example.log_mel), int(example.levels.argmax())
    length = min(total, EVENT_FRAMES)
    start = int(rng.integers(max(0, peak - length + 1), min(peak, total - length) + 1))
    return slice(start, start + length)
