"""A bundle hears audio from end to end, through real model files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes import fake_run, pick_of
from tests.fakes_bundle import HOP, RATE_HZ, fake_bundle
from toolkit.events.decoder import Event
from toolkit.listen.ear import Ear
from toolkit.specs.bundle import BundleManifest
from toolkit.specs.errors import UserError
from toolkit.specs.run import Run


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with a clip file."""
    return fake_bundle(tmp_path_factory.mktemp("bundles") / "clip")


def scene(seconds: float, *bangs: tuple[float, float]) -> np.ndarray:
    """Near silence with loud spans, from and to in seconds."""
    samples = np.random.default_rng(0).uniform(-0.01, 0.01, round(seconds * RATE_HZ)).astype(np.float32)
    for start, stop in bangs:
        samples[round(start * RATE_HZ) : round(stop * RATE_HZ)] = 0.9
    return samples


def bundle_with(folder: Path, **rule: float) -> Path:
    """A bundle whose decision on `Loud` is changed."""
    manifest = BundleManifest.load(fake_bundle(folder) / "manifest.json")
    loud, quiet = manifest.decisions
    changed = manifest.model_copy(update={"decisions": (loud.model_copy(update=rule), quiet)})
    changed.save(folder / "manifest.json")
    return folder


def events_of(ear: Ear, chunks: list[np.ndarray]) -> list[Event]:
    """All events of a stream."""
    return [event for moment in ear.hear(chunks) for event in moment.ended]


def test_events_are_where_the_sounds_are(bundle: Path) -> None:
    """Two bangs come out as two events with times to a hop and the model's confidence."""
    events = [event for event in events_of(Ear(bundle), [scene(6, (1.0, 1.6), (4.0, 4.3))]) if event.label == "Loud"]
    times = np.array([(event.start_s, event.end_s) for event in events])
    assert times == pytest.approx(np.array([(1.0, 1.6), (4.0, 4.3)]), abs=0.1001)
    assert all(event.confidence > 0.99 for event in events)


@settings(max_examples=20)
@given(cuts=st.lists(st.integers(0, 3 * RATE_HZ), max_size=20).map(sorted))
def test_any_chunking_gives_the_same_events(bundle: Path, cuts: list[int]) -> None:
    """The events do not depend on how the audio was cut."""
    samples = scene(3, (0.5, 0.77), (2.2, 3.0))
    assert events_of(Ear(bundle), np.split(samples, cuts)) == events_of(Ear(bundle), [samples])


def test_audio_shorter_than_a_window_is_heard(bundle: Path) -> None:
    """A tenth of a second gives its event, within its own length."""
    events = events_of(Ear(bundle), [scene(0.1, (0.02, 0.1))])
    (loud,) = [event for event in events if event.label == "Loud"]
    assert (loud.start_s, loud.end_s) == (0.0, 0.1)


def test_a_stream_file_is_taken_before_a_clip_file(tmp_path: Path) -> None:
    """Where the bundle can stream it streams, and hears the same bang."""
    ear = Ear(fake_bundle(tmp_path / "both", ("clip", "stream")))
    assert ear.file.mode == "stream"
    loud = [event for event in events_of(ear, [scene(4, (1.0, 1.6))]) if event.label == "Loud"]
    assert [event.start_s for event in loud] == [1.0]


def test_the_precision_is_ones_choice(tmp_path: Path) -> None:
    """`precision` takes that file; one that is not there is named with those that are."""
    folder = fake_bundle(tmp_path / "two", precisions=("int8", "fp32"))
    assert Ear(folder).file.precision == "int8"
    assert Ear(folder, "fp32").file.precision == "fp32"
    with pytest.raises(UserError, match=r"no fp16 .*it has tflite int8 clip, tflite fp32 clip"):
        Ear(folder, "fp16")


