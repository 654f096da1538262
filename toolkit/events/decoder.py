"""`EventDecoder`: scores become events with start, end and confidence. Where scores come from is not known here.

A window holds far more than a hop, so a score stays high until the event has left it. An event therefore starts with
the hop whose arrival raised the score, and ends with the last hop of the oldest window that still held it:

    event                    =====
    windows          |----------|
                       |----------|          first above: the event starts in its last hop
                            ...
                             |----------|    last above: the event ends in its first hop

Both are known to one hop, and an event that has begun lasts one at least. Two events of a label closer than a window
come out as one. Smoothing leaves these times as they are: a score is replaced by the median of the n scores around
it, so that an event is only told n // 2 decisions later. Proved by tests/events/test_decoder.py.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from toolkit.specs.run import LabelDecision

BRIDGED_HOPS = 2
"""Decisions below the off threshold that do not end an event."""


@dataclass(frozen=True)
class Decision:
    """Scores [labels] of the window that ends at sample `end`; `heard` samples of audio have come so far."""

    end: int
    heard: int
    scores: np.ndarray


@dataclass(frozen=True)
class Event:
    """A label heard from `start_s` to `end_s`; the confidence is its highest score, smoothed if its label is."""

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


class EventDecoder:
    """One running stream of decisions; memory does not grow with it.

    Args:
        rules: thresholds and smoothing of each label, in the order of the scores.
        window_samples, hop_samples: behind a decision, and between two.
        sample_rate_hz: samples a second.
    """

    def __init__(
        self, rules: Sequence[LabelDecision], window_samples: int, hop_samples: int, sample_rate_hz: int
    ) -> None:
        self.rules = rules
        self.lag_decisions = max(rule.smoothing_decisions for rule in rules) // 2
        """How many decisions later than its own an event is told at most."""
        self._window, self._hop, self._rate_hz = window_samples, hop_samples, sample_rate_hz
        self._fewest = fewest_decisions(window_samples, hop_samples)
        silence = [np.zeros(len(rules))] * (2 * self.lag_decisions)
        self._latest = deque(silence, maxlen=2 * self.lag_decisions + 1)
        self._sounding: dict[int, _Sounding] = {}
        self._end = self._heard = 0

    @property
    def sounding(self) -> frozenset[str]:
        """Labels that are heard now."""
        return frozenset(self.rules[index].label for index in self._sounding)

    def push(self, decision: Decision) -> list[Event]:
        """Events that this decision ends; those of one label come in order and never overlap."""
        self._heard = decision.heard
        return self._step(decision.end, decision.scores)

    def flush(self) -> list[Event]:
        """Events that still sound when there are no more decisions."""
        events = []
        for _ in range(self.lag_decisions):
            events += self._step(self._end + self._hop, np.zeros(len(self.rules)))
        return events + [event for index in sorted(self._sounding) for event in self._close(index)]

    def _step(self, end: int, scores: np.ndarray) -> list[Event]:
        self._end = end
        self._latest.append(scores)
        latest = list(self._latest)
        events = []
        for index, rule in enumerate(self.rules):
            smoothing = rule.smoothing_decisions
            score = sorted(float(row[index]) for row in latest[-smoothing:])[smoothing // 2]
            at = end - smoothing // 2 * self._hop  # the end of the window in the middle of those smoothed
            now = self._sounding.get(index)
            if now is None:
                start = at - self._hop
                if score >= rule.threshold and 0 <= start < self._heard:
                    self._sounding[index] = _Sounding(start, at, score, 1)
            elif score >= rule.off_threshold:
                now.last, now.peak, now.decisions = at, max(now.peak, score), now.decisions + 1
            elif at - now.last > BRIDGED_HOPS * self._hop:
                events += self._close(index)
        return events

    def _close(self, index: int) -> list[Event]:
        sounded = self._sounding.pop(index)
        if sounded.decisions < self._fewest:
            return []
        left = sounded.last - self._window + self._hop
        end = min(max(left, sounded.start + self._hop), self._heard)
        confidence = min(1.0, max(0.0, sounded.peak))
        return [
            Event(self.rules[index].label, sounded.start / self._rate_hz, end / self._rate_hz, round(confidence, 4))
        ]


def fewest_decisions(window_samples: int, hop_samples: int) -> int:
    """A whole event is in at least this many windows; what fewer of them heard was a flicker."""
    return min(2, window_samples // hop_samples)
