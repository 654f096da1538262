"""`Examples`: the log-mel of every clip a training uses, with its labels, chosen by the recipe. Nothing random.

Clips of a folder are decoded at once and kept in memory; those of shards, of which there may be millions, are read when
they are drawn. Proved by tests/train/test_examples.py.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import overload

import numpy as np
from numpy.typing import NDArray

from toolkit.audio.clip import Clip
from toolkit.audio.clips import decode_all
from toolkit.audio.dataset import Dataset
from toolkit.audio.generated import Siren, SmokeAlarm
from toolkit.audio.shards import ShardClips
from toolkit.audio.windows import window_name, windows
from toolkit.frontend import LogMel
from toolkit.specs.errors import UserError
from toolkit.specs.recipe import Recipe
from toolkit.specs.space import CLIP_SECONDS
from toolkit.train.features import FeatureStore, Halves, log_mel

Places = NDArray[np.int64]
Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many are done, how many there are."""

GENERATED_SECONDS = 8.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Example:
    """One clip as the network hears it, and the labels it is trained for.

    `source` is its log-mel [T, F] in dB, float16; or gives it, for a clip that is read when it is drawn. `group` is the
    recording that it is of.
    """

    name: str
    source: Halves | Callable[[], Halves]
    labels: tuple[str, ...]
    generated: bool = False
    group: str = ""

    @property
    def log_mel(self) -> Halves:
        """Log-mel [T, F] in dB, float16."""
        return self.source() if callable(self.source) else self.source

    @cached_property
    def levels(self) -> np.ndarray:
        """Mean mel power of each frame [T]."""
        return np.asarray((10 ** (self.log_mel.astype(np.float32) / 10)).mean(axis=1))


class StoredExamples(Sequence[Example]):
    """Examples of the clips of shards, cut or filled up to so many `samples` if asked, then the generated ones."""

    def __init__(
        self, dataset: Dataset, store: FeatureStore, samples: int | None = None, generated: Sequence[Example] = ()
    ) -> None:
        self.dataset, self._store, self._samples, self._generated = dataset, store, samples, tuple(generated)

    def __len__(self) -> int:
        return len(self.dataset.clips) + len(self._generated)

    @overload
    def __getitem__(self, at: int) -> Example: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Example]: ...
    def __getitem__(self, at: int | slice) -> Example | Sequence[Example]:
        if isinstance(at, slice):
            return [self[place] for place in range(*at.indices(len(self)))]
        place = range(len(self))[at]
        stored = len(self.dataset.clips)
        if place >= stored:
            return self._generated[place - stored]
        clip = self.dataset.clips[place]
        return Example(clip.name, lambda: self._store.many([clip], self._samples)[0], clip.labels, group=clip.group)

    def positions(self) -> Mapping[str | None, Places]:
        """Places of the stored ones by label, under None those without."""
        return self.dataset.positions()

    @property
    def generated(self) -> Mapping[int, Example]:
        """The generated ones by place."""
        return dict(enumerate(self._generated, start=len(self.dataset.clips)))


