"""What `EventDecoder` would tell of many streams at many thresholds, all at once: for fitting, not for listening.

Times are counted in decisions. Axis letters: S streams of equal length, D decisions, C columns (a label, or a label
decoded in another way), K thresholds. Proved by tests/events/test_sweep.py: the events are exactly those of
`EventDecoder`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from toolkit.events.decoder import BRIDGED_HOPS

NONE = -1


def smooth(scores: NDArray[np.float32], smoothing_decisions: Sequence[int]) -> NDArray[np.float32]:
    """Medians of the n decisions around each of [S, D, C], n for each column; zeros stand before and after a stream."""
    smoothed = scores.copy()
    for n in set(smoothing_decisions) - {1}:
        columns = [column for column, own in enumerate(smoothing_decisions) if own == n]
        padded = np.pad(scores[:, :, columns], ((0, 0), (n // 2, n // 2), (0, 0)))
        smoothed[:, :, columns] = np.median(sliding_window_view(padded, n, axis=1), axis=-1)
    return smoothed


def sweep(
    smoothed: NDArray[np.float32],
    thresholds: NDArray[np.float64],
    off_thresholds: NDArray[np.float64],
    fewest_decisions: int,
) -> NDArray[np.int16]:
    """All events at all thresholds, dense: [S, D, C, K].

    Args:
        smoothed: scores [S, D, C].
        thresholds: where events begin [K].
        off_thresholds: where they may end [C, K].
        fewest_decisions: above the off threshold, for an event to be believed.

    Returns:
        Where an event begins (its first decision above the threshold) its last decision above the off threshold,
        `NONE` elsewhere.
    """
    streams, decisions, columns = smoothed.shape
    shape = (streams, columns, len(thresholds))
    events = np.full((streams, decisions, *shape[1:]), NONE, np.int16)
    sounding = np.zeros(shape, bool)
    start, last, count = (np.zeros(shape, np.int16) for _ in range(3))

    def close(which: NDArray[np.bool_]) -> None:
        stream, column, candidate = np.nonzero(which & (count >= fewest_decisions))
        events[stream, start[stream, column, candidate], column, candidate] = last[stream, column, candidate]

    for now in range(decisions):
        score = smoothed[:, now, :, None]
        holds = sounding & (score >= off_thresholds)
        begins = ~sounding & (score >= thresholds)
        ends = sounding & ~holds & (now - last > BRIDGED_HOPS)
        close(ends)
        start[begins] = now
        last[holds | begins] = now
        count[holds] += 1
        count[begins] = 1
        sounding = (sounding | begins) & ~ends
    close(sounding)
    return events


def event_times(
    first: NDArray[np.integer], last: NDArray[np.integer], window_samples: int, hop_samples: int, heard_samples: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Samples at which events start and end, from their first and last decision (0 is the one after the first hop)."""
    start = first.astype(np.float64) * hop_samples
    left = (last.astype(np.float64) + 2) * hop_samples - window_samples
    return start, np.minimum(np.maximum(left, start + hop_samples), heard_samples)
