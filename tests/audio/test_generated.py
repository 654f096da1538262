"""Generated sounds: reserved parameters stay reserved, patterns and pitches are those of the parameters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.audio.generated import (
    ALARM_PITCH_HZ,
    LOW_ALARM_PITCH_HZ,
    RESERVED_ALARM_PITCH_HZ,
    RESERVED_SIREN_RATE_HZ,
    SIREN_RATE_HZ,
    Siren,
    SmokeAlarm,
    mix,
)

SEEDS = st.integers(0, 2**32)
RATE_HZ = 16_000
BLOCK_SAMPLES = 160

NOMINAL = SmokeAlarm(
    pitch_hz=3_000.0, squareness=0.0, on_s=0.5, off_s=0.5, pause_s=1.5,
    attack_s=0.001, release_s=0.001, tail_s=0.1, tail_share=0.0,
)  # fmt: skip
STEADY = Siren(
    kind="hi-lo", low_hz=500.0, high_hz=500.0, rate_hz=0.5, brightness=0.0,
    speed_mps=0.0, nearest_m=10.0, tail_s=0.1, tail_share=0.0,
)  # fmt: skip


def within(value: float, band: tuple[float, float]) -> bool:
    """Whether a band, its ends included, holds the value."""
    return band[0] <= value <= band[1]


def pitches_hz(sound: np.ndarray, window_s: float) -> np.ndarray:
    """Pitch of a pure tone in each window, from its sign changes."""
    samples = round(window_s * RATE_HZ)
    windows = sound[: len(sound) // samples * samples].reshape(-1, samples)
    changes: np.ndarray = (np.diff(np.signbit(windows), axis=1) != 0).sum(axis=1)
    return changes / (2 * window_s)


@given(SEEDS)
def test_alarms_for_training_keep_off_the_reserved_pitches(seed: int) -> None:
    """Training never draws a reserved pitch; the demo draws nothing else."""
    rng = np.random.default_rng(seed)
    trained, reserved = SmokeAlarm.draw(rng, reserved=False), SmokeAlarm.draw(rng, reserved=True)
    assert within(trained.pitch_hz, ALARM_PITCH_HZ) or within(trained.pitch_hz, LOW_ALARM_PITCH_HZ)
    assert not within(trained.pitch_hz, RESERVED_ALARM_PITCH_HZ)
    assert within(reserved.pitch_hz, RESERVED_ALARM_PITCH_HZ)


@given(SEEDS)
def test_sirens_for_training_keep_off_the_reserved_rates(seed: int) -> None:
    """Training never draws a reserved sweep rate; the demo draws nothing else."""
    rng = np.random.default_rng(seed)
    trained, reserved = Siren.draw(rng, reserved=False), Siren.draw(rng, reserved=True)
    assert within(trained.rate_hz, SIREN_RATE_HZ[trained.kind])
    assert not within(trained.rate_hz, RESERVED_SIREN_RATE_HZ[trained.kind])
    assert within(reserved.rate_hz, RESERVED_SIREN_RATE_HZ[reserved.kind])


@pytest.mark.parametrize("kind", [SmokeAlarm, Siren])
def test_draws_reach_both_sides_of_the_reserved_band(kind: type[SmokeAlarm | Siren]) -> None:
    """What training draws lies on both sides of what is reserved, so the demo asks for no extrapolation."""
    rng = np.random.default_rng(0)
    sides = set()
    for _ in range(300):
        drawn = kind.draw(rng, reserved=False)
        if isinstance(drawn, SmokeAlarm):
            sides.add(
                ("high", drawn.pitch_hz > RESERVED_ALARM_PITCH_HZ[1]) if drawn.pitch_hz > 1_000 else ("low", True)
            )
        else:
            sides.add((drawn.kind, drawn.rate_hz > RESERVED_SIREN_RATE_HZ[drawn.kind][1]))
    kinds = {name for name, _ in sides}
    assert kinds == ({"high", "low"} if kind is SmokeAlarm else set(SIREN_RATE_HZ))
    assert all((name, above) in sides for name in kinds - {"low"} for above in (True, False))


@given(
    SEEDS, st.booleans(), st.sampled_from((SmokeAlarm, Siren)), st.floats(0.05, 3.0), st.sampled_from((8_000, 32_000))
)
@settings(max_examples=40)
def test_renders(seed: int, reserved: bool, kind: type[SmokeAlarm | Siren], seconds: float, rate_hz: int) -> None:
    """Every draw renders to the exact number of samples, peaks at 0.9 and is the same again from the same seed."""
    sounds = []
    for _ in range(2):
        rng = np.random.default_rng(seed)
        sounds.append(kind.draw(rng, reserved=reserved).render(seconds, rate_hz, rng))
    assert sounds[0].shape == (round(seconds * rate_hz),)
    assert sounds[0].dtype == np.float32
    assert np.abs(sounds[0]).max() == pytest.approx(0.9, abs=1e-6)
    np.testing.assert_array_equal(sounds[0], sounds[1])


@given(SEEDS)
@settings(max_examples=10)
def test_temporal_three(seed: int) -> None:
    """Three beeps of half a second, half a second apart, then a pause of a second and a half, and again."""
    sound = NOMINAL.render(14.0, RATE_HZ, np.random.default_rng(seed))
    loud = np.abs(sound).reshape(-1, BLOCK_SAMPLES).max(axis=1) > 0.3
    edges = np.flatnonzero(np.diff(loud.astype(int)))
    assert loud[0]
    lengths_s = np.diff(edges) * BLOCK_SAMPLES / RATE_HZ
    pauses_s, beeps_s = lengths_s[::2], lengths_s[1::2]
    np.testing.assert_allclose(beeps_s, 0.5, atol=0.021)
    (long_ones,) = np.nonzero(pauses_s > 1.0)
    np.testing.assert_allclose(pauses_s[long_ones], 1.5, atol=0.021)
    np.testing.assert_allclose(np.delete(pauses_s, long_ones), 0.5, atol=0.021)
    assert len(long_ones) >= 3
    assert set(np.diff(long_ones)) == {3}


@pytest.mark.parametrize("squareness", [0.0, 1.0])
def test_alarm_pitch(squareness: float) -> None:
    """The strongest frequency is the pitch, and squareness adds its third harmonic at a third of the level."""
    alarm = replace(NOMINAL, pitch_hz=520.0, squareness=squareness, on_s=20.0)
    spectrum = np.abs(np.fft.rfft(alarm.render(2.0, RATE_HZ, np.random.default_rng(1))))
    assert np.argmax(spectrum) / 2 == pytest.approx(520.0)
    assert spectrum[3 * 1_040] / spectrum[1_040] == pytest.approx(squareness / 3, abs=0.01)


@pytest.mark.parametrize("kind", ["wail", "yelp"])
def test_sweeps(kind: str) -> None:
    """A sweep fills the band between its two pitches and repeats at its rate."""
    siren = replace(STEADY, kind=kind, high_hz=1_500.0, rate_hz={"wail": 0.25, "yelp": 2.5}[kind])
    pitch = pitches_hz(siren.render(12.0, RATE_HZ, np.random.default_rng(2)), 0.02)
    assert pitch.min() == pytest.approx(500.0, abs=60.0)
    assert pitch.max() == pytest.approx(1_500.0, abs=60.0)
    turn = round(1 / siren.rate_hz / 0.02)
    assert np.abs(pitch[turn:] - pitch[:-turn]).max() <= 60.0


def test_hi_lo() -> None:
    """Two tones, each for half of the time, and nothing between them."""
    siren = replace(STEADY, low_hz=400.0, high_hz=600.0, rate_hz=0.5)
    pitch = pitches_hz(siren.render(8.0, RATE_HZ, np.random.default_rng(3)), 0.05)
    low, high = np.abs(pitch - 400.0) <= 20.0, np.abs(pitch - 600.0) <= 20.0
    assert (~(low | high)).sum() <= 8
    assert abs(int(low.sum()) - int(high.sum())) <= 8


def test_doppler() -> None:
    """A passing siren falls from above its pitch to below it by no more than its speed allows, loudest in between."""
    sound = replace(STEADY, speed_mps=25.0).render(8.0, RATE_HZ, np.random.default_rng(4))
    pitch = pitches_hz(sound, 0.5)
    assert pitch[0] > 510.0
    assert pitch[-1] < 490.0
    assert (np.diff(pitch) <= 2.0).all()
    assert pitch[0] <= 500.0 / (1 - 25 / 343) + 2.0
    assert pitch[-1] >= 500.0 / (1 + 25 / 343) - 2.0
    assert 0 < np.abs(sound).argmax() < len(sound) - 1


def test_room_goes_on_after_the_beep() -> None:
    """With a tail, the pause after a beep is not silent; without one it is."""
    beep = replace(NOMINAL, off_s=20.0)
    dry = beep.render(1.0, RATE_HZ, np.random.default_rng(5))
    wet = replace(beep, tail_share=0.5, tail_s=0.8).render(1.0, RATE_HZ, np.random.default_rng(5))
    after = slice(round(0.55 * RATE_HZ), round(0.65 * RATE_HZ))
    assert np.abs(dry[after]).max() < 1e-3
    assert np.abs(wet[after]).max() > 1e-2


@given(SEEDS, st.floats(-30.0, 30.0))
def test_mix_level(seed: int, snr_db: float) -> None:
    """The event stands at the level asked for above the background, which is left as it was."""
    rng = np.random.default_rng(seed)
    background = (0.005 * rng.standard_normal(4_000)).astype(np.float32)
    event = rng.uniform(-1, 1, 4_000).astype(np.float32)
    added = mix(event, background, snr_db).astype(np.float64) - background
    measured_db = 10 * np.log10(np.mean(added**2) / np.mean(background.astype(np.float64) ** 2))
    assert measured_db == pytest.approx(snr_db, abs=0.01)


@given(st.integers(0, 150), st.integers(0, 150))
def test_mix_place(start_samples: int, length: int) -> None:
    """The event begins where it is put and is cut at the background's end; nothing else changes."""
    background = np.full(100, 0.01, np.float32)
    mixed = mix(np.ones(length, np.float32), background, 6.0, start_samples=start_samples)
    assert mixed.shape == (100,)
    assert set(np.flatnonzero(mixed != background)) == set(range(start_samples, min(100, start_samples + length)))


def test_mix_that_would_clip() -> None:
    """A mix above full scale is turned down as a whole; silence on either side changes nothing."""
    loud, silence = np.full(100, 0.9, np.float32), np.zeros(100, np.float32)
    assert mix(loud, loud, 0.0).max() == pytest.approx(1.0)
    np.testing.assert_array_equal(mix(loud, silence, 20.0), loud)
    np.testing.assert_array_equal(mix(silence, loud, 20.0), loud)
