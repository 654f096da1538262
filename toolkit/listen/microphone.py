"""`Microphone`: the default sound card as chunks of mono samples at the rate asked for, until it is stopped.

Proved by tests/listen/test_microphone.py, with a sound card that is a fake.
"""

from __future__ import annotations

import queue
from collections.abc import Iterator
from typing import Any

import numpy as np
import soxr

from toolkit.specs.errors import UserError

_LONGEST_QUEUE_SECONDS = 10
_BLOCK_SECONDS = 0.1


class Microphone:
    """Iterate over it to record; `stop` ends the iteration and may be called from a signal handler.

    Raises:
        UserError: there is no sound library or no microphone.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        try:
            import sounddevice
        except OSError:
            raise UserError(
                "the PortAudio library is not installed: apt install libportaudio2 (or brew install portaudio)"
            ) from None
        self._library: Any = sounddevice
        self._rate_hz = sample_rate_hz
        self._blocks: queue.SimpleQueue[np.ndarray | None] = queue.SimpleQueue()
        self._dropped_frames = 0
        self._stopped = False
        self.overflows = 0
        """How often the card lost sound because it was not read in time; it does not tell how much."""
        try:
            card = sounddevice.query_devices(kind="input")
        except (sounddevice.PortAudioError, ValueError):
            raise UserError("no microphone was found. Plug one in, or listen to a file: --wav FILE") from None
        try:
            sounddevice.check_input_settings(channels=1, dtype="float32", samplerate=sample_rate_hz)
            self._card_hz = sample_rate_hz
        except sounddevice.PortAudioError:
            self._card_hz = int(card["default_samplerate"])

    @property
    def dropped_s(self) -> float:
        """Seconds of sound that came faster than they were heard, and were left out."""
        return self._dropped_frames / self._card_hz

    def stop(self) -> None:
        """End the recording."""
        self._stopped = True
        self._blocks.put(None)

    @property
    def went_away(self) -> bool:
        """Of a recording that ended, whether nobody stopped it: the card was unplugged or failed."""
        return not self._stopped

    def __iter__(self) -> Iterator[np.ndarray]:
        resampler = soxr.ResampleStream(self._card_hz, self._rate_hz, 1, dtype="float32", quality="HQ")
        try:
            stream = self._library.InputStream(
                samplerate=self._card_hz,
                channels=1,
                dtype="float32",
                blocksize=int(_BLOCK_SECONDS * self._card_hz),
                callback=self._record,
                finished_callback=lambda: self._blocks.put(None),
            )
        except self._library.PortAudioError as error:
            raise UserError(f"the microphone cannot be opened: {error}. Is another program using it?") from None
        with stream:
            while (block := self._blocks.get()) is not None:
                yield block if self._card_hz == self._rate_hz else resampler.resample_chunk(block)

    def _record(self, samples: np.ndarray, frames: int, _time: Any, status: Any) -> None:
        """Called on the library's own thread with samples [frames, 1]."""
        self.overflows += status.input_overflow
        if self._blocks.qsize() * _BLOCK_SECONDS >= _LONGEST_QUEUE_SECONDS:
            self._dropped_frames += frames
        else:
            self._blocks.put(samples[:, 0].copy())
