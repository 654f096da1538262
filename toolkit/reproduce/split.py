"""`carve_test`: a test split taken from the training part by source recording; validation stays as it is.

Which groups are taken hangs on their names alone, not on the order of clips or on a random state.
Proved by tests/reproduce/test_split.py.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace

from toolkit.audio.clip import Clip
from toolkit.audio.dataset import Dataset

TEST_SHARE = 0.15
"""Of the groups of each label."""
LEAST_GROUPS = 6
"""A label with fewer groups to train keeps them all, and has no test clips."""
LEAST_CLIPS = 2
"""Of a label that has test clips; a group with so few clips is never too large for the test part."""
BACKGROUND = ""
"""Stands for a label where a clip has none."""


def carve_test(dataset: Dataset) -> Dataset:
    """The dataset with some groups of its training clips moved to split `test`; as it is if it has test clips.

    Rare labels choose first. A group that holds more than `TEST_SHARE` of a label's clips stays in training, and so
    does every group of a label that has fewer than `LEAST_GROUPS`.
    """
    if any(clip.split == "test" for clip in dataset.clips):
        return dataset
    taken = groups_to_test(clip for clip in dataset.clips if clip.split == "train")
    clips = (
        replace(clip, split="test") if clip.split == "train" and clip.group in taken else clip for clip in dataset.clips
    )
    return replace(dataset, clips=tuple(clips))


def groups_to_test(clips: Iterable[Clip]) -> set[str]:
    """The groups of training clips that are to be the test part."""
    sizes: dict[str, Counter[str]] = defaultdict(Counter)  # for each label how many clips each group has
    labels: dict[str, set[str]] = defaultdict(set)
    for clip in clips:
        for label in clip.labels or (BACKGROUND,):
            sizes[label][clip.group] += 1
            labels[clip.group].add(label)
    most = {
        label: max(LEAST_CLIPS, int(TEST_SHARE * groups.total())) if len(groups) >= LEAST_GROUPS else 0
        for label, groups in sizes.items()
    }
    chosen: set[str] = set()
    for label in sorted(sizes, key=lambda label: (len(sizes[label]), label)):
        groups = sizes[label]
        wanted = math.ceil(TEST_SHARE * len(groups))
        for group in sorted(groups, key=_lot):
            taken = chosen & groups.keys()
            if len(taken) >= wanted and sum(groups[other] for other in taken) >= LEAST_CLIPS:
                break
            if all(sizes[other][group] <= most[other] for other in labels[group]):
                chosen.add(group)
    return chosen


def _lot(group: str) -> str:
    """Orders groups as if at random, and always the same."""
    return hashlib.sha256(f"test {group}".encode()).hexdigest()
