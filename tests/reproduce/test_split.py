"""The test split: whole source recordings of the training part, a fair share of each label, always the same."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from toolkit.audio.clip import Clip
from toolkit.audio.dataset import Dataset
from toolkit.reproduce.split import LEAST_CLIPS, LEAST_GROUPS, TEST_SHARE, carve_test

LABELS = ("Bell", "Cough", "Dog")


def clip(number: int, group: str, labels: tuple[str, ...], split: str = "train") -> Clip:
    """One clip of a source recording."""
    return Clip(Path(f"{number}.wav"), f"{number}.wav", labels, split, group, size_bytes=1)


@st.composite
def datasets(draw: st.DrawFn) -> Dataset:
    """Source recordings with one clip to many, of one label, of two or of none, each whole in one of two splits."""
    groups = draw(
        st.lists(
            st.tuples(
                st.integers(1, 5),
                st.sets(st.sampled_from(LABELS), max_size=2),
                st.sampled_from(["train", "train", "train", "validation"]),
            ),
            min_size=1,
            max_size=60,
        )
    )
    clips = [
        (f"group {number}", tuple(sorted(labels)), split)
        for number, (count, labels, split) in enumerate(groups)
        for _ in range(count)
    ]
    return Dataset(tuple(clip(number, *each) for number, each in enumerate(clips)), LABELS)


def groups_by_label(dataset: Dataset, split: str) -> dict[str, Counter[str]]:
    """For each label, under "" for none, how many clips of a split each source recording has."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for each in dataset.clips:
        if each.split == split:
            for label in each.labels or ("",):
                found[label][each.group] += 1
    return found


@given(dataset=datasets())
def test_no_source_recording_is_on_both_sides(dataset: Dataset) -> None:
    """A group has one split; nothing but the split of training clips changes, and no clip is lost."""
    carved = carve_test(dataset)
    splits: dict[str, set[str]] = defaultdict(set)
    for before, after in zip(dataset.clips, carved.clips, strict=True):
        splits[after.group].add(after.split)
        assert (after.name, after.labels, after.group) == (before.name, before.labels, before.group)
        assert after.split == before.split or (before.split, after.split) == ("train", "test")
    assert all(len(each) == 1 for each in splits.values())


@given(dataset=datasets(), rng=st.randoms())
def test_the_order_of_clips_does_not_matter(dataset: Dataset, rng: random.Random) -> None:
    """The same groups are taken however the clips are listed."""
    mixed = list(dataset.clips)
    rng.shuffle(mixed)
    again = carve_test(Dataset(tuple(mixed), LABELS))
    assert {each.name: each.split for each in again.clips} == {
        each.name: each.split for each in carve_test(dataset).clips
    }


@given(dataset=datasets())
def test_labels_keep_what_they_need_to_be_trained(dataset: Dataset) -> None:
    """A label of few source recordings gives none away, and no label a recording that holds a large share of it."""
    train, test = groups_by_label(dataset, "train"), groups_by_label(carve_test(dataset), "test")
    for label, groups in train.items():
        if len(groups) < LEAST_GROUPS:
            assert not test[label]
        assert all(count <= max(LEAST_CLIPS, TEST_SHARE * groups.total()) for count in test[label].values())


def test_each_label_gives_a_share_of_its_recordings() -> None:
    """Of 20 source recordings of one label each, with two clips each, 15 % are tested: 3, that is 6 clips."""
    clips = [(f"{label} {group}", (label,)) for label in LABELS for group in range(20) for _ in range(2)]
    dataset = Dataset(tuple(clip(number, *each) for number, each in enumerate(clips)), LABELS)
    test = groups_by_label(carve_test(dataset), "test")
    assert {label: (len(test[label]), test[label].total()) for label in LABELS} == dict.fromkeys(LABELS, (3, 6))


def test_a_dataset_with_a_test_split_stays_as_it_is() -> None:
    """What the makers of the data held out is tested, and nothing else."""
    clips = [clip(number, f"group {number}", ("Dog",), "test" if number < 3 else "train") for number in range(30)]
    dataset = Dataset(tuple(clips), LABELS)
    assert carve_test(dataset) == dataset
