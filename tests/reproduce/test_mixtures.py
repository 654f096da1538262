"""Evaluation mixtures: events lie where the mixture says, as loud as it says, and the sets do not change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from toolkit.reproduce.mixtures import EVENT_FRAMES, MOST_EVENTS, Mixture, Placed, make_mixtures
from toolkit.specs.front_end import FrontEndSpec
from toolkit.train.examples import Example

FRONT_END = FrontEndSpec(mel_bins=16)
FRAMES = 1000
LENGTHS = {"Bell": 30, "Cough": 80, "Dog": 200, "Rain": 1500}
BACKGROUND = "hum"
BIN = {name: 3 * number for number, name in enumerate((*LENGTHS, BACKGROUND))}
"""Each recording sounds in a mel bin of its own, so that it can be told from the others in a mixture."""


def recordings(clips: int = 1, backgrounds: bool = True) -> Mapping[str, Sequence[Example]]:
    """For each label a source recording with so many clips, and one of background."""
    rng = np.random.default_rng(3)
    found: dict[str, list[Example]] = {}
    lengths = LENGTHS | ({BACKGROUND: 300} if backgrounds else {})
    for name, frames in lengths.items():
        for number in range(clips):
            log_mel = np.full((frames, 16), -100.0, dtype=np.float16)
            log_mel[:, BIN[name]] = rng.uniform(-40, -20, frames)
            labels = () if name == BACKGROUND else (name,)
            found.setdefault(name, []).append(Example(f"{name} {number}", log_mel, labels))
    return found


def loudness_db(mixture: Mixture, name: str) -> np.ndarray:
    """Level of each frame [T] in the bin of a recording."""
    return mixture.example.log_mel[:, BIN[name]].astype(np.float64)


def parts(mixture: Mixture) -> list[Placed]:
    """Events and background."""
    return [*mixture.events, *([mixture.background] if mixture.background else [])]


@pytest.fixture(scope="module")
def mixtures() -> list[Mixture]:
    """Some mixtures of the recordings."""
    return make_mixtures(recordings(), 60, FRONT_END, 0)


def test_events_lie_where_they_were_placed(mixtures: list[Mixture]) -> None:
    """A recording is heard in the frames that the mixture names and in no other; a long one is cut to 5 s."""
    for mixture in mixtures:
        assert mixture.example.log_mel.shape == (FRAMES, 16)
        for event in mixture.events:
            level = loudness_db(mixture, event.group)
            inside = np.zeros(FRAMES, dtype=bool)
            inside[event.start_frame : event.start_frame + event.frames] = True
            assert event.frames == min(LENGTHS[event.group], EVENT_FRAMES)
            assert inside.sum() == event.frames
            assert level[inside].min() > level[~inside].max() + 30


def test_events_are_as_loud_as_it_is_said(mixtures: list[Mixture]) -> None:
    """Loudest frames of events and background stand to the first event's as the mixture says."""
    for mixture in mixtures:
        first, *others = parts(mixture)
        reference = loudness_db(mixture, first.group).max()
        assert first.level_db == 0
        for other in others:
            assert loudness_db(mixture, other.group).max() - reference == pytest.approx(other.level_db, abs=0.1)


def test_the_loudest_frame_of_a_long_recording_is_kept(mixtures: list[Mixture]) -> None:
    """What is cut from a long recording holds its loudest frame, and is that recording frame by frame."""
    source = recordings()["Rain"][0].log_mel[:, BIN["Rain"]].astype(np.float64)
    for mixture in mixtures:
        for event in mixture.events:
            if event.group == "Rain":
                heard = loudness_db(mixture, "Rain")[event.start_frame : event.start_frame + event.frames]
                shape = heard - heard.max() + source.max()
                cuts = [source[start : start + event.frames] for start in range(len(source) - event.frames + 1)]
                assert min(np.abs(shape - cut).max() for cut in cuts) < 0.1


def test_labels_are_those_of_the_events(mixtures: list[Mixture]) -> None:
    """A mixture has 1 to 3 events of different recordings, and their labels."""
    counts = Counter(len(mixture.events) for mixture in mixtures)
    assert sorted(counts) == list(range(1, MOST_EVENTS + 1))
    for mixture in mixtures:
        groups = [event.group for event in mixture.events]
        assert mixture.example.labels == tuple(sorted(groups))
        assert len(set(groups)) == len(groups)
        assert mixture.background is not None
        assert mixture.background.group == BACKGROUND


def test_all_recordings_are_used_alike() -> None:
    """Groups are dealt like cards, and so are the clips of a group."""
    heard = Counter(
        event.name for mixture in make_mixtures(recordings(2), 80, FRONT_END, 0) for event in mixture.events
    )
    assert len(heard) == 2 * len(LENGTHS)
    assert max(heard.values()) - min(heard.values()) <= 2


def test_a_set_is_the_same_each_time() -> None:
    """The same recordings and seed give the same set, whatever their order; another seed gives another."""
    turned = dict(list(recordings().items())[::-1])
    first, again, other = (
        make_mixtures(some, 10, FRONT_END, seed) for some, seed in ((recordings(), 1), (turned, 1), (recordings(), 2))
    )
    for one, two in zip(first, again, strict=True):
        assert parts(one) == parts(two)
        assert np.array_equal(one.example.log_mel, two.example.log_mel)
    assert [parts(each) for each in first] != [parts(each) for each in other]


def test_without_backgrounds_there_is_silence() -> None:
    """Where no recording is unlabelled, the frames between events hold the floor and no more."""
    for mixture in make_mixtures(recordings(backgrounds=False), 10, FRONT_END, 0):
        silent = np.ones(FRAMES, dtype=bool)
        for event in mixture.events:
            silent[event.start_frame : event.start_frame + event.frames] = False
        assert mixture.background is None
        assert (mixture.example.log_mel[silent] == -100).all()


def test_with_few_recordings_a_mixture_holds_what_there_is() -> None:
    """One source recording alone makes mixtures of one event."""
    one = {"Dog": recordings()["Dog"]}
    assert {len(mixture.events) for mixture in make_mixtures(one, 5, FRONT_END, 0)} == {1}
