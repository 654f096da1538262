"""`Material`: what all units of a reproduction share: the training clips and the two sets of mixtures.

Decoding and front end run once a process. Proved by tests/reproduce/test_units.py.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass

from toolkit.audio.clip import Clip
from toolkit.audio.clips import decode_all
from toolkit.audio.dataset import Dataset
from toolkit.frontend import LogMel
from toolkit.reproduce.bootstrap import Numbers, recording_weights
from toolkit.reproduce.mixtures import TEST_MIXTURES, VALIDATION_MIXTURES, Mixture, make_mixtures
from toolkit.reproduce.split import carve_test
from toolkit.specs.recipe import Recipe
from toolkit.specs.unit import DataFacts, LabelFacts
from toolkit.train.examples import Example, Examples, Progress, gather
from toolkit.train.features import log_mel
from toolkit.train.metrics import Scores


@dataclass(frozen=True, eq=False)
class MixtureSet:
    """Mixtures of one split and their targets [N, L]."""

    mixtures: tuple[Mixture, ...]
    examples: tuple[Example, ...]
    targets: Scores


@dataclass(frozen=True, eq=False)
class Material:
    """Training clips, mixtures of the validation and of the test split, and what is to be said of them."""

    examples: Examples
    validation: MixtureSet
    test: MixtureSet
    weights: Numbers
    """Bootstrap weights [R, N] of the test mixtures."""
    facts: DataFacts


def gather_material(
    recipe: Recipe,
    dataset: Dataset,
    on_progress: Progress,
    counts: tuple[int, int] = (VALIDATION_MIXTURES, TEST_MIXTURES),
) -> Material:
    """Carve the test split, decode all clips that the recipe takes, and mix `counts` for validation and test.

    Raises:
        UserError: no label has enough recordings.
    """
    carved = carve_test(dataset)
    examples = gather(recipe, carved, on_progress)
    held_out = _recordings(recipe, carved, examples, on_progress)
    sets = []
    for number, (split, count) in enumerate(zip(("validation", "test"), counts, strict=True)):
        groups: dict[str, list[Example]] = defaultdict(list)
        for clip, example in held_out:
            if clip.split == split:
                groups[clip.group].append(example)
        mixtures = tuple(make_mixtures(groups, count, recipe.front_end, number))
        mixed = tuple(mixture.example for mixture in mixtures)
        sets.append(MixtureSet(mixtures, mixed, examples.targets(mixed)))
    validation, test = sets
    weights = recording_weights([[event.group for event in mixture.events] for mixture in test.mixtures])
    clips = [*examples.clips, *(clip for clip, _ in held_out if clip.split == "test")]
    return Material(examples, validation, test, weights, _facts(examples, clips, validation, test))


def _recordings(
    recipe: Recipe, dataset: Dataset, examples: Examples, on_progress: Progress
) -> list[tuple[Clip, Example]]:
    """Clips of validation and test at their own length, with the labels that are trained."""
    tier = dataset.subset(tier="open") if recipe.tier == "open" else dataset
    background = [label for label in recipe.background_labels if label in tier.labels]
    wanted = tier.subset(labels=[*examples.labels, *background]).clips
    clips = [clip for clip in wanted if clip.split in ("validation", "test")]
    rate_hz = recipe.front_end.sample_rate_hz
    decoded = decode_all(clips, rate_hz, on_progress=lambda n, of: on_progress("decoding for mixtures", n, of))
    front_end = LogMel(recipe.front_end)
    return [
        (item.clip, Example(item.clip.name, log_mel(front_end, item.waveform), _kept(item.clip, examples)))
        for item in decoded.clips
    ]


def _kept(clip: Clip, examples: Examples) -> tuple[str, ...]:
    return tuple(label for label in clip.labels if label in examples.labels)


def _facts(examples: Examples, clips: list[Clip], validation: MixtureSet, test: MixtureSet) -> DataFacts:
    digest = hashlib.sha256(examples.data_hash.encode())
    for each in (validation, test):
        digest.update(repr([(mixture.events, mixture.background) for mixture in each.mixtures]).encode())

    def facts(own: list[Clip], mixtures: tuple[int, int]) -> LabelFacts:
        count = {split: sum(clip.split == split for clip in own) for split in ("train", "validation", "test")}
        return LabelFacts(
            train_clips=count["train"],
            validation_clips=count["validation"],
            test_clips=count["test"],
            test_groups=len({clip.group for clip in own if clip.split == "test"}),
            validation_mixtures=mixtures[0],
            test_mixtures=mixtures[1],
        )

    with_background = [sum(mixture.background is not None for mixture in each.mixtures) for each in (validation, test)]
    return DataFacts(
        data_digest=digest.hexdigest()[:16],
        data_hash=examples.data_hash,
        summary=examples.summary(),
        total=facts(clips, (len(validation.mixtures), len(test.mixtures))),
        labels={
            label: facts(
                [clip for clip in clips if label in clip.labels],
                (int(validation.targets[:, column].sum()), int(test.targets[:, column].sum())),
            )
            for column, label in enumerate(examples.labels)
        },
        background=facts(
            [clip for clip in clips if not _kept(clip, examples)], (with_background[0], with_background[1])
        ),
    )