@dataclass(frozen=True, eq=False)
class Examples:
    """What a training learns from. `train` holds generated sounds too, `validation` recordings only."""

    labels: tuple[str, ...]
    train: Sequence[Example]
    validation: Sequence[Example]
    clips: Sequence[Clip]
    """The recordings behind both, for the credits."""
    data_hash: str
    broken: int

    @cached_property
    def pools(self) -> Mapping[str | None, tuple[Places, Places]]:
        """For each label, and under None for no label, the places in `train` of recordings and of generated sounds."""
        if isinstance(self.train, StoredExamples):
            recorded = self.train.positions()
            made: Mapping[int, Example] = self.train.generated
        else:
            found: dict[str | None, list[int]] = {label: [] for label in (None, *self.labels)}
            for place, example in enumerate(self.train):
                for label in () if example.generated else example.labels or (None,):
                    found[label].append(place)
            recorded = {label: np.array(places, dtype=np.int64) for label, places in found.items()}
            made = {place: example for place, example in enumerate(self.train) if example.generated}
        return {
            label: (recorded[label], np.array([at for at, one in made.items() if label in one.labels], dtype=np.int64))
            for label in (None, *self.labels)
        }

    def targets(self, examples: Sequence[Example]) -> np.ndarray:
        """Zeros and ones [N, L], one row an example."""
        return np.array([[label in example.labels for label in self.labels] for example in examples], dtype=np.float32)

    def count(self, label: str, split: str) -> int:
        """Recordings with a label, generated sounds left out."""
        return self._counts[split][label]

    @cached_property
    def _counts(self) -> Mapping[str, Mapping[str, int]]:
        heard = Dataset(self.clips, self.labels)
        return {split: heard.subset(split=split).clips_per_label() for split in ("train", "validation")}

    def summary(self) -> str:
        """One sentence on what was heard."""
        if isinstance(self.clips, ShardClips):
            splits = {split: len(self.clips.where(split, self.labels, None)) for split in ("train", "validation")}
        else:
            splits = Counter(clip.split for clip in self.clips)
        generated = sum(len({*places}) for _, places in [self.pools[None], *map(self.pools.__getitem__, self.labels)])
        broken = f", {self.broken} broken ones left out" if self.broken else ""
        return (
            f"{splits['train']} recordings to train and {splits['validation']} to validate{broken}, "
            f"{generated} generated sounds to train."
        )


def gather(
    recipe: Recipe, dataset: Dataset, on_progress: Progress, store: Callable[[], FeatureStore] | None = None
) -> Examples:
    """Choose labels and clips by the recipe, decode them and compute their log-mel; from shards, when they are drawn.

    A label is trained when enough recordings of it stand in both splits; a clip all of whose labels are left out is
    left out, because it is no background either.

    Args:
        recipe: what to take.
        dataset: labelled recordings.
        on_progress: told what is done.
        store: makes the store for clips of shards; one in memory if none is given.

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
    if isinstance(wanted.clips, ShardClips):
        heard = Dataset(wanted.clips.hearing(labels), labels)
        return _from_shards(recipe, heard, on_progress, store or (lambda: FeatureStore(recipe.front_end)))
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
            train.append(Example(item.clip.name, log_mel(front_end, item.waveform), kept, group=item.clip.group))
        else:
            for name, window in _validated(item.clip, item.waveform, rate_hz):
                validation.append(Example(name, log_mel(front_end, window), kept, group=item.clip.group))
        on_progress("front end", number, len(decoded.clips))
    train.extend(_generate(recipe, front_end, labels, on_progress))
    return Examples(labels, tuple(train), tuple(validation), used.clips, used.data_hash, len(decoded.broken))


def _from_shards(recipe: Recipe, heard: Dataset, on_progress: Progress, store: Callable[[], FeatureStore]) -> Examples:
    """Clips of shards decoded when they were written, and long ones were cut: nothing is read but the index."""
    generated = _generate(recipe, LogMel(recipe.front_end), heard.labels, on_progress)
    features = store()
    return Examples(
        heard.labels,
        StoredExamples(heard.subset(split="train"), features, generated=generated),
        StoredExamples(heard.subset(split="validation"), features, CLIP_SECONDS * recipe.front_end.sample_rate_hz),
        heard.clips,
        heard.data_hash,
        0,
    )


def _validated(clip: Clip, waveform: np.ndarray, rate_hz: int) -> list[tuple[str, np.ndarray]]:
    """Windows of 10 s with their names, zeros after the last: an hour is judged as a whole, not by its beginning."""
    parts = windows(waveform, CLIP_SECONDS, rate_hz)
    names = [clip.name]
    if len(parts) > 1:
        names = [window_name(clip.name, at * CLIP_SECONDS, (at + 1) * CLIP_SECONDS) for at in range(len(parts))]
    samples = CLIP_SECONDS * rate_hz
    return [(name, np.pad(part, (0, samples - len(part)))) for name, part in zip(names, parts, strict=True)]


def _trained_labels(recipe: Recipe, dataset: Dataset) -> tuple[str, ...]:
    train, held_out = (dataset.subset(split=split).clips_per_label() for split in ("train", "validation"))
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
