"""The microphone, with a sound card that is a fake in the place of the sounddevice library."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from toolkit.listen.microphone import Microphone
from toolkit.specs.errors import UserError


class PortAudioError(Exception):
    """As sounddevice's own."""


class Card:
    """A sound card with one input that plays a given signal, block by block, when it is opened."""

    def __init__(self, rates: tuple[int, ...], signal: np.ndarray) -> None:
        self.rates, self.signal = rates, signal
        self.callback: Callable[..., None] | None = None

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put it in the place of the library."""
        library: Any = types.ModuleType("sounddevice")
        library.PortAudioError = PortAudioError
        library.query_devices = self.query_devices
        library.check_input_settings = self.check_input_settings
        library.InputStream = self.open
        monkeypatch.setitem(sys.modules, "sounddevice", library)

    def query_devices(self, kind: str) -> dict[str, float]:
        """The default input."""
        assert kind == "input"
        if not self.rates:
            raise PortAudioError("Error querying device -1")
        return {"default_samplerate": float(self.rates[0])}

    def check_input_settings(self, samplerate: int, **_: object) -> None:
        """Only its own rates will do."""
        if samplerate not in self.rates:
            raise PortAudioError("Invalid sample rate")

    def open(self, samplerate: int, channels: int, blocksize: int, callback: Callable[..., None], **_: object) -> Any:
        """Start to play."""
        self.check_input_settings(samplerate)
        assert channels == 1
        self.blocksize, self.callback = blocksize, callback
        return self

    def __enter__(self) -> None:
        assert self.callback
        for start in range(0, len(self.signal), self.blocksize):
            block = self.signal[start : start + self.blocksize, None]
            buffer = block.copy()
            self.callback(buffer, len(buffer), None, None)
            buffer[:] = np.nan  # the library uses its buffer again

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""


def record(microphone: Microphone) -> np.ndarray:
    """All that the card played."""
    chunks = iter(microphone)
    heard = [next(chunks)]
    microphone.stop()
    return np.concatenate(heard + list(chunks))


SIGNAL = np.sin(np.arange(8_000) / 20).astype(np.float32)


def test_the_sound_card_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every sample of the card comes out once and in order, until it is stopped."""
    Card((32_000,), SIGNAL).install(monkeypatch)
    microphone = Microphone(32_000)
    np.testing.assert_array_equal(record(microphone), SIGNAL)
    assert microphone.dropped_s == 0


def test_a_card_with_another_rate_is_resampled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the card cannot record at the rate asked for, its sound is resampled to it."""
    Card((48_000,), np.tile(SIGNAL, 6)).install(monkeypatch)
    heard = record(Microphone(32_000))
    assert len(heard) == pytest.approx(32_000, rel=0.02)
    spectrum = np.abs(np.fft.rfft(heard[2_000:18_000]))
    assert np.argmax(spectrum) * 2 == pytest.approx(48_000 / (2 * np.pi * 20), rel=0.01), "the tone keeps its pitch"


def test_what_comes_too_fast_is_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """When nobody takes the sound, ten seconds wait and the rest is counted as dropped."""
    Card((8_000,), np.zeros(12 * 8_000, np.float32)).install(monkeypatch)
    microphone = Microphone(8_000)
    heard = record(microphone)
    assert len(heard) == pytest.approx(10 * 8_000, rel=0.02)
    assert len(heard) / 8_000 + microphone.dropped_s == pytest.approx(12)


def test_no_microphone_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an input the line says so and names the other way."""
    Card((), SIGNAL).install(monkeypatch)
    with pytest.raises(UserError, match="--wav FILE"):
        Microphone(32_000)


def test_no_sound_library_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the PortAudio library the line says what to install."""

    class NoPortAudio:
        @staticmethod
        def find_spec(name: str, *_: object) -> None:
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [NoPortAudio, *sys.meta_path])
    with pytest.raises(UserError, match="libportaudio2"):
        Microphone(32_000)


def test_a_busy_microphone_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A card that cannot be opened gives its reason."""
    card = Card((32_000,), SIGNAL)
    card.install(monkeypatch)
    microphone = Microphone(32_000)
    card.rates = (44_100,)
    with pytest.raises(UserError, match="cannot be opened"):
        next(iter(microphone))
