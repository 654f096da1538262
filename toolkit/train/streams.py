"""Validation streams: long scenes of mixed validation clips with known events, on which decisions are fitted.

Clips are mixed on mel power over generated noise, each to a level of its own above the noise, at random times. An event
lasts from the first to the last frame of its clip within 20 dB of the loudest. Clips without a label stand there too,
as sounds that must raise no alarm. No clip is heard more than twice; all clips of a recording are in the same half of
the streams, so that what is fitted on one half can be measured on the other. Events of a label keep a distance at which
a listener with a 10 s window can tell them apart. On average an event comes every 20 s, which is busier than a home.
Axis letters: T frames, F mel bins. Proved by tests/train/test_streams.py.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.recipe import Recipe
from toolkit.specs.space import CLIP_SECONDS, STREAM_CHUNK_FRAMES
from toolkit.train.examples import Example, Examples

HALVES = (0, 1)
MAX_USES = 2
EVENTS_PER_LABEL = (4, 16)
"""At most the second, where there are clips; fewer, but not below the first, where there are hundreds of labels."""
MAX_EVENTS = 720
SECONDS_PER_EVENT = 20.0
STREAM_SECONDS = 184.0
LEAST_STREAM_SECONDS = 46.0
APART_SECONDS = CLIP_SECONDS + 5.0
"""Between two events of a label: a window, and the hops that a decoder bridges."""
SNR_DB = (10.0, 40.0)
"""Of an event's loudest frame above the noise."""
GAIN_DB = (-15.0, 5.0)
"""Of a stream's loudest event against its recording."""
EVENT_RANGE_DB = 20.0
NOISE_TILT_DB = (-20.0, 5.0)
LEAD_CHUNKS, TAIL_CHUNKS = 2, 3
PLACING_TRIES = 100


@dataclass(frozen=True)
class StreamEvent:
    """A label heard from `onset_s` to `offset_s`."""

    label: str
    onset_s: float
    offset_s: float


@dataclass(frozen=True, eq=False)
class Part:
    """A clip in a stream: log-mel [T, F] without the silence that pads it, and the frame at which it begins."""

    example: Example
    log_mel: np.ndarray
    first: int
    last: int
    """First and last frame of the clip that belong to its event."""
    start: int
    snr_db: float


@dataclass(frozen=True, eq=False)
class Stream:
    """One scene; its frames are mixed when they are asked for, the same each time."""

    half: int
    chunks: int
    parts: tuple[Part, ...]
    front_end: FrontEndSpec
    seed: tuple[int, ...]

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.front_end.seconds(self.chunks * STREAM_CHUNK_FRAMES)

    @property
    def events(self) -> tuple[StreamEvent, ...]:
        """What a listener should tell, by onset."""
        seconds = self.front_end.seconds
        found = [
            StreamEvent(label, seconds(part.start + part.first), seconds(part.start + part.last + 1))
            for part in self.parts
            for label in part.example.labels
        ]
        return tuple(sorted(found, key=lambda event: event.onset_s))

    def mix(self) -> NDArray[np.float32]:
        """Log-mel [T, F] in dB."""
        rng = np.random.default_rng(self.seed)
        spec = self.front_end
        tilt_db = np.linspace(0, rng.uniform(*NOISE_TILT_DB), spec.mel_bins)
        power = 10 ** (tilt_db / 10) * rng.gamma(4.0, 0.25, size=(self.chunks * STREAM_CHUNK_FRAMES, spec.mel_bins))
        power /= power.mean()
        gain = 1e-6
        loudest_db = -math.inf
        for part in self.parts:
            clip = 10 ** (part.log_mel.astype(np.float64) / 10)
            level = clip.mean(axis=1).max()
            power[part.start : part.start + len(clip)] += clip * (10 ** (part.snr_db / 10) / level)
            if part.snr_db > loudest_db:
                loudest_db, gain = part.snr_db, level / 10 ** (part.snr_db / 10)
        gain *= 10 ** (rng.uniform(*GAIN_DB) / 10)
        return (10 * np.log10(np.maximum(power * gain, spec.floor_power))).astype(np.float32)


