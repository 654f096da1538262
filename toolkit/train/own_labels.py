"""What is learnt from somebody's own recordings: which labels, from which examples, and what is no label at all.

Not the learning, which is `toolkit.train.adapt`. Proved by tests/train/test_adapt.py.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from toolkit.audio.dataset import Dataset
from toolkit.specs.errors import UserError
from toolkit.specs.recipe import Augmentation, Recipe
from toolkit.specs.run import Run
from toolkit.train.batches import noise_floor
from toolkit.train.examples import Example, Examples

LEAST = {"train": 5, "validation": 1}
"""Recordings of a new label. With five to validate its threshold is fitted, with fewer it is the default one."""
GOOD = 20
NOISES, NOISE_SECONDS = 20, 8.0
NOISE = Augmentation(noise_floor_db=(-95.0, -20.0))
"""Generated background, from near silence to a loud fan."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OwnLabels:
    """The labels of the Run to be."""

    all: tuple[str, ...]
    new: tuple[str, ...]
    """Those that get new rows."""
    judged: tuple[str, ...]
    """Those whose figures and decisions the recordings give: all of them with `only`, otherwise the new ones."""

    @classmethod
    def of(cls, run: Run, labels: tuple[str, ...], *, only: bool) -> OwnLabels:
        """Those of a Run that is taught the labels of recordings.

        Raises:
            UserError: it knows them all, and is to keep its own.
        """
        known = run.manifest.labels
        new = tuple(label for label in labels if label not in known)
        if only:
            return cls(labels, new, labels)
        if not new:
            raise UserError(
                f"Run {run.manifest.name} knows every label of the data: {', '.join(labels):.200}. Name a label after "
                "what makes it yours (My dog), or keep these labels alone with --only."
            )
        return cls((*known, *new), new, new)


def own_recipe(run: Run, name: str) -> Recipe:
    """The Run's recipe, for recordings of any origin, of which nothing is generated."""
    changed = {"name": name, "tier": "any", "draw": "labels", "generated": {}}
    return run.manifest.recipe.model_copy(update=changed | {"min_train_clips": 1, "min_validation_clips": 1})


def with_enough(run: Run, dataset: Dataset, recipe: Recipe) -> Dataset:
    """The dataset without the labels that it holds too few recordings of; those are named.

    Raises:
        UserError: no label is left.
    """
    counts = {split: dataset.subset(split=split).clips_per_label() for split in LEAST}
    least = {label: dict.fromkeys(LEAST, 1) for label in run.manifest.labels}
    sounds = [label for label in dataset.labels if label not in recipe.background_labels]
    few = [label for label in sounds if any(counts[split][label] < least.get(label, LEAST)[split] for split in LEAST)]
    found = ", ".join(f"{label} ({counts['train'][label]} + {counts['validation'][label]})" for label in few)
    told = (
        f"too few recordings of {found or 'any label':.300}. A new label needs {LEAST['train']} to train + "
        f"{LEAST['validation']} to validate, one that the Run knows 1 + 1; record about {GOOD}."
    )
    if few == sounds:
        raise UserError(told)
    if few:
        _log.warning("left out: %s", told)
    return dataset.subset(labels=[label for label in dataset.labels if label not in few])


def own_examples(examples: Examples, labels: Sequence[str], recipe: Recipe) -> Examples:
    """The examples with some of their labels, and generated noise; a clip with no such label is background."""

    def strip(some: Sequence[Example]) -> tuple[Example, ...]:
        kept = [tuple(label for label in example.labels if label in labels) for example in some]
        return tuple(dataclasses.replace(example, labels=own) for example, own in zip(some, kept, strict=True))

    train, validation = strip(examples.train), strip(examples.validation)
    if all(example.labels for example in train):
        _log.warning(
            "no recording without %s: nothing says what they are not, so false alarms are likely. Record some minutes "
            "of other sounds of the place into a folder named background.",
            " or ".join(labels),
        )
    return dataclasses.replace(examples, labels=tuple(labels), train=(*train, *_noises(recipe)), validation=validation)


def _noises(recipe: Recipe) -> list[Example]:
    spec, rng = recipe.front_end, np.random.default_rng([recipe.seed, 5])
    frames = spec.frames(round(NOISE_SECONDS * spec.sample_rate_hz))
    power = [np.maximum(noise_floor(rng, (frames, spec.mel_bins), NOISE), spec.floor_power) for _ in range(NOISES)]
    return [
        Example(f"generated noise {number}", (10 * np.log10(noise)).astype(np.float16), ())
        for number, noise in enumerate(power)
    ]
