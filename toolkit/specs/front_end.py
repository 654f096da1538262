"""`FrontEndSpec`: everything that defines log-mel, and its fingerprint. The computation is `toolkit.frontend`.

Proved by tests/specs/test_front_end.py.
"""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from toolkit.specs.record import Part


class FrontEndSpec(Part):
    """Log-mel of PANNs: 10 log10 of Slaney-normalized mel power.

    Frame k covers samples `hop * k - window/2` to `hop * k + window/2 - 1`, zeros outside the signal.
    Source: Kong et al., PANNs (2020); zeros instead of reflection so that it streams.
    """

    sample_rate_hz: int = Field(32_000, gt=0)
    window_samples: int = Field(1024, gt=0)
    hop_samples: int = Field(320, gt=0)
    mel_bins: int = Field(64, gt=0)
    f_min_hz: float = Field(50.0, ge=0)
    f_max_hz: float = Field(14_000.0, gt=0)
    floor_power: float = Field(1e-10, gt=0)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.f_min_hz < self.f_max_hz <= self.sample_rate_hz / 2:
            raise ValueError(
                f"band {self.f_min_hz}-{self.f_max_hz} Hz must rise and end at or below {self.sample_rate_hz / 2} Hz"
            )
        if self.window_samples % 2 or self.hop_samples > self.window_samples:
            raise ValueError("the window must be even and no shorter than the hop")
        return self

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits; two front ends with equal fingerprints give equal features."""
        return self.digest()

    @property
    def frames_per_second(self) -> float:
        """Frames for each second of audio (100 for the default)."""
        return self.sample_rate_hz / self.hop_samples

    def frames(self, samples: int) -> int:
        """Frames of a signal: one for each whole or begun hop, so 10 s at 32 kHz give 1000."""
        return -(-samples // self.hop_samples)

    def seconds(self, frames: int) -> float:
        """Length of `frames` frames in seconds."""
        return frames * self.hop_samples / self.sample_rate_hz