def plan_streams(examples: Examples, recipe: Recipe) -> tuple[Stream, ...]:
    """Streams of equal length from the validation clips, as many in one half as in the other.

    About two hours for the default data, less where there are few clips: `SECONDS_PER_EVENT` for each clip used.
    """
    rng = np.random.default_rng([recipe.seed, 3])
    used = [_used(rng, half, examples.labels) for half in split_in_halves(rng, examples)]
    seconds = max(LEAST_STREAM_SECONDS, SECONDS_PER_EVENT * max(len(clips) for clips in used))
    count = math.ceil(seconds / STREAM_SECONDS)
    chunks = math.ceil(seconds / count / recipe.front_end.seconds(STREAM_CHUNK_FRAMES))
    return tuple(
        Stream(half, chunks, _place(rng, used[half][number::count], chunks, recipe.front_end), recipe.front_end, seed)
        for half in HALVES
        for number in range(count)
        for seed in [(recipe.seed, 4, half, number)]
    )


def split_in_halves(rng: np.random.Generator, examples: Examples) -> tuple[list[Example], list[Example]]:
    """Validation clips in two halves: all clips of a recording in one, each label as even as that allows."""
    groups: dict[str, list[Example]] = defaultdict(list)
    for example in examples.validation:
        groups[example.group or example.name].append(example)
    total = Counter(label for example in examples.validation for label in _kinds(example))
    order = [list(groups)[index] for index in rng.permutation(len(groups))]
    order.sort(key=lambda group: min(total[label] for example in groups[group] for label in _kinds(example)))
    halves: tuple[list[Example], list[Example]] = ([], [])
    held: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    for group in order:
        kinds = Counter(label for example in groups[group] for label in _kinds(example))
        half = min(HALVES, key=lambda half: (sum(held[half][kind] / total[kind] for kind in kinds), len(halves[half])))
        halves[half].extend(groups[group])
        held[half].update(kinds)
    return halves


def _kinds(example: Example) -> tuple[str, ...]:
    return example.labels or ("",)


def _used(rng: np.random.Generator, clips: Sequence[Example], labels: Sequence[str]) -> list[Example]:
    """Clips as often as they are heard; neighbours have the same label, so that dealing them out spreads labels."""
    least, most = EVENTS_PER_LABEL
    wanted = min(most, max(least, MAX_EVENTS // len(labels))) // len(HALVES)
    held: Counter[str] = Counter()
    used = []
    for _ in range(MAX_USES):
        for index in rng.permutation(len(clips)):
            if any(held[label] < wanted for label in clips[index].labels):
                used.append(clips[index])
                held.update(clips[index].labels)
    silent = [clip for clip in clips if not clip.labels] * MAX_USES
    return sorted(used, key=lambda clip: clip.labels) + silent[: len(used)]


def _place(
    rng: np.random.Generator, clips: Sequence[Example], chunks: int, front_end: FrontEndSpec
) -> tuple[Part, ...]:
    """Clips at random times, those of a label apart; one that finds no place, or holds no sound, is left out."""
    parts: list[Part] = []
    apart = round(APART_SECONDS * front_end.frames_per_second)
    for clip in clips:
        heard = without_padding(clip.log_mel, front_end)
        if not len(heard):
            continue
        first, last = event_span(heard)
        latest = (chunks - TAIL_CHUNKS) * STREAM_CHUNK_FRAMES - len(heard)
        snr_db = rng.uniform(*SNR_DB)
        others = [other for other in parts if set(other.example.labels) & set(clip.labels)]
        for start in rng.integers(LEAD_CHUNKS * STREAM_CHUNK_FRAMES, latest, size=PLACING_TRIES):
            if all(
                start + first > other.start + other.last + apart or start + last + apart < other.start + other.first
                for other in others
            ):
                parts.append(Part(clip, heard, first, last, int(start), snr_db))
                break
    return tuple(parts)


def without_padding(log_mel: np.ndarray, front_end: FrontEndSpec) -> np.ndarray:
    """A clip [T, F] without the digital silence at its end."""
    floor_db = 10 * math.log10(front_end.floor_power)
    heard = np.flatnonzero(log_mel.max(axis=1) > floor_db + 1)
    return log_mel[: heard[-1] + 1] if len(heard) else log_mel[:0]


def event_span(log_mel: np.ndarray) -> tuple[int, int]:
    """First and last frame of [T, F] within `EVENT_RANGE_DB` of the loudest."""
    levels = (10 ** (log_mel.astype(np.float64) / 10)).mean(axis=1)
    loud = np.flatnonzero(levels >= levels.max() * 10 ** (-EVENT_RANGE_DB / 10))
    return int(loud[0]), int(loud[-1])
