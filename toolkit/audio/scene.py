"""The demo's recording: a quiet room in which a smoke alarm and a siren go off. All of it is synthesized.

The alarm and the siren have reserved parameters, which no training draws; no recording is in it.
Proved by tests/audio/test_scene.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toolkit.audio.generated import ALARM_LABEL, SIREN_LABEL, Siren, SmokeAlarm, mix

SCENE_S = 30.0


@dataclass(frozen=True)
class SceneEvent:
    """What is heard from `start_s` to `end_s`, `snr_db` above the room."""

    label: str
    start_s: float
    end_s: float
    snr_db: float


@dataclass(frozen=True, eq=False)
class Scene:
    """A synthesized recording, float32 [samples], with what is in it, in order of time."""

    waveform: np.ndarray
    sample_rate_hz: int
    events: tuple[SceneEvent, ...]
    alarm: SmokeAlarm
    siren: Siren


def demo_scene(sample_rate_hz: int, seed: int) -> Scene:
    """Thirty synthesized seconds: a room's noise and hum, an alarm about 5 s in, a siren about 17 s in.

    `seed` moves the events by up to a second and draws their (reserved) parameters and the noise.
    """
    rng = np.random.default_rng(seed)
    alarm, siren = SmokeAlarm.draw(rng, reserved=True), Siren.draw(rng, reserved=True)
    sounds: tuple[SmokeAlarm | Siren, ...] = (alarm, siren)
    events = tuple(
        SceneEvent(label, start_s, start_s + length_s, snr_db)
        for label, start_s, length_s, snr_db in (
            (ALARM_LABEL, round(rng.uniform(4.5, 5.5), 2), 7.0, 25.0),
            (SIREN_LABEL, round(rng.uniform(16.5, 17.5), 2), 8.0, 25.0),
        )
    )
    waveform = _room(sample_rate_hz, rng)
    for event, sound in zip(events, sounds, strict=True):
        rendered = sound.render(event.end_s - event.start_s, sample_rate_hz, rng)
        start_samples = round(event.start_s * sample_rate_hz)
        heard = waveform[start_samples : start_samples + len(rendered)]
        heard[:] = mix(rendered, heard, event.snr_db)
    return Scene(waveform, sample_rate_hz, events, alarm, siren)


def _room(sample_rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """Noise falling by 3 dB an octave from 20 Hz on, at -54 dB, with a little hum of the mains; float32 [samples]."""
    samples = round(SCENE_S * sample_rate_hz)
    noise = pink_noise(samples, sample_rate_hz, -54, rng)
    times_s = np.arange(samples) / sample_rate_hz
    for hum_hz, level_db in ((50, -66), (100, -70), (150, -76)):
        noise += 10 ** (level_db / 20) * np.sin(2 * np.pi * hum_hz * times_s)
    return noise.astype(np.float32)


def pink_noise(samples: int, sample_rate_hz: int, level_db: float, rng: np.random.Generator) -> np.ndarray:
    """Noise falling by 3 dB an octave from 20 Hz on, as a quiet room's; float64 [samples] at a level."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    noise = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.fft.rfftfreq(samples, 1 / sample_rate_hz), 20.0)), samples)
    return np.asarray(noise * (10 ** (level_db / 20) / np.sqrt(np.mean(np.square(noise)))))
