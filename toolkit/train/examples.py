"""`Examples`: the log-mel of every clip a training uses, with its labels, chosen by the recipe. Nothing random.

Proved by tests/train/test_examples.py.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from toolkit.audio.clip import Clip
from toolkit.audio.clips import decode_all
from toolkit.audio.dataset import Dataset
from toolkit.audio.generated import Siren, SmokeAlarm
from toolkit.frontend import LogMel
from toolkit.specs.errors import UserError
from toolkit.specs.recipe import Recipe
from toolkit.specs.space import CLIP_SECONDS

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many are done, how many there are."""

GENERATED_SECONDS = 8.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Example:
    """One clip as the network hears it: log-mel [T, F] in dB (float16), and the labels it is trained for."""

    name: str
    log_mel: np.ndarray
    labels: tuple[str, ...]
    generated: bool = False

    @cached_property
    def levels(self) -> np.ndarray:
        """Mean mel power of each frame [T]."""
        return np.asarray((10 ** (self.log_mel.astype(np.float32) / 10)).mean(axis=1))


@dataclass(frozen=True, eq=False)
class Examples:
    """What a training learns from. `train` holds generated sounds too, `validation` recordings only."""

    labels: tuple[str, ...]
    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    clips: tuple[Clip, ...]
    """The recordings behind both, for the credits."""
    data_hash: str
    broken: int

    def targets(self, examples: Sequence[Example]) -> np.ndarray:
        """Zeros and ones [N, L], one row an example."""
        return np.array([[label in example.labels for label in self.labels] for example in examples], dtype=np.float32)

    def count(self, label: str, split: str) -> int:
        """Recordings with a label, generated sounds left out."""
        return sum(clip.split == split and label in clip.labels for clip in self.clips)

    def summary(self) -> str:
        """One sentence on what was heard."""
        splits = Counter(clip.split for clip in self.clips)
        generated = sum(example.generated for example in self.train)
        broken = f", {self.broken} broken ones left out" if self.broken else ""
        return (
            f"{splits['train']} recordings to train and {splits['validation']} to validate{broken}, "
            f"{generated} generated sounds to train."
        )


def gather(recipe: Recipe, dataset: Dataset, on_progress: Progress) -> Examples:
    """Choose labels and clips by the recipe, decode them and compute their log-mel.

    A label is trained when enough recordings of it stand in both splits; a clip all of whose labels are left out is
    left out, because it is no background either.

    Raises:
        UserError: no label has enough recordings, or a label is left with none that decodes in one of the splits.
    """
    tier = dataset.subset(tier="open") if recipe.tier == "open" else dataset
    if not tier.clips:
        raise UserError(
            f"the recipe takes recordings of tier {recipe.tier} only, the data has none; use --recipe plain."
        )
    labels = _trained_labels(recipe, tier)
    background = [label for label in recipe.background_labels if label in tier.labels]
    wanted = tier.subset(labels=[*labels, *background])
    clips = [clip for clip in wanted.clips if clip.split in ("train", "validation")]
    rate_hz = recipe.front_end.sample_rate_hz
    decoded = decode_all(clips, rate_hz, on_progress=lambda n, of: on_progress("decoding", n, of))
    used = Dataset(tuple(item.clip for item in decoded.clips), labels)
    for split in ("train", "validation"):
        if empty := [label for label, count in used.subset(split=split).clips_per_label().items() if not count]:
            raise UserError(f"no {split} recording of {', '.join(empty):.300} decodes. Copy them anew or add others.")
    front_end = LogMel(recipe.front_end)
    train, validation = [], []
    for number, item in enumerate(decoded.clips, start=1):
        kept = tuple(label for label in item.clip.labels if label in labels)
        if item.clip.split == "train":
            train.append(Example(item.clip.name, log_mel(front_end, item.waveform), kept))
        else:
            validation.append(Example(item.clip.name, log_mel(front_end, ten_seconds(item.waveform, recipe)), kept))
        on_progress("front end", number, len(decoded.clips))
    train.extend(_generate(recipe, front_end, labels, on_progress))
    return Examples(labels, tuple(train), tuple(validation), used.clips, used.data_hash, len(decoded.broken))


def ten_seconds(waveform: np.ndarray, recipe: Recipe) -> np.ndarray:
    """The first 10 s, zeros after a shorter clip: the window of `clip` mode."""
    samples = CLIP_SECONDS * recipe.front_end.sample_rate_hz
    return np.pad(waveform[:samples], (0, max(0, samples - len(waveform))))


def log_mel(front_end: LogMel, waveform: np.ndarray) -> np.ndarray:
    """Log-mel [T, F] of a waveform [S], float16 (0.06 dB at worst)."""
    with torch.no_grad():
        frames = front_end(torch.from_numpy(np.ascontiguousarray(waveform, dtype=np.float32))[None])
    return np.asarray(frames[0, 0].numpy(), dtype=np.float16)


def _trained_labels(recipe: Recipe, dataset: Dataset) -> tuple[str, ...]:
    train = Counter(label for clip in dataset.clips if clip.split == "train" for label in clip.labels)
    held_out = Counter(label for clip in dataset.clips if clip.split == "validation" for label in clip.labels)
    enough = {
        label
        for label in dataset.labels
        if train[label] >= recipe.min_train_clips and held_out[label] >= recipe.min_validation_clips
    } - set(recipe.background_labels)
    left_out = sorted(set(dataset.labels) - enough)
    if left_out:
        _log.warning("too few recordings or background, not trained: %s", ", ".join(left_out))
    if not enough:
        raise UserError(
            f"no label has {recipe.min_train_clips} training and {recipe.min_validation_clips} validation recordings; "
            "add recordings or lower min_train_clips and min_validation_clips in the recipe."
        )
    return tuple(sorted(enough))


def _generate(recipe: Recipe, front_end: LogMel, labels: tuple[str, ...], on_progress: Progress) -> list[Example]:
    kinds: dict[str, type[SmokeAlarm | Siren]] = {"Alarm": SmokeAlarm, "Siren": Siren}
    rng = np.random.default_rng([recipe.seed, 1])
    examples = []
    for label, count in recipe.generated.items():
        if label not in labels:
            raise UserError(f"the recipe generates {label} sounds, but {label} is not among the trained labels.")
        for number in range(count):
            sound = kinds[label].draw(rng, reserved=False)
            waveform = sound.render(GENERATED_SECONDS, recipe.front_end.sample_rate_hz, rng)
            examples.append(Example(f"generated {label} {number}", log_mel(front_end, waveform), (label,), True))
            on_progress(f"generating {label}", number + 1, count)
    return examples
