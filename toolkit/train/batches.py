"""Training batches: label-balanced draws, mixed at random levels on power, band-limited, masked.

Each step's batch depends on (seed, phase, step) alone, so a resumed training sees what it would have seen.
Axis letters: B batch, T frames, F mel bins, L labels. Proved by tests/train/test_batches.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.frontend.mel import mel_filters
from toolkit.specs.recipe import Augmentation, Recipe
from toolkit.train.examples import Example, Examples

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
    """Clean and masked log-mel [B, 1, T, F] in dB, targets [B, L], and the names of the clips in each crop."""

    clean: Floats
    masked: Floats
    targets: Floats
    names: tuple[str, ...]


class Batches:
    """Draws the batches of one training."""

    def __init__(self, examples: Examples, recipe: Recipe) -> None:
        self.recipe, self.labels, self.data_hash = recipe, examples.labels, examples.data_hash
        self.row = {label: index for index, label in enumerate(examples.labels)}
        self.pools: list[tuple[list[Example], list[Example]]] = []
        for label in examples.labels:
            held = [example for example in examples.train if label in example.labels]
            self.pools.append(([e for e in held if not e.generated], [e for e in held if e.generated]))
        self.background = [example for example in examples.train if not example.labels]
        spec = recipe.front_end
        self.centres_hz = mel_filters(spec).argmax(axis=1) * spec.sample_rate_hz / spec.window_samples

    def draw(self, phase: int, step: int, size: int | None = None) -> Batch:
        """The batch of one step of one phase."""
        rng = np.random.default_rng([self.recipe.seed, 2, phase, step])
        crops = [self._crop(rng) for _ in range(size or self.recipe.batch_size)]
        clean = np.stack([crop for crop, _, _ in crops])
        targets = np.zeros((len(crops), len(self.labels)), dtype=np.float32)
        for row, (_, labels, _) in enumerate(crops):
            targets[row, [self.row[label] for label in labels]] = 1.0
        masked = np.stack([mask(rng, crop, self.recipe.augmentation) for crop in clean])
        return Batch(clean[:, None], masked[:, None], targets, tuple(name for _, _, name in crops))

    def _crop(self, rng: np.random.Generator) -> tuple[Floats, tuple[str, ...], str]:
        """One mixed crop [T, F] in dB, its labels and the names of what is in it."""
        how = self.recipe.augmentation
        parts = [self._event(rng)]
        gains_db = [0.0]
        if rng.random() < how.mix_probability:
            parts.append(self._event(rng))
            gains_db.append(-rng.uniform(*how.mix_snr_db))
        if self.background and rng.random() < how.background_probability:
            parts.append(self.background[rng.integers(len(self.background))])
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
        return crop_db.astype(np.float32), labels, " + ".join(part.name for part in parts)

    def _event(self, rng: np.random.Generator) -> Example:
        """A clip of a label drawn uniformly; background counts as one more label."""
        pick = rng.integers(len(self.pools) + bool(self.background))
        if pick == len(self.pools):
            return self.background[rng.integers(len(self.background))]
        recorded, generated = self.pools[pick]
        pool = generated if generated and rng.random() < GENERATED_SHARE else recorded
        return pool[rng.integers(len(pool))]

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
