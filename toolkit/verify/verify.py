"""Compare each file of a bundle with PyTorch on golden samples and, where there is some, on labelled audio.

Proved by tests/verify/test_verify.py.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file

from toolkit.audio.dataset import Dataset
from toolkit.export.export import load_subnet, stream_scores, to_float
from toolkit.export.modules import SAMPLES, SCORES, ClipModule
from toolkit.frontend import LogMel
from toolkit.listen.interpreter import Arrays
from toolkit.listen.steps import ClipStep, Step, make_step
from toolkit.specs.bundle import CERTIFICATE, GOLDEN, BundleFile, BundleManifest, open_bundle
from toolkit.specs.certificate import KEPT, NOT_COMPUTED, Certificate, FileCertificate, LabelledScore
from toolkit.specs.errors import MismatchError, UserError
from toolkit.specs.layer import Mode
from toolkit.specs.run import Run
from toolkit.specs.runtime import Precision
from toolkit.train.metrics import Scores
from toolkit.verify.coreml import check_package
from toolkit.verify.delegation import delegation
from toolkit.verify.labelled import Labelled, Say
from toolkit.verify.memory import measured_peak
from toolkit.verify.models import CannotRunHereError, open_model

MAX_ERROR: dict[Precision, float] = {
    "fp32": 1e-4,
    "fp16": 0.05,
    "int8": 0.25,
    "int8-dynamic": 0.25,
    "int8-weights": 0.25,
}
"""Greatest difference of a score on the golden samples; but for fp32 a guard against broken files: their bar is mAP."""
MAX_LOSS_POINTS: dict[Precision, float] = {
    "fp32": 0.1,
    "fp16": 0.1,
    "int8": 1.0,
    "int8-dynamic": 1.0,
    "int8-weights": 1.0,
}
"""Points of mAP that a file may lose against PyTorch on labelled audio."""
GOLDEN_AUDIO = "10 s of a synthesized scene (golden samples)"
NOT_A_SCORE = -1.0
"""Stands for NaN and infinities that a broken file gives: it is far from every score, so the file misses its bars."""


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
        self.manifest = manifest

    def scores(self, mode: Mode, samples: np.ndarray) -> Scores:
        """[decisions, L] of float32 samples [S]: after each hop of a stream, else of one window."""
        waveform = torch.from_numpy(samples)[None]
        if mode == "stream":
            return stream_scores(self.front_end, self.net, waveform)
        with torch.no_grad():  # a `frames` file is given the front end's log-mel, so the same is wanted of it
            return np.asarray(ClipModule(self.front_end, self.net)(waveform)[0].numpy())

    def decisions(self, mode: Mode, samples: np.ndarray) -> Scores:
        """[decisions, L] of float32 samples [S], after each hop in every mode."""
        if mode == "stream":
            return self.scores(mode, samples)
        step = ClipStep(
            lambda inputs: {SCORES: self.scores(mode, inputs[SAMPLES][0])},
            SAMPLES,
            SCORES,
            self.manifest.window_samples,
        )
        return _heard(step, samples, self.manifest.hop_samples)

    def log_mel(self, samples: np.ndarray) -> np.ndarray:
        """[1, 1, T, F] of samples [S]: what a `frames` file takes."""
        with torch.no_grad():
            return np.asarray(self.front_end(torch.from_numpy(samples)[None]).numpy())


class Recipient:
    """The same from a file of the bundle, through its own runtime.

    Raises:
        UserError, CannotRunHereError: as `open_model`.
    """

    def __init__(self, folder: Path, manifest: BundleManifest, file: BundleFile, reference: Reference) -> None:
        self.model = open_model(folder / file.name, file)
        self.manifest, self.file, self.reference = manifest, file, reference

    def scores(self, samples: np.ndarray) -> Scores:
        """[decisions, L] of float32 samples [S]: after each hop of a stream, else of each window alone."""
        stream = self.file.mode == "stream"
        return _heard(self._step(), samples, self.manifest.hop_samples if stream else self.manifest.window_samples)

    def decisions(self, samples: np.ndarray) -> Scores:
        """[decisions, L] of float32 samples [S], after each hop in every mode."""
        return _heard(self._step(), samples, self.manifest.hop_samples)

    def _step(self) -> Step:
        if self.file.mode == "frames":
            scores = self.file.outputs[0].name
            return ClipStep(self._through_front_end, SAMPLES, scores, self.manifest.window_samples)
        return make_step(self.model, self.file, self.manifest)

    def _through_front_end(self, inputs: Arrays) -> Arrays:
        (given,) = self.file.inputs
        return self.model({given.name: self.reference.log_mel(inputs[SAMPLES][0]).reshape(given.shape)})


def _heard(step: Step, samples: np.ndarray, size: int) -> Scores:
    """[S // size, L] after each whole part of the samples; a score that is no number is far from every other."""
    scores = np.stack([step(part) for part in samples[: len(samples) // size * size].reshape(-1, size)])
    return np.where(np.isfinite(scores), scores, np.float32(NOT_A_SCORE))


def verify(folder: Path, run: Run, dataset: Dataset | None, split: str | None, say: Say) -> Certificate:
    """Measure every file of the bundle in `folder`.

    Raises:
        UserError: the bundle or the Run is damaged, or the data has no label of the bundle.
        MismatchError: bundle and Run do not belong together.
    """
    manifest = open_bundle(folder)
    machine = f"{platform.machine()} {platform.system()}"
    reference = Reference(run, manifest)
    samples = to_float(read_golden(folder)["samples"])
    labelled = Labelled(dataset, split, manifest, reference, say) if dataset else None
    earlier = {} if dataset else _scored_earlier(folder, manifest, machine)
    files = tuple(
        _certified(folder, manifest, file, reference, samples, labelled or earlier.get(file.sha256))
        for file in manifest.files
    )
    return Certificate(
        subnet=manifest.subnet,
        run_hash=manifest.run_hash,
        machine=machine,
        audio=GOLDEN_AUDIO,
        files=files,
        note="" if dataset else KEPT if any(file.labelled for file in files) else NOT_COMPUTED,
    )


def _scored_earlier(folder: Path, manifest: BundleManifest, machine: str) -> dict[str, FileCertificate]:
    """Files by sha256 that this machine scored on labelled audio, as the bundle's certificate says."""
    with suppress(UserError):  # there is none, or one that cannot be read
        earlier = Certificate.load(folder / CERTIFICATE)
        if (earlier.subnet, earlier.run_hash, earlier.machine) == (manifest.subnet, manifest.run_hash, machine):
            return {file.sha256: file for file in earlier.files if file.labelled}
    return {}


def _certified(
    folder: Path,
    manifest: BundleManifest,
    file: BundleFile,
    reference: Reference,
    samples: np.ndarray,
    labelled: Labelled | FileCertificate | None,
) -> FileCertificate:
    """`labelled` is the data to score, or the same file as it was scored earlier."""
    blank = FileCertificate(name=file.name, mode=file.mode, sha256=file.sha256, size_bytes=file.size_bytes)
    if file.runtime == "coreml":
        blank = blank.model_copy(update={"faults": tuple(check_package(folder / file.name, file))})
    try:
        # The first loads the runtime, whose memory is not the file's.
        Recipient(folder, manifest, file, reference).scores(samples)
        with measured_peak() as peak:
            recipient = Recipient(folder, manifest, file, reference)
            found = recipient.scores(samples)
    except CannotRunHereError as lacking:
        return blank.model_copy(update={"not_run": f"needs {lacking}"})
    error = np.abs(found - reference.scores(file.mode, samples))
    score, listening = None, None
    if isinstance(labelled, Labelled):
        score = labelled.score(file.name, file.mode, recipient.scores)
        listening = labelled.listen(file.name, file.mode, recipient.decisions)
    elif labelled:
        score, listening = labelled.labelled, labelled.listening
    parts = delegation(folder / file.name, file)
    return blank.model_copy(
        update={
            "runtime": recipient.model.runtime,
            "max_error": float(error.max()),
            "mean_error": float(error.mean()),
            "peak_bytes": peak.bytes,
            "delegated_parts": parts.parts if parts else None,
            "fall_backs": parts.fall_backs if parts else {},
            "labelled": score,
            "listening": listening,
            "faults": (*blank.faults, *_faults(file, float(error.max()), score)),
        }
    )


def read_golden(folder: Path) -> dict[str, np.ndarray]:
    """The golden vectors of a bundle, by name.

    Raises:
        UserError: they are damaged.
    """
    try:
        return load_file(folder / GOLDEN)
    except SafetensorError as error:
        raise UserError(f"{folder / GOLDEN} is damaged ({error}). Export the bundle again.") from None


def _faults(file: BundleFile, max_error: float, score: LabelledScore | None) -> Iterator[str]:
    yield from error_faults(file, max_error)
    if score and score.loss_points > MAX_LOSS_POINTS[file.precision]:
        yield f"mAP falls by {score.loss_points:.2f} points, the bar is {MAX_LOSS_POINTS[file.precision]:g}"


def error_faults(file: BundleFile, max_error: float) -> Iterator[str]:
    """What is wrong with a file whose scores differ from PyTorch's by so much."""
    if not max_error <= MAX_ERROR[file.precision]:
        yield f"a score differs from PyTorch by {max_error:.2g}, the bar is {MAX_ERROR[file.precision]:g}"
