"""Compare each file of a bundle with PyTorch on golden samples and, where there is some, on labelled audio.

Proved by tests/verify/test_verify.py.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file

from toolkit.audio.clip import Clip
from toolkit.audio.clips import decode_all
from toolkit.audio.dataset import Dataset
from toolkit.export.export import load_subnet, stream_scores, to_float
from toolkit.export.modules import ClipModule
from toolkit.frontend import LogMel
from toolkit.listen.interpreter import Classifier
from toolkit.listen.steps import make_step
from toolkit.specs.bundle import GOLDEN, BundleFile, BundleManifest, open_bundle
from toolkit.specs.certificate import NOT_COMPUTED, Certificate, FileCertificate, LabelledScore
from toolkit.specs.errors import MismatchError, UserError
from toolkit.specs.layer import Mode
from toolkit.specs.run import Run
from toolkit.train.metrics import Scores, mean_average_precision

MAX_ERROR = {"fp32": 1e-4, "int8": 0.25}
"""Greatest difference of a score on the golden samples; for int8 a guard against broken files, its bar is mAP."""
MAX_LOSS_POINTS = {"fp32": 0.1, "int8": 1.0}
"""Points of mAP that a file may lose against PyTorch on labelled audio."""
SPLITS = ("test", "validation", "train")
NOT_A_SCORE = -1.0
"""Stands for NaN and infinities that a broken file gives: it is far from every score, so the file misses its bars."""

Say = Callable[[str, int, int], None]


class Reference:
    """PyTorch's scores of the bundle's subnet, from its Run."""

    def __init__(self, run: Run, manifest: BundleManifest) -> None:
        if run.hash != manifest.run_hash:
            raise MismatchError(
                f"the bundle was made from Run {manifest.run_name} ({manifest.run_hash}), this Run is "
                f"{run.manifest.name} ({run.hash}). Name its Run with --run DIR, or export again."
            )
        self.net = load_subnet(run, run.manifest.space.parse(manifest.subnet))
        self.front_end = LogMel(run.manifest.front_end)

    def scores(self, mode: Mode, samples: np.ndarray) -> Scores:
        """[decisions, L] of float32 samples [S]."""
        waveform = torch.from_numpy(samples)[None]
        if mode == "stream":
            return stream_scores(self.front_end, self.net, waveform)
        with torch.no_grad():
            return np.asarray(ClipModule(self.front_end, self.net)(waveform)[0].numpy())


class Recipient:
    """The same from a file of the bundle, through the listener's own runtime."""

    def __init__(self, folder: Path, manifest: BundleManifest, file: BundleFile) -> None:
        self.model = Classifier(folder / file.name, file)
        self.manifest, self.file = manifest, file

    def scores(self, samples: np.ndarray) -> Scores:
        """[decisions, L] of float32 samples [S]."""
        step, hop = make_step(self.model, self.manifest), self.manifest.hop_samples
        if self.file.mode == "clip":
            hop = self.manifest.window_samples
        whole = samples[: len(samples) // hop * hop].reshape(-1, hop)
        scores = np.stack([step(chunk) for chunk in whole])
        return np.where(np.isfinite(scores), scores, np.float32(NOT_A_SCORE))


def verify(folder: Path, run: Run, dataset: Dataset | None, split: str | None, say: Say) -> Certificate:
    """Measure every file of the bundle in `folder`.

    Raises:
        UserError: the bundle or the Run is damaged, or the data has no label of the bundle.
        MismatchError: bundle and Run do not belong together.
    """
    manifest = open_bundle(folder)
    reference = Reference(run, manifest)
    samples = to_float(_golden(folder)["samples"])
    labelled = Labelled(dataset, split, manifest, reference, say) if dataset else None
    certificates = []
    for file in manifest.files:
        recipient = Recipient(folder, manifest, file)
        error = np.abs(recipient.scores(samples) - reference.scores(file.mode, samples))
        score = labelled.score(recipient) if labelled else None
        found = FileCertificate(
            name=file.name,
            sha256=file.sha256,
            size_bytes=file.size_bytes,
            max_error=float(error.max()),
            mean_error=float(error.mean()),
            labelled=score,
            faults=tuple(_faults(file, float(error.max()), score)),
        )
        certificates.append(found)
    return Certificate(
        subnet=manifest.subnet,
        run_hash=manifest.run_hash,
        runtime=recipient.model.runtime,
        machine=f"{platform.machine()} {platform.system()}",
        audio="10 s of a synthesized scene (golden samples)",
        files=tuple(certificates),
        note="" if dataset else NOT_COMPUTED,
    )


class Labelled:
    """Labelled clips, each the first 10 s with zeros after a shorter one, and PyTorch's scores of them."""

    def __init__(
        self, dataset: Dataset, split: str | None, manifest: BundleManifest, reference: Reference, say: Say
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
        clips = splits[self.split]
        self.manifest, self.data_hash, self.say = manifest, dataset.data_hash, say
        rate = manifest.front_end.sample_rate_hz
        decoded = decode_all(clips, rate, on_progress=lambda done, of: say("decoding", done, of)).clips
        self.clips = [item.clip for item in decoded]
        size = manifest.window_samples
        self.windows = [np.pad(item.waveform[:size], (0, max(0, size - len(item.waveform)))) for item in decoded]
        self.targets = _targets(self.clips, manifest.labels)
        self.reference = reference
        self._pytorch: dict[str, Scores] = {}

    def score(self, recipient: Recipient) -> LabelledScore:
        """Mean average precision of one file and of PyTorch in the same mode."""
        mode = recipient.file.mode
        if mode not in self._pytorch:
            self._pytorch[mode] = self._all(f"PyTorch {mode}", lambda samples: self.reference.scores(mode, samples))
        found = self._all(recipient.file.name, recipient.scores)
        return LabelledScore(
            data_hash=self.data_hash,
            split=self.split,
            clips=len(self.clips),
            labels=int(self.targets.any(axis=0).sum()),
            pytorch=mean_average_precision(self._pytorch[mode], self.targets),
            file=mean_average_precision(found, self.targets),
        )

    def _all(self, what: str, scores: Callable[[np.ndarray], Scores]) -> Scores:
        """The last decision on each window [N, L]."""
        rows = []
        for number, window in enumerate(self.windows, start=1):
            rows.append(scores(window)[-1])
            self.say(what, number, len(self.windows))
        return np.stack(rows)


def _targets(clips: Iterable[Clip], labels: tuple[str, ...]) -> Scores:
    return np.array([[label in clip.labels for label in labels] for clip in clips], dtype=np.float32)


def _golden(folder: Path) -> dict[str, np.ndarray]:
    try:
        return load_file(folder / GOLDEN)
    except SafetensorError as error:
        raise UserError(f"{folder / GOLDEN} is damaged ({error}). Export the bundle again.") from None


def _faults(file: BundleFile, max_error: float, score: LabelledScore | None) -> Iterable[str]:
    if not max_error <= MAX_ERROR[file.precision]:
        yield f"a score differs from PyTorch by {max_error:.2g}, the bar is {MAX_ERROR[file.precision]:g}"
    if score and score.loss_points > MAX_LOSS_POINTS[file.precision]:
        yield f"mAP falls by {score.loss_points:.2f} points, the bar is {MAX_LOSS_POINTS[file.precision]:g}"
