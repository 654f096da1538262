"""A long scene of labelled clips with known events, as samples: what `stream` files and their decisions are judged on.

Clips stand one after the other over a quiet room's noise (white noise is rain to a network that knows rain), each at a
level of its own, with gaps in which a listener with a 10 s window forgets the last one. Decisions are fitted on other,
mixed scenes (`toolkit.train.streams`); here a file is held against PyTorch on the same sound.
Proved by tests/verify/test_scenes.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from toolkit.audio.scene import pink_noise
from toolkit.events.decoder import Decision, Event, EventDecoder
from toolkit.frontend import LogMel
from toolkit.specs.bundle import BundleManifest
from toolkit.specs.certificate import EventScore
from toolkit.specs.front_end import FrontEndSpec
from toolkit.train.event_counts import Timing, library_hits
from toolkit.train.features import log_mel
from toolkit.train.metrics import Scores
from toolkit.train.streams import APART_SECONDS, StreamEvent, event_span, without_padding

MAX_CLIPS = 100
SEED = 5
LEVELS_DB = (-45.0, -15.0)
"""Of an event's loudest frame, against full scale."""
NOISE_DB = -65.0
LEAD_SECONDS = 2.0


@dataclass(frozen=True, eq=False)
class LabelledScene:
    """Float32 samples [S] and the events in them, by onset."""

    samples: np.ndarray
    events: tuple[StreamEvent, ...]
    sample_rate_hz: int

    @property
    def hours(self) -> float:
        """Its length."""
        return len(self.samples) / self.sample_rate_hz / 3600


def build_scene(clips: Sequence[tuple[np.ndarray, Sequence[str]]], spec: FrontEndSpec) -> LabelledScene:
    """At most `MAX_CLIPS` clips, waveforms [S] and their labels, drawn and placed the same each time."""
    rng = np.random.default_rng(SEED)
    front_end = LogMel(spec)
    rate = spec.sample_rate_hz
    chosen = sorted(rng.permutation(len(clips))[:MAX_CLIPS])
    rng.shuffle(chosen)
    parts = [pink_noise(round(LEAD_SECONDS * rate), rate, NOISE_DB, rng)]
    events: list[StreamEvent] = []
    at = len(parts[0])
    for index in chosen:
        waveform, labels = clips[index]
        heard = without_padding(log_mel(front_end, waveform).astype(np.float32), spec) if len(waveform) else None
        if heard is None or not len(heard):
            continue
        first, last = event_span(heard)
        part = waveform * _gain(waveform, rate, rng.uniform(*LEVELS_DB))
        begin_s = at / rate
        events += [
            StreamEvent(label, begin_s + spec.seconds(first), begin_s + spec.seconds(last + 1)) for label in labels
        ]
        gap = round(rng.uniform(APART_SECONDS, APART_SECONDS + 2) * rate)
        noise = pink_noise(len(part) + gap, rate, NOISE_DB, rng)
        noise[: len(part)] += part
        parts.append(noise)
        at += len(noise)
    samples = np.concatenate(parts).clip(-1, 1).astype(np.float32)
    return LabelledScene(samples, tuple(events), rate)


def _gain(waveform: np.ndarray, rate: int, level_db: float) -> float:
    """To the level in the loudest 20 ms."""
    frame = rate // 50
    padded = np.pad(waveform, (0, -len(waveform) % frame)).reshape(-1, frame)
    loudest = float(np.sqrt(np.mean(padded.astype(np.float64) ** 2, axis=1)).max())
    return float(10 ** (level_db / 20) / loudest)


def judge(scores: Scores, scene: LabelledScene, manifest: BundleManifest) -> EventScore:
    """Event-based F1 and false alarms of decisions on scores [D, L], means over the calibrated labels that occur.

    An event hits a true one of its label when it begins within the collar of `Timing` of its onset, and is a false
    alarm when it touches none, the collar added at both ends.
    """
    rate = scene.sample_rate_hz
    decoder = EventDecoder(manifest.decisions, manifest.window_samples, manifest.hop_samples, rate)
    told = list(_told(decoder, scores, manifest.hop_samples))
    collar_s = Timing(manifest.window_samples, manifest.hop_samples, rate, len(scene.samples)).collar_s
    occurring = {event.label for event in scene.events}
    labels = [rule.label for rule in manifest.decisions if rule.calibrated]
    f1s, alarms = [], 0
    for label in labels:
        mine = [event for event in told if event.label == label]
        true = [event for event in scene.events if event.label == label]
        alarms += sum(not any(_touches(event, each, collar_s) for each in true) for event in mine)
        if label in occurring:
            hits = library_hits([event.start_s for event in mine], [event.onset_s for event in true], collar_s)
            f1s.append(2 * hits / (len(mine) + len(true)))
    return EventScore(
        f1=round(float(np.mean(f1s)), 4) if f1s else None,
        false_alarms_per_hour=round(alarms / scene.hours / len(labels), 3) if labels else None,
    )


def _told(decoder: EventDecoder, scores: Scores, hop: int) -> Iterable[Event]:
    for number, row in enumerate(scores, start=1):
        yield from decoder.push(Decision(number * hop, number * hop, row))
    yield from decoder.flush()


def _touches(event: Event, true: StreamEvent, collar_s: float) -> bool:
    return event.start_s < true.offset_s + collar_s and event.end_s > true.onset_s - collar_s
