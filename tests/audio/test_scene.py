"""The demo scene: what its events say is what is heard, and its parameters are reserved ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.audio.generated import RESERVED_ALARM_PITCH_HZ, RESERVED_SIREN_RATE_HZ
from toolkit.audio.scene import SCENE_S, Scene, demo_scene

SEEDS = st.integers(0, 2**32)


def level_db(scene: Scene, start_s: float, end_s: float) -> float:
    """Mean power of a stretch in dB of full scale."""
    stretch = scene.waveform[round(start_s * scene.sample_rate_hz) : round(end_s * scene.sample_rate_hz)]
    return float(10 * np.log10(np.mean(np.square(stretch, dtype=np.float64))))


@given(SEEDS, st.sampled_from((16_000, 32_000)))
@settings(max_examples=8)
def test_events(seed: int, sample_rate_hz: int) -> None:
    """An alarm and then a siren, apart from each other and within the scene; the parameters are reserved ones."""
    scene = demo_scene(sample_rate_hz, seed)
    assert scene.waveform.shape == (round(SCENE_S * sample_rate_hz),)
    assert scene.waveform.dtype == np.float32
    assert np.abs(scene.waveform).max() <= 1.0
    alarm, siren = scene.events
    assert (alarm.label, siren.label) == ("Alarm", "Siren")
    assert 0 < alarm.start_s < alarm.end_s < siren.start_s < siren.end_s < SCENE_S
    assert RESERVED_ALARM_PITCH_HZ[0] <= scene.alarm.pitch_hz <= RESERVED_ALARM_PITCH_HZ[1]
    slow, fast = RESERVED_SIREN_RATE_HZ[scene.siren.kind]
    assert slow <= scene.siren.rate_hz <= fast


@given(SEEDS)
@settings(max_examples=8)
def test_events_stand_out_where_they_say(seed: int) -> None:
    """During an event the scene is louder by the stated level, around it there is only the quiet room."""
    scene = demo_scene(16_000, seed)
    alarm, siren = scene.events
    quiet_db = [
        level_db(scene, start_s, end_s)
        for start_s, end_s in ((0, alarm.start_s), (alarm.end_s, siren.start_s), (siren.end_s, SCENE_S))
    ]
    assert max(quiet_db) - min(quiet_db) < 3.0
    for event in scene.events:
        assert level_db(scene, event.start_s, event.end_s) - np.mean(quiet_db) == pytest.approx(event.snr_db, abs=2.0)


def test_alarm_is_heard_at_its_pitch() -> None:
    """The strongest frequency during the alarm is its pitch."""
    scene = demo_scene(32_000, 0)
    event = scene.events[0]
    heard = scene.waveform[round(event.start_s * 32_000) : round(event.end_s * 32_000)]
    peak_hz = np.argmax(np.abs(np.fft.rfft(heard))) / (event.end_s - event.start_s)
    assert peak_hz == pytest.approx(scene.alarm.pitch_hz, abs=5.0)


def test_seed() -> None:
    """A scene comes again from its seed and differs for another."""
    np.testing.assert_array_equal(demo_scene(16_000, 1).waveform, demo_scene(16_000, 1).waveform)
    assert not np.array_equal(demo_scene(16_000, 1).waveform, demo_scene(16_000, 2).waveform)
