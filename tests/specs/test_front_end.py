"""The front end's description: what it counts, what it refuses, and what its fingerprint tells apart."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.specs.errors import UserError
from toolkit.specs.front_end import FrontEndSpec


def test_the_default_is_the_papers() -> None:
    """Ten seconds at 32 kHz give 1000 frames of 64 bins.

    Source: Lin et al. (2023), section 3.1; PANNs' constants.
    """
    spec = FrontEndSpec()
    assert (spec.sample_rate_hz, spec.window_samples, spec.hop_samples) == (32_000, 1024, 320)
    assert (spec.mel_bins, spec.f_min_hz, spec.f_max_hz, spec.floor_power) == (64, 50, 14_000, 1e-10)
    assert spec.frames(10 * 32_000) == 1000
    assert spec.frames_per_second == 100
    assert spec.seconds(96) == pytest.approx(0.96)


@given(samples=st.integers(0, 10**6), hop=st.integers(1, 1024))
def test_a_frame_for_each_begun_hop(samples: int, hop: int) -> None:
    """The frames cover the signal, and the last of them still begins within it."""
    frames = FrontEndSpec(hop_samples=hop).frames(samples)
    assert frames * hop >= samples
    assert (frames - 1) * hop < max(samples, 1)


CHANGES: list[dict[str, Any]] = [
    {"sample_rate_hz": 44_100},
    {"window_samples": 2048},
    {"hop_samples": 160},
    {"mel_bins": 128},
    {"f_min_hz": 20.0},
    {"f_max_hz": 16_000.0},
    {"floor_power": 1e-8},
]


def test_every_field_changes_the_fingerprint() -> None:
    """Two descriptions that differ anywhere have different fingerprints; equal ones have equal ones."""
    assert {next(iter(change)) for change in CHANGES} == set(FrontEndSpec.model_fields)
    fingerprints = {FrontEndSpec(**change).fingerprint for change in [{}, *CHANGES]}
    assert len(fingerprints) == len(CHANGES) + 1
    assert FrontEndSpec(f_min_hz=50).fingerprint == FrontEndSpec().fingerprint


@pytest.mark.parametrize(
    "text",
    [
        '{"f_max_hz": 16001}',
        '{"f_min_hz": 14000, "f_max_hz": 14000}',
        '{"f_min_hz": -1}',
        '{"window_samples": 1023}',
        '{"hop_samples": 1025}',
        '{"hop_samples": 0}',
        '{"sample_rate_hz": 32000.5}',
        '{"floor_power": 0}',
    ],
)
def test_what_cannot_be_is_refused(text: str) -> None:
    """A band beyond half the rate, an odd window, a hop that leaves gaps: each is refused."""
    with pytest.raises(UserError, match="not a good FrontEndSpec"):
        FrontEndSpec.from_text(text, origin="front end")