def test_without_a_choice_the_picks_precision_is_heard(tmp_path: Path) -> None:
    """As in the Android app: the precision that the pick was made for, else int8, whatever stands first."""
    folder = fake_bundle(tmp_path / "both", ("clip", "stream"), precisions=("fp16", "fp32", "int8"))
    assert Ear(folder).file.name == "stream-int8.tflite"
    manifest = BundleManifest.load(folder / "manifest.json")
    pick = pick_of(Run.open(fake_run(tmp_path / "run")), manifest.subnet)
    for precision in ("fp32", "int8-dynamic"):
        chosen = manifest.model_copy(update={"pick": pick.model_copy(update={"precision": precision})})
        chosen.save(folder / "manifest.json")
        heard = precision if precision == "fp32" else "int8"
        assert Ear(folder).file.name == f"stream-{heard}.tflite"


def test_a_threshold_replaces_all(bundle: Path) -> None:
    """With a threshold that no score reaches there are no events; with the bundle's own there are."""
    samples = scene(2)
    samples[RATE_HZ : RATE_HZ + HOP] = 0.5
    assert "Loud" in {event.label for event in events_of(Ear(bundle), [samples])}
    assert "Loud" not in {event.label for event in events_of(Ear(bundle, threshold=0.75), [samples])}


def test_the_bundles_decisions_are_obeyed(tmp_path: Path) -> None:
    """Thresholds, off thresholds and smoothing are those of the manifest, each label's own."""
    samples = scene(6, (1.0, 1.4), (3.0, 3.8))
    samples[round(1.4 * RATE_HZ) : 3 * RATE_HZ] = 0.49  # scores 0.4: between the two thresholds

    def loud(**rule: float) -> list[tuple[float, float]]:
        ear = Ear(bundle_with(tmp_path / "-".join(map(str, rule.values())), **rule))
        return [(event.start_s, event.end_s) for event in events_of(ear, [samples]) if event.label == "Loud"]

    assert loud(threshold=0.5, off_threshold=0.45) == [(1.0, 1.4), (3.0, 3.8)]
    assert loud(threshold=0.5, off_threshold=0.35) == [(1.0, 3.8)]
    assert loud(threshold=0.35, off_threshold=0.35) == [(1.0, 3.8)]
    # A sound is heard as long as it lasts and a window of five decisions: the first for 8, the second for 12.
    assert loud(threshold=0.5, off_threshold=0.45, smoothing_decisions=19) == [(3.0, 3.8)]


def test_smoothed_events_reach_the_end_of_the_audio(tmp_path: Path) -> None:
    """What sounds up to the last sample is told though its medians come later than the audio."""
    folder = bundle_with(tmp_path / "smoothed", smoothing_decisions=5)
    (loud,) = [event for event in events_of(Ear(folder), [scene(3, (2.0, 3.0))]) if event.label == "Loud"]
    assert (loud.start_s, loud.end_s) == (2.0, 3.0)


def test_what_is_not_calibrated_is_known(tmp_path: Path) -> None:
    """Labels at a default threshold are named, and so are all where one threshold replaces theirs."""
    folder = fake_bundle(tmp_path / "guessed", uncalibrated=("Quiet",))
    assert Ear(folder).uncalibrated == ("Quiet",)
    assert Ear(folder, threshold=0.5).uncalibrated == ("Loud", "Quiet")


def test_the_cost_is_measured(bundle: Path) -> None:
    """Decisions are counted, times are ordered and above zero, and the share of a core comes with them."""
    ear = Ear(bundle)
    moments = list(ear.hear([scene(3)]))
    cost = ear.cost()
    assert 30 <= cost.decisions <= 35
    assert len(moments) == cost.decisions + 1
    assert 0 < cost.inference_p50_ms <= cost.inference_p90_ms
    assert cost.core_share > 0
    assert ear.heard_s == 3.0


@pytest.mark.parametrize("harm", ["model", "labels", "manifest", "no manifest"])
def test_a_damaged_bundle_is_refused(tmp_path: Path, harm: str) -> None:
    """One byte changed in a file, or a file gone, is found before anything is heard."""
    folder = fake_bundle(tmp_path / "bundle")
    if harm == "no manifest":
        (folder / "manifest.json").unlink()
    else:
        name = {"model": "clip-int8.tflite", "labels": "labels.txt", "manifest": "manifest.json"}[harm]
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 0xFF
        (folder / name).write_bytes(content)
    with pytest.raises(UserError):
        Ear(folder)
