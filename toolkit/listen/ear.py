"""`Ear`: an opened bundle that hears chunks of audio, moment by moment, and knows what that cost.

Where the audio comes from is the caller's. Proved by tests/listen/test_ear.py.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.events.decoder import Decision, Event, EventDecoder
from toolkit.listen.interpreter import Classifier
from toolkit.listen.listener import Listener
from toolkit.listen.steps import make_step
from toolkit.specs.bundle import BundleFile, BundleManifest, open_bundle
from toolkit.specs.errors import UserError
from toolkit.specs.layer import Mode
from toolkit.specs.runtime import Precision

_MODES: tuple[Mode, ...] = ("stream", "clip")


@dataclass(frozen=True)
class Moment:
    """One decision: seconds of audio heard so far, labels that began with it, events that ended."""

    heard_s: float
    began: frozenset[str]
    ended: tuple[Event, ...]


@dataclass(frozen=True)
class Cost:
    """What listening took, measured: wall time of an inference, CPU time of the whole process."""

    runtime: str
    decisions: int
    inference_p50_ms: float
    inference_p90_ms: float
    core_share: float
    """CPU seconds a decision over the seconds between two: the share of one core of listening for ever."""

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self) | {"kind": "measured"}


class Ear:
    """A bundle that listens to one stream.

    Args:
        folder: the bundle; every file of it is checked.
        precision: which file to run; otherwise the pick's, else int8, else the first.
        threshold: replaces the thresholds of all labels; each keeps its smoothing, and its off threshold the ratio.

    Raises:
        UserError: no bundle, a damaged one, or none of its files can listen.
        MismatchError: the file does not fit its manifest.
    """

    def __init__(self, folder: Path, precision: Precision | None = None, threshold: float | None = None) -> None:
        manifest = open_bundle(folder)
        self.manifest = manifest
        self.file = _listenable(folder, manifest, precision)
        self._classifier = Classifier(folder / self.file.name, self.file)
        step = make_step(self._classifier, self.file, manifest)
        self._listener = Listener(step, manifest.window_samples, manifest.hop_samples)
        rules = manifest.decisions
        if threshold is not None:
            rules = tuple(rule.at(threshold).model_copy(update={"calibrated": False}) for rule in rules)
        self.uncalibrated = tuple(rule.label for rule in rules if not rule.calibrated)
        """Labels whose thresholds rest on no measurement."""
        self._decoder = EventDecoder(
            rules,
            manifest.window_samples,
            manifest.hop_samples,
            manifest.front_end.sample_rate_hz,
        )
        self._cpu_seconds = 0.0

    @property
    def sample_rate_hz(self) -> int:
        """Rate that `hear` expects."""
        return self.manifest.front_end.sample_rate_hz

    @property
    def heard_s(self) -> float:
        """Seconds of audio so far."""
        return self._listener.heard / self.sample_rate_hz

    def hear(self, chunks: Iterable[np.ndarray]) -> Iterator[Moment]:
        """A moment for each decision on mono float32 chunks [S] of any length, and the close of the last events."""
        started = time.process_time()
        for chunk in chunks:
            for decision in self._listener.push(chunk):
                yield self._moment(decision)
        for number, decision in enumerate(self._listener.flush()):
            yield self._moment(decision)
            if not self._decoder.sounding and number >= self._decoder.lag_decisions:
                break
        yield Moment(self.heard_s, frozenset(), tuple(self._decoder.flush()))
        self._cpu_seconds += time.process_time() - started

    def cost(self) -> Cost:
        """What it took so far."""
        times_ms = 1e3 * np.array(self._listener.inference_seconds or [0.0])
        hop_seconds = self.manifest.hop_samples / self.sample_rate_hz
        decisions = self._listener.decisions
        return Cost(
            runtime=self._classifier.runtime,
            decisions=decisions,
            inference_p50_ms=round(float(np.percentile(times_ms, 50)), 3),
            inference_p90_ms=round(float(np.percentile(times_ms, 90)), 3),
            core_share=round(self._cpu_seconds / (max(decisions, 1) * hop_seconds), 5),
        )

    def _moment(self, decision: Decision) -> Moment:
        before = self._decoder.sounding
        ended = tuple(self._decoder.push(decision))
        return Moment(decision.heard / self.sample_rate_hz, self._decoder.sounding - before, ended)


def _listenable(folder: Path, manifest: BundleManifest, precision: Precision | None) -> BundleFile:
    """The bundle's TFLite file for streams, or else the one for clips."""
    for mode in _MODES:
        if file := manifest.choose(mode=mode, precision=precision, runtime="tflite"):
            return file
    held = ", ".join(f"{file.runtime} {file.precision} {file.mode}" for file in manifest.files)
    wanted = f"{precision} TFLite" if precision else "TFLite"
    raise UserError(f"{folder} holds no {wanted} file for streams or clips; it has {held}. Export it with one.")
