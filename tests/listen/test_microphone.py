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
    """A sound card with one input that plays a given signal, block by block, when it is opened.

    It loses samples before the blocks `late`, and is unplugged after the last one when it `goes`.
    """

    def __init__(
        self, rates: tuple[int, ...], signal: np.ndarray, late: tuple[int, ...] = (), *, goes: bool = False
    ) -> None:
        self.rates, self.signal, self.late, self.goes = rates, signal, late, goes
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

    def open(
        self,
        samplerate: int,
        channels: int,
        blocksize: int,
        callback: Callable[..., None],
        finished_callback: Callable[[], None],
        **_: object,
    ) -> Any:
        """Start to play."""
        self.check_input_settings(samplerate)
        assert channels == 1
        self.blocksize, self.callback, self.finished = blocksize, callback, finished_callback
        return self

    def __enter__(self) -> None:
        assert self.callback
        for number, start in enumerate(range(0, len(self.signal), self.blocksize)):
            block = self.signal[start : start + self.blocksize, None]
            buffer = block.copy()
            self.callback(buffer, len(buffer), None, types.SimpleNamespace(input_overflow=number in self.late))
            buffer[:] = np.nan  # the library uses its buffer again
        if self.goes:
            self.finished()

    def __exit__(self, *_: object) -> None:
        """Closing it ends the stream too."""
        self.finished()


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


def test_a_card_that_goes_away_ends_the_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it gave is heard to its end, and the microphone says that nobody stopped it."""
    Card((32_000,), SIGNAL, goes=True).install(monkeypatch)
    microphone = Microphone(32_000)
    np.testing.assert_array_equal(np.concatenate(list(microphone)), SIGNAL)
    assert microphone.went_away


def test_a_recording_that_is_stopped_did_not_go_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopping is no fault, although the stream ends then too."""
    Card((32_000,), SIGNAL).install(monkeypatch)
    microphone = Microphone(32_000)
    record(microphone)
    assert not microphone.went_away


def test_what_the_card_lost_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each gap that the sound library reports is one overflow."""
    Card((32_000,), SIGNAL, late=(1, 2)).install(monkeypatch)
    microphone = Microphone(32_000)
    record(microphone)
    assert microphone.overflows == 2


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
