"""Labelled audio for `verify`: windows for mAP, a long scene for events, and PyTorch's scores of both, heard once.

Proved by tests/verify/test_verify.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

import numpy as np

from toolkit.audio.clip import Clip
from toolkit.audio.clips import decode_all
from toolkit.audio.dataset import Dataset
from toolkit.specs.bundle import BundleManifest
from toolkit.specs.certificate import LabelledScore, Listening
from toolkit.specs.errors import UserError
from toolkit.specs.layer import Mode
from toolkit.train.metrics import Scores, mean_average_precision
from toolkit.verify.scenes import build_scene, judge

SPLITS = ("test", "validation", "train")

Say = Callable[[str, int, int], None]
Scorer = Callable[[np.ndarray], Scores]
"""Float32 samples [S] to scores [decisions, L]."""


class Reference(Protocol):
    """PyTorch, whose scores a file's are held against."""

    def scores(self, mode: Mode, samples: np.ndarray) -> Scores:
        """[decisions, L] of float32 samples [S]: after each hop of a stream, else of one window."""
        ...

    def decisions(self, mode: Mode, samples: np.ndarray) -> Scores:
        """[decisions, L] of float32 samples [S], after each hop in every mode."""
        ...


class Labelled:
    """Labelled clips, each the first 10 s with zeros after a shorter one, and a scene made of them.

    Args:
        dataset, split: which clips; the first of `SPLITS` that has some if no split is named.
        manifest: of the bundle.
        pytorch: the reference.
        say: progress.

    Raises:
        UserError: no clip with a label of the bundle.
    """

    def __init__(
        self,
        dataset: Dataset,
        split: str | None,
        manifest: BundleManifest,
        pytorch: Reference,
        say: Say,
    ) -> None:
        known = [label for label in dataset.labels if label in manifest.labels]
        if not known:
            raise UserError(
                f"the data has none of the bundle's labels; it has {', '.join(dataset.labels)[:200]}, the bundle "
                f"{', '.join(manifest.labels)[:200]}."
            )
        splits = {name: dataset.subset(split=name, labels=known).clips for name in SPLITS}
        labelled = [name for name, clips in splits.items() if any(clip.labels for clip in clips)]
        self.split = split or labelled[0]
        if self.split not in labelled:
            raise UserError(
                f"split {self.split!r} of the data holds no clip with a label of the bundle. "
                f"Name another with --split: {', '.join(labelled)}."
            )
        self.manifest, self.data_hash, self.say = manifest, dataset.data_hash, say
        rate, size = manifest.front_end.sample_rate_hz, manifest.window_samples
        clips = splits[self.split]
        decoded = decode_all(clips, rate, on_progress=lambda done, of: say("decoding", done, of)).clips
        heard = [(item.waveform[:size], item.clip) for item in decoded]
        self.windows = [np.pad(waveform, (0, size - len(waveform))) for waveform, _ in heard]
        self.targets = _targets((clip for _, clip in heard), manifest.labels)
        self.scene = build_scene([(waveform, clip.labels) for waveform, clip in heard], manifest.front_end)
        self.pytorch = pytorch
        self._scores: dict[Mode, Scores] = {}
        self._decisions: dict[Mode, Scores] = {}

    def score(self, name: str, mode: Mode, file: Scorer) -> LabelledScore:
        """Mean average precision of one file and of PyTorch in the same mode, on the last decision in each window."""
        mode = _reference_mode(mode)
        if mode not in self._scores:
            self._scores[mode] = self._last(f"PyTorch {mode}", partial(self.pytorch.scores, mode))
        return LabelledScore(
            data_hash=self.data_hash,
            split=self.split,
            clips=len(self.windows),
            labels=int(self.targets.any(axis=0).sum()),
            pytorch=mean_average_precision(self._scores[mode], self.targets),
            file=mean_average_precision(self._last(name, file), self.targets),
        )

    def listen(self, name: str, mode: Mode, file: Scorer) -> Listening:
        """Events that one file tells in the scene, deciding after each hop, and PyTorch in the same mode."""
        mode = _reference_mode(mode)
        if mode not in self._decisions:
            self.say(f"PyTorch {mode} hears a scene", 0, 1)
            self._decisions[mode] = self.pytorch.decisions(mode, self.scene.samples)
        self.say(f"{name} hears a scene", 0, 1)
        return Listening(
            hours=round(self.scene.hours, 3),
            events=len(self.scene.events),
            pytorch=judge(self._decisions[mode], self.scene, self.manifest),
            file=judge(file(self.scene.samples), self.scene, self.manifest),
        )

    def _last(self, what: str, scorer: Scorer) -> Scores:
        """The last decision on each window [N, L]."""
        rows = []
        for number, window in enumerate(self.windows, start=1):
            rows.append(scorer(window)[-1])
            self.say(what, number, len(self.windows))
        return np.stack(rows)


def _reference_mode(mode: Mode) -> Mode:
    """What PyTorch runs: a `frames` file hears the front end's log-mel, so it is to tell what `clip` does."""
    return "stream" if mode == "stream" else "clip"


def _targets(clips: Iterable[Clip], labels: tuple[str, ...]) -> Scores:
    return np.array([[label in clip.labels for label in labels] for clip in clips], dtype=np.float32)
