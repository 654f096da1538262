"""The peak of a block is what it held at most, whatever it gave back in between."""

from __future__ import annotations

import numpy as np

from toolkit.verify.memory import measured_peak

MIB = 2**20


def test_the_peak_is_seen_though_it_is_gone_at_the_end() -> None:
    """64 MiB written and freed count, to a few MiB."""
    with measured_peak() as peak:
        np.ones(64 * MIB, np.uint8).sum()
    assert peak.bytes is not None
    assert 60 * MIB < peak.bytes < 80 * MIB


def test_what_was_there_before_does_not_count() -> None:
    """Neither what is still held nor an older peak."""
    held = np.ones(64 * MIB, np.uint8)
    np.ones(128 * MIB, np.uint8).sum()
    with measured_peak() as peak:
        np.ones(8 * MIB, np.uint8).sum()
    assert peak.bytes is not None
    assert 6 * MIB < peak.bytes < 24 * MIB
    assert held[0] == 1
