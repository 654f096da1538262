"""Training batches: label-balanced draws, mixed at random levels on power, band-limited, masked.

Each row of a batch depends on (seed, stage, step, row) alone: a resumed training sees what it would have seen, and
processes that share a batch draw its rows apart.
Axis letters: B batch, T frames, F mel bins, L labels. Proved by tests/train/test_batches.py.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.frontend.mel import mel_filters
from toolkit.specs.recipe import Augmentation, Recipe
from toolkit.train.examples import Example, Examples, Places, StoredExamples

Floats = NDArray[np.float32]
GENERATED_SHARE = 0.5
"""Of the draws of a label that has both recordings and generated sounds."""
SHORTEST_PART = 3
"""A part that is put into silence is at least this fraction of a crop."""
CROP_TRIES = 4
AUDIBLE_SHARE = 0.01
"""A crop whose loudest frame lies 20 dB below the clip's loudest holds silence, not the event."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Clean and masked log-mel [B, 1, T, F] in dB, targets [B, L], and the names of the clips mixed in each crop."""

    clean: Floats
    masked: Floats
    targets: Floats
    parts: tuple[tuple[str, ...], ...]


class Batches:
    """Draws the batches of one training."""

    def __init__(self, examples: Examples, recipe: Recipe) -> None:
        self.recipe, self.labels, self.data_hash = recipe, examples.labels, examples.data_hash
        self.row = {label: index for index, label in enumerate(examples.labels)}
        self.train = examples.train
        self.pools = [examples.pools[label] for label in examples.labels]
        self.background, _ = examples.pools[None]
        spec = recipe.front_end
        self.centres_hz = mel_filters(spec).argmax(axis=1) * spec.sample_rate_hz / spec.window_samples

    def draw(self, stage: str, step: int, rows: Iterable[int] | None = None) -> Batch:
        """The batch of one step of one stage, or some rows of it."""
        key = [self.recipe.seed, 2, zlib.crc32(stage.encode()), step]
        seeds = [[*key, row] for row in (range(self.recipe.batch_size) if rows is None else rows)]
        if isinstance(self.train, StoredExamples):
            with ThreadPoolExecutor() as readers:
                drawn = list(readers.map(self._row, seeds))
        else:
            drawn = [self._row(seed) for seed in seeds]
        clean, masked, targets, parts = zip(*drawn, strict=True)
        return Batch(np.stack(clean)[:, None], np.stack(masked)[:, None], np.stack(targets), parts)

    def each(self, stage: str, steps: range, rows: Iterable[int]) -> Iterator[Batch]:
        """The batches of `steps`, each drawn while the one before it is used."""
        kept = list(rows)
        with ThreadPoolExecutor(1) as pool:
            coming = [pool.submit(self.draw, stage, step, kept) for step in steps[:1]]
            for step in steps:
                batch = coming.pop().result()
                if step + 1 in steps:
                    coming.append(pool.submit(self.draw, stage, step + 1, kept))
                yield batch

    def _row(self, seed: list[int]) -> tuple[Floats, Floats, Floats, tuple[str, ...]]:
        rng = np.random.default_rng(seed)
        crop, labels, names = self._crop(rng)
        targets = np.zeros(len(self.labels), dtype=np.float32)
        targets[[self.row[label] for label in labels]] = 1.0
        return crop, mask(rng, crop, self.recipe.augmentation), targets, names

    def _crop(self, rng: np.random.Generator) -> tuple[Floats, tuple[str, ...], tuple[str, ...]]:
        """One mixed crop [T, F] in dB, its labels and the names of what is in it."""
        how = self.recipe.augmentation
        parts = [self._event(rng)]
        gains_db = [0.0]
        if rng.random() < how.mix_probability:
            parts.append(self._event(rng))
            gains_db.append(-rng.uniform(*how.mix_snr_db))
        if len(self.background) and rng.random() < how.background_probability:
            parts.append(self._one_of(rng, self.background))
            gains_db.append(-rng.uniform(*how.background_snr_db))
        power = np.zeros((self.recipe.crop_frames, self.recipe.front_end.mel_bins), dtype=np.float32)
        loudest = 0.0
        for part, gain_db in zip(parts, gains_db, strict=True):
            crop = crop_power(rng, part, self.recipe.crop_frames, how.silence_probability)
            level = float(crop.mean(axis=1).max())
            if not loudest:
                loudest = level
            relative = loudest / level if level > 0 and loudest > 0 else 1.0
            power += crop * np.float32(relative * 10 ** (gain_db / 10))
        power *= np.float32(10 ** (rng.uniform(*how.level_db) / 10))
        if rng.random() < how.band_limit_probability:
            power *= self._band_limit(rng)
        if rng.random() < how.noise_floor_probability:
            power += noise_floor(rng, power.shape, how)
        labels = tuple(sorted({label for part in parts for label in part.labels}))
        crop_db = 10 * np.log10(np.maximum(power, self.recipe.front_end.floor_power))
        return crop_db.astype(np.float32), labels, tuple(part.name for part in parts)

    def _event(self, rng: np.random.Generator) -> Example:
        """A clip drawn uniformly, or of a label drawn uniformly; background counts as one more label."""
        if self.recipe.draw == "clips":
            return self.train[int(rng.integers(len(self.train)))]
        pick = rng.integers(len(self.pools) + bool(len(self.background)))
        if pick == len(self.pools):
            return self._one_of(rng, self.background)
        recorded, generated = self.pools[pick]
        return self._one_of(rng, generated if len(generated) and rng.random() < GENERATED_SHARE else recorded)

    def _one_of(self, rng: np.random.Generator, places: Places) -> Example:
        return self.train[int(places[rng.integers(len(places))])]

    def _band_limit(self, rng: np.random.Generator) -> Floats:
        """Factors [F] of a low-pass: audio that was once sampled at a lower rate."""
        low_hz, high_hz = self.recipe.augmentation.band_limit_hz
        cutoff_hz = np.exp(rng.uniform(np.log(low_hz), np.log(high_hz)))
        octaves_above = np.maximum(np.log2(self.centres_hz / cutoff_hz), 0.0)
        return np.asarray(10 ** (-octaves_above * rng.uniform(30, 600) / 10), dtype=np.float32)


