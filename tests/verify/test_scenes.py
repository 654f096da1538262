"""A scene holds its clips where it says, and decisions on its scores are judged as they should be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.fakes import label_decision
from toolkit.specs.bundle import BundleManifest
from toolkit.specs.front_end import FrontEndSpec
from toolkit.verify.scenes import LabelledScene, build_scene, judge

SPEC = FrontEndSpec()
RATE = SPEC.sample_rate_hz
HOP_SECONDS = 0.96


def bursts(count: int) -> list[tuple[np.ndarray, tuple[str, ...]]]:
    """Clips of 4 s with noise from 1 s to 2 s, `Dog` and `Alarm` in turn."""
    rng = np.random.default_rng(2)
    clips = []
    for number in range(count):
        clip = np.zeros(4 * RATE, np.float32)
        clip[RATE : 2 * RATE] = rng.normal(0, 0.2, RATE)
        clips.append((clip, ("Dog", "Alarm")[number % 2 : number % 2 + 1]))
    return clips


@pytest.fixture(scope="module")
def scene() -> LabelledScene:
    """Of six clips."""
    return build_scene(bursts(6), SPEC)


def test_events_stand_where_the_sound_is(scene: LabelledScene) -> None:
    """Each burst's second is far louder than the noise, the seconds around it are not."""
    assert sorted(event.label for event in scene.events) == ["Alarm"] * 3 + ["Dog"] * 3
    for event in scene.events:
        assert event.offset_s - event.onset_s == pytest.approx(1.0, abs=0.1)
        inside, before = (
            scene.samples[round(at * RATE) : round((at + 0.5) * RATE)]
            for at in (event.onset_s + 0.2, event.onset_s - 1)
        )
        assert np.std(inside) > 5 * np.std(before) > 0


def test_events_keep_a_windows_distance(scene: LabelledScene) -> None:
    """So that a listener with a 10 s window can tell them apart, and a scene is the same each time it is made."""
    onsets = [event.onset_s for event in scene.events]
    assert min(np.diff(onsets)) > 10
    assert np.array_equal(scene.samples, build_scene(bursts(6), SPEC).samples)
    assert np.abs(scene.samples).max() <= 1


def manifest(bundle: Path, *, calibrated: bool = True) -> BundleManifest:
    """A manifest with decisions for `Dog` and `Alarm`, 10 s windows and hops of 0.96 s."""
    found = BundleManifest.load(bundle / "manifest.json")
    rules = tuple(
        label_decision(label).model_copy(update={"calibrated": calibrated, "threshold": 0.5, "off_threshold": 0.4})
        for label in ("Dog", "Alarm")
    )
    return found.model_copy(update={"labels": ("Dog", "Alarm"), "decisions": rules})


def told(scene: LabelledScene, *, late_s: float = 0.0) -> np.ndarray:
    """Scores [D, L] of a listener that hears each event in every window that holds it, `late_s` too late."""
    decisions = int(len(scene.samples) / RATE / HOP_SECONDS)
    scores = np.zeros((decisions, 2), np.float32)
    for event in scene.events:
        for number in range(decisions):
            end = (number + 1) * HOP_SECONDS
            if end - 10 < event.offset_s + late_s and end > event.onset_s + late_s:
                scores[number, ("Dog", "Alarm").index(event.label)] = 0.9
    return scores


def test_a_perfect_listener_scores_one(scene: LabelledScene, tiny_bundle: Path) -> None:
    """All events hit, no false alarm."""
    score = judge(told(scene), scene, manifest(tiny_bundle))
    assert (score.f1, score.false_alarms_per_hour) == (1.0, 0.0)


def test_one_that_is_late_or_swaps_labels_scores_nothing(scene: LabelledScene, tiny_bundle: Path) -> None:
    """Six seconds late hits no onset; swapped labels are false alarms, three for each label."""
    late = judge(told(scene, late_s=6), scene, manifest(tiny_bundle))
    assert late.f1 == 0.0
    swapped = judge(told(scene)[:, ::-1], scene, manifest(tiny_bundle))
    assert swapped.f1 == 0.0
    assert swapped.false_alarms_per_hour == pytest.approx(6 / scene.hours / 2, abs=0.01)


def test_labels_that_are_not_calibrated_do_not_count(scene: LabelledScene, tiny_bundle: Path) -> None:
    """Where there is none, there is no figure."""
    score = judge(told(scene), scene, manifest(tiny_bundle, calibrated=False))
    assert (score.f1, score.false_alarms_per_hour) == (None, None)
