"""Smoke alarms and sirens made from drawn parameters, and their mixing into recordings. Nothing here is recorded.

A reserved band of each kind's parameters is never drawn for training: demo scenes and tests draw from it alone, so a
network is asked about sounds that it never met. Proved by tests/audio/test_generated.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

Band = tuple[float, float]

ALARM_LABEL = "Alarm"
SIREN_LABEL = "Siren"

# Pitch of the piezo sounder in almost all smoke alarms, about 3.1 kHz. Source: NEMA SBP 4 (2015); its width is chosen.
ALARM_PITCH_HZ: Band = (2900.0, 3400.0)
RESERVED_ALARM_PITCH_HZ: Band = (3090.0, 3170.0)
# Low square wave for sleeping rooms, 520 Hz +- 10 %. Source: NFPA 72 (2016), 18.4.5.3.
LOW_ALARM_PITCH_HZ: Band = (468.0, 572.0)

# Sweeps a second (of a hi-lo: tone pairs a second), chosen wide: wail 10-30 and yelp 150-250 sweeps a minute.
SIREN_RATE_HZ: dict[str, Band] = {"wail": (10 / 60, 30 / 60), "yelp": (150 / 60, 250 / 60), "hi-lo": (0.3, 1.1)}
RESERVED_SIREN_RATE_HZ: dict[str, Band] = {"wail": (0.24, 0.30), "yelp": (3.1, 3.5), "hi-lo": (0.6, 0.75)}
# Fundamental: lowest and highest pitch of a sweep, chosen wide; both tones of a hi-lo around those of DIN 14610
# (360-630 Hz, a fourth apart).
_SIREN_PITCH_HZ: dict[str, tuple[Band, Band]] = {
    "wail": ((450.0, 800.0), (1100.0, 1800.0)),
    "yelp": ((450.0, 800.0), (1100.0, 1800.0)),
    "hi-lo": ((360.0, 520.0), (540.0, 780.0)),
}

_PEAK = 0.9
_SOUND_MPS = 343.0


@dataclass(frozen=True)
class SmokeAlarm:
    """Temporal-three signal: three beeps, then a pause. Source: ISO 8201, 0.5 s on and off, 1.5 s pause, each +-10 %.

    `squareness` 0 is a sine, 1 a square wave; `tail_s` is the room's time to fall by 60 dB, `tail_share` its level.
    """

    pitch_hz: float
    squareness: float
    on_s: float
    off_s: float
    pause_s: float
    attack_s: float
    release_s: float
    tail_s: float
    tail_share: float

    @classmethod
    def draw(cls, rng: np.random.Generator, *, reserved: bool) -> Self:
        """Random parameters: outside the reserved pitches for training, inside them otherwise."""
        low = not reserved and rng.random() < 0.15
        if low:
            pitch_hz = rng.uniform(*LOW_ALARM_PITCH_HZ)
        else:
            pitch_hz = _draw(rng, ALARM_PITCH_HZ, RESERVED_ALARM_PITCH_HZ, reserved)
        jitter = rng.uniform(0.9, 1.1, size=3)
        return cls(
            pitch_hz=pitch_hz,
            squareness=rng.uniform(0.7, 1.0) if low else rng.uniform(0.0, 1.0),
            on_s=0.5 * float(jitter[0]),
            off_s=0.5 * float(jitter[1]),
            pause_s=1.5 * float(jitter[2]),
            attack_s=rng.uniform(0.001, 0.02),
            release_s=rng.uniform(0.001, 0.03),
            tail_s=rng.uniform(0.1, 0.9),
            tail_share=rng.uniform(0.0, 0.7),
        )

    def render(self, seconds: float, sample_rate_hz: int, rng: np.random.Generator) -> np.ndarray:
        """Float32 [samples], peak at most 0.9, beginning at a random moment of a beep: never all silent."""
        times_s = _times(seconds, sample_rate_hz)
        beat_s = self.on_s + self.off_s
        cycle_s = 3 * beat_s - self.off_s + self.pause_s
        start_s = rng.integers(3) * beat_s + rng.uniform(0.0, 0.5) * self.on_s
        in_cycle_s = (times_s + start_s) % cycle_s
        # The pause belongs to the third beat.
        in_beat_s = in_cycle_s - np.minimum(in_cycle_s // beat_s, 2) * beat_s
        after_beep_s = np.maximum(in_beat_s - self.on_s, 0.0)
        gate = np.minimum(in_beat_s / self.attack_s, 1.0) * np.exp(-after_beep_s / self.release_s)
        pitch_hz = np.full(len(times_s), self.pitch_hz)
        harmonics = {order: self.squareness / order for order in (3, 5, 7, 9)}
        dry = gate * _tone(pitch_hz, harmonics, sample_rate_hz, rng)
        return _finished(_in_room(dry, self.tail_s, self.tail_share, sample_rate_hz, rng))


@dataclass(frozen=True)
class Siren:
    """A vehicle's siren: `wail` and `yelp` sweep slowly and fast, `hi-lo` alternates two tones.

    `brightness` is the level of the overtones; `speed_mps` how fast it passes (0 stands still), `nearest_m` how near.
    """

    kind: str
    low_hz: float
    high_hz: float
    rate_hz: float
    brightness: float
    speed_mps: float
    nearest_m: float
    tail_s: float
    tail_share: float

    @classmethod
    def draw(cls, rng: np.random.Generator, *, reserved: bool) -> Self:
        """Random parameters: outside the reserved sweep rates for training, inside them otherwise."""
        kind = str(rng.choice(list(SIREN_RATE_HZ)))
        low, high = _SIREN_PITCH_HZ[kind]
        return cls(
            kind=kind,
            low_hz=rng.uniform(*low),
            high_hz=rng.uniform(*high),
            rate_hz=_draw(rng, SIREN_RATE_HZ[kind], RESERVED_SIREN_RATE_HZ[kind], reserved),
            brightness=rng.uniform(0.0, 0.8),
            speed_mps=float(rng.choice([0.0, rng.uniform(3.0, 25.0)])),
            nearest_m=rng.uniform(5.0, 60.0),
            tail_s=rng.uniform(0.1, 1.2),
            tail_share=rng.uniform(0.0, 0.7),
        )

    def render(self, seconds: float, sample_rate_hz: int, rng: np.random.Generator) -> np.ndarray:
        """Float32 [samples], peak at most 0.9, beginning at a random moment of the sweep."""
        times_s = _times(seconds, sample_rate_hz)
        turn = (times_s * self.rate_hz + rng.random()) % 1.0
        if self.kind == "hi-lo":
            height = (turn < 0.5).astype(float)
        else:
            # Rises faster than it falls, even in octaves.
            height = np.where(turn < 0.4, turn / 0.4, (1.0 - turn) / 0.6)
        pitch_hz = self.low_hz * (self.high_hz / self.low_hz) ** height
        # On a straight road past the listener: distance gives the level, its slope the Doppler shift.
        along_m = self.speed_mps * (times_s - rng.uniform(0.0, 1.0) * seconds)
        distance_m = np.hypot(along_m, self.nearest_m)
        pitch_hz = pitch_hz / (1.0 + self.speed_mps * along_m / distance_m / _SOUND_MPS)
        harmonics = {order: self.brightness / order for order in (2, 3, 4, 5)}
        dry = self.nearest_m / distance_m * _tone(pitch_hz, harmonics, sample_rate_hz, rng)
        return _finished(_in_room(dry, self.tail_s, self.tail_share, sample_rate_hz, rng))


def mix(event: np.ndarray, background: np.ndarray, snr_db: float, *, start_samples: int = 0) -> np.ndarray:
    """`background` with `event` laid over it from `start_samples` on, cut at its end; float32, peak at most 1.

    The event's mean power (its pauses included) is brought to `snr_db` above that of the background; where either is
    silent the event stays as it is. A mix that would clip is turned down as a whole.
    """
    mixed = background.astype(np.float32, copy=True)
    heard = event[: max(0, len(mixed) - start_samples)]
    event_power, background_power = (float(np.mean(np.square(part))) if len(part) else 0.0 for part in (event, mixed))
    gain = 1.0
    if event_power > 0.0 and background_power > 0.0:
        gain = float(np.sqrt(background_power / event_power * 10 ** (snr_db / 10)))
    mixed[start_samples : start_samples + len(heard)] += np.float32(gain) * heard
    peak = float(np.abs(mixed).max(initial=0.0))
    return mixed / np.float32(peak) if peak > 1.0 else mixed


def _draw(rng: np.random.Generator, band: Band, reserved_band: Band, reserved: bool) -> float:
    """Uniform in the reserved band, or in the rest of `band`."""
    if reserved:
        return rng.uniform(*reserved_band)
    gap = reserved_band[1] - reserved_band[0]
    value = rng.uniform(band[0], band[1] - gap)
    return value if value < reserved_band[0] else value + gap


def _times(seconds: float, sample_rate_hz: int) -> np.ndarray:
    return np.arange(round(seconds * sample_rate_hz)) / sample_rate_hz


def _tone(
    pitch_hz: np.ndarray, harmonics: dict[int, float], sample_rate_hz: int, rng: np.random.Generator
) -> np.ndarray:
    """Tone of a varying pitch [samples] and its overtones (order: level), none above 0.45 of the rate."""
    phase = 2 * np.pi * (np.cumsum(pitch_hz) / sample_rate_hz + rng.random())
    tone: np.ndarray = np.sin(phase)
    for order, level in harmonics.items():
        tone += level * np.sin(order * phase) * (order * pitch_hz < 0.45 * sample_rate_hz)
    return tone


def _in_room(
    dry: np.ndarray, tail_s: float, tail_share: float, sample_rate_hz: int, rng: np.random.Generator
) -> np.ndarray:
    """Add the echo of a room: noise that falls by 60 dB in `tail_s`, at `tail_share` of the dry sound's level."""
    times_s = _times(tail_s, sample_rate_hz)
    echo = rng.standard_normal(len(times_s)) * 10 ** (-3 * times_s / tail_s)
    echo *= tail_share / np.sqrt(np.sum(np.square(echo)))
    size = 1 << (len(dry) + len(echo)).bit_length()
    return dry + np.fft.irfft(np.fft.rfft(dry, size) * np.fft.rfft(echo, size), size)[: len(dry)]


def _finished(sound: np.ndarray) -> np.ndarray:
    """Float32 with its peak at 0.9; silence stays silence."""
    peak = np.abs(sound).max(initial=0.0)
    return (sound * (_PEAK / peak if peak > 0.0 else 0.0)).astype(np.float32)
