"""`EventDecoder`: decisions become events with start, end and confidence. Not the decisions: see `listener.py`.

A window holds far more than a hop, so a score stays high until the event has left it. An event therefore starts with
the hop whose arrival raised the score, and ends with the last hop of the oldest window that still held it:

    event                    =====
    windows          |----------|
                       |----------|          first above: the event starts in its last hop
                            ...
                             |----------|    last above: the event ends in its first hop

Both are known to one hop, and an event that has begun lasts one at least. Two events of a label closer than a window
come out as one. Proved by tests/listen/test_events.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from toolkit.listen.listener import Decision

OFF_FACTOR = 0.8
"""An event goes on while its score is above this share of the threshold."""
BRIDGED_HOPS = 2
"""Decisions below that do not end an event."""


@dataclass(frozen=True)
class Event:
    """A label heard from `start_s` to `end_s`; the confidence is its highest score."""

    label: str
    start_s: float
    end_s: float
    confidence: float


@dataclass
class _Sounding:
    start: int
    last: int
    peak: float
    decisions: int


@dataclass
class EventDecoder:
    """One running stream of decisions; memory does not grow with it.

    Args:
        labels: of the scores, in order.
        thresholds: score at which an event of each label begins.
        window_samples, hop_samples: of the listener.
        sample_rate_hz: samples a second.
    """

    labels: Sequence[str]
    thresholds: Sequence[float]
    window_samples: int
    hop_samples: int
    sample_rate_hz: int
    _sounding: dict[int, _Sounding] = field(default_factory=dict, init=False)
    _heard: int = field(default=0, init=False)

    @property
    def sounding(self) -> frozenset[str]:
        """Labels that are heard now."""
        return frozenset(self.labels[index] for index in self._sounding)

    def push(self, decision: Decision) -> list[Event]:
        """Events that this decision ends; those of one label come in order and never overlap."""
        self._heard = decision.heard
        events = []
        for index, threshold in enumerate(self.thresholds):
            score = float(decision.scores[index])
            now = self._sounding.get(index)
            if now is None:
                start = decision.end - self.hop_samples
                if score >= threshold and start < decision.heard:
                    self._sounding[index] = _Sounding(start, decision.end, score, 1)
            elif score >= OFF_FACTOR * threshold:
                now.last, now.peak, now.decisions = decision.end, max(now.peak, score), now.decisions + 1
            elif decision.end - now.last > BRIDGED_HOPS * self.hop_samples:
                events += self._close(index)
        return events

    def flush(self) -> list[Event]:
        """Events that still sound when there are no more decisions."""
        return [event for index in sorted(self._sounding) for event in self._close(index)]

    def _close(self, index: int) -> list[Event]:
        sounded = self._sounding.pop(index)
        # A whole event is in at least this many windows; what fewer of them heard was a flicker.
        if sounded.decisions < min(2, self.window_samples // self.hop_samples):
            return []
        left = sounded.last - self.window_samples + self.hop_samples
        end = min(max(left, sounded.start + self.hop_samples), self._heard)
        rate = self.sample_rate_hz
        confidence = min(1.0, max(0.0, sounded.peak))
        return [Event(self.labels[index], sounded.start / rate, end / rate, round(confidence, 4))]