def crop_power(rng: np.random.Generator, example: Example, frames: int, silence_probability: float) -> Floats:
    """A random crop [frames, F] of a clip as mel power, loud enough to hold its event.

    A shorter clip stands at random in silence, and so does, with `silence_probability`, a shorter part of a long one.
    """
    length = min(len(example.log_mel), frames)
    if rng.random() < silence_probability:
        length = min(length, int(rng.integers(frames // SHORTEST_PART, frames)))
    levels = example.levels
    starts = rng.integers(len(levels) - length + 1, size=CROP_TRIES)
    heard = (start for start in starts if levels[start : start + length].max() >= AUDIBLE_SHARE * levels.max())
    start = next(heard, min(int(levels.argmax()), len(levels) - length))
    power = np.zeros((frames, example.log_mel.shape[1]), dtype=np.float32)
    place = rng.integers(frames - length + 1)
    power[place : place + length] = 10 ** (example.log_mel[start : start + length].astype(np.float32) / 10)
    return power


def noise_floor(rng: np.random.Generator, shape: tuple[int, int], how: Augmentation) -> Floats:
    """Steady noise [T, F] of random level and tilt, as microphones and codecs add it."""
    frames, bins = shape
    level_db = rng.uniform(*how.noise_floor_db) + np.linspace(0, rng.uniform(-20, 5), bins)
    return np.asarray(10 ** (level_db / 10) * rng.gamma(4.0, 0.25, size=(frames, bins)), dtype=np.float32)


def mask(rng: np.random.Generator, crop: Floats, how: Augmentation) -> Floats:
    """SpecAugment: stripes of time and frequency of [T, F] set to the crop's mean. Source: Park et al. (2019)."""
    masked = crop.copy()
    fill = crop.mean()
    for _ in range(how.time_masks):
        width = int(rng.integers(how.time_mask_frames + 1))
        start = rng.integers(max(1, len(crop) - width + 1))
        masked[start : start + width] = fill
    for _ in range(how.frequency_masks):
        width = int(rng.integers(how.frequency_mask_bins + 1))
        start = rng.integers(max(1, crop.shape[1] - width + 1))
        masked[:, start : start + width] = fill
    return masked
