"""Subnets are judged on what the Run's recipe takes, by the labels of the Run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evaluate.conftest import Place
from tests.tiny_run import TINY, write_sounds
from toolkit.audio.clip import Clip
from toolkit.audio.dataset import Dataset, load_dataset
from toolkit.evaluate.evaluator import Evaluator, quiet
from toolkit.evaluate.material import chosen, gather_for
from toolkit.specs.errors import UserError
from toolkit.specs.run import Run
from toolkit.train.examples import Example, Examples, gather

LABELS = ("Bell", "Dog", "Rain")


def test_the_runs_own_data_give_what_it_was_trained_on(place: Place) -> None:
    """The same clips in the same order, the same features, the same hash."""
    found, wanted = gather_for(place.run, place.dataset, quiet), gather(TINY, place.dataset, quiet)
    assert found.data_hash == wanted.data_hash == place.run.manifest.data_hash
    assert found.labels == wanted.labels
    for own, theirs in ((found.train, wanted.train), (found.validation, wanted.validation)):
        assert [(one.name, one.labels) for one in own] == [(one.name, one.labels) for one in theirs]
        assert all(np.array_equal(one.log_mel, other.log_mel) for one, other in zip(own, theirs, strict=True))


def test_other_labels_of_the_data_are_left_out(place: Place, tmp_path: Path) -> None:
    """Labels that the Run does not know change no target, and their clips are no background."""
    counts = {"Alarm": (2, 1), "Siren": (2, 1), "Dog": (2, 1), "Bell": (9, 9), "Dog;Bell": (1, 1)}
    examples = gather_for(place.run, load_dataset(write_sounds(tmp_path / "more", counts)), quiet)
    assert examples.labels == place.run.manifest.labels
    assert sorted(example.labels for example in examples.validation) == [("Alarm",), ("Dog",), ("Dog",), ("Siren",)]


def of(dataset: Dataset, keep: Callable[[Clip], bool]) -> Dataset:
    """Some of the clips of a dataset, with all of its labels."""
    return dataclasses.replace(dataset, clips=tuple(filter(keep, dataset.clips)))


@pytest.mark.parametrize(
    ("keep", "told"),
    [
        (lambda clip: clip.split == "train", "no validation clip of the data holds Alarm, Dog, Siren"),
        (lambda clip: clip.labels != ("Dog",) or clip.split == "train", "no validation clip of the data holds Dog"),
        (lambda clip: clip.split == "validation", "no train clip of the data holds Alarm, Dog, Siren"),
    ],
)
def test_a_split_without_a_label_is_told(place: Place, keep: Callable[[Clip], bool], told: str) -> None:
    """Without clips to judge by there is no figure, without clips to train there are no statistics."""
    with pytest.raises(UserError, match=rf"{told}, which Run tiny knows. Name the recordings"):
        gather_for(place.run, of(place.dataset, keep), quiet)


def test_data_without_a_label_of_the_run_are_refused(place: Place) -> None:
    """The labels that lack are named."""
    for kept, told in ((["Dog"], "lack 2 of the 3 labels of Run tiny: Alarm, Siren"), (["Alarm", "Dog"], "lack 1 of")):
        with pytest.raises(UserError, match=told):
            gather_for(place.run, place.dataset.subset(labels=kept), quiet)


def test_labels_in_another_tier_are_refused(place: Place) -> None:
    """A Run of open recordings is not judged on others."""
    recipe = place.run.manifest.recipe.model_copy(update={"tier": "open"})
    run = Run(place.run.folder, place.run.manifest.model_copy(update={"recipe": recipe}), place.run.results)
    assert gather_for(run, place.dataset, quiet).labels == run.manifest.labels
    clips = tuple(
        dataclasses.replace(clip, tier="closed") if clip.labels == ("Dog",) else clip for clip in place.dataset.clips
    )
    with pytest.raises(UserError, match="no recording of tier open of Dog"):
        gather_for(run, dataclasses.replace(place.dataset, clips=clips), quiet)


def test_a_run_that_was_taught_labels_is_refused(place: Place) -> None:
    """Its statistics are of recordings that are not at hand."""
    manifest = place.run.manifest.model_copy(update={"parent": "home 0123456789abcdef"})
    with pytest.raises(UserError, match=r"its parent, Run home 0123456789abcdef\. Evaluate subnets of that"):
        Evaluator(Run(place.run.folder, manifest, place.run.results), place.dataset)


def examples_of(labels: Sequence[Sequence[str]]) -> Examples:
    """Validation clips with these labels."""
    silence = np.zeros((8, 4), np.float16)
    heard = tuple(Example(str(number), silence, tuple(own)) for number, own in enumerate(labels))
    return Examples(LABELS, (), heard, (), "0" * 16, 0)


@given(
    more=st.lists(st.lists(st.sampled_from(LABELS), max_size=2, unique=True), max_size=30),
    clips=st.integers(1, 40),
    seed=st.integers(0, 9),
)
def test_a_choice_of_clips_is_fixed_and_holds_every_label(more: list[list[str]], clips: int, seed: int) -> None:
    """So many clips in their order, each once, the same for a seed; with a label each as far as they go."""
    examples = examples_of([*([label] for label in LABELS), *more])
    found = chosen(examples, clips, seed)
    places = [int(example.name) for example in found]
    assert places == sorted(set(places))
    assert len(found) == min(clips, len(examples.validation))
    assert [int(example.name) for example in chosen(examples, clips, seed)] == places
    if clips >= len(LABELS):
        assert {label for example in found for label in example.labels} == set(LABELS)


def test_all_clips_are_taken_if_no_number_is_given() -> None:
    """And other seeds choose other clips."""
    examples = examples_of([LABELS[number % 3 :][:1] for number in range(60)])
    assert chosen(examples, None, 0) == list(examples.validation)
    assert chosen(examples, 20, 0) != chosen(examples, 20, 1)
