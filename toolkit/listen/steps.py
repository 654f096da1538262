"""What one decision takes: the newest hop of samples in, a score for each label out.

A clip file is a stream whose state is its own window of samples, so both kinds are a `Step`.
Proved by tests/listen/test_listener.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from toolkit.listen.interpreter import Arrays
from toolkit.specs.bundle import BundleFile, BundleManifest
from toolkit.specs.errors import MismatchError

Model = Callable[[Arrays], Arrays]


class Step(Protocol):
    """Hears one hop after the other."""

    def __call__(self, hop: np.ndarray) -> np.ndarray:
        """Float32 samples [hop_samples] to scores [labels]."""
        ...


class ClipStep:
    """Scores the last `window_samples` samples anew at each hop; before the audio stand zeros.

    hop by hop     0 0 0 0 | 0 0 0 a | 0 0 a b | 0 a b c | a b c d | b c d e
    """

    def __init__(self, model: Model, audio: str, scores: str, window_samples: int) -> None:
        self._model, self._audio, self._scores = model, audio, scores
        self._window = np.zeros((1, window_samples), np.float32)

    def __call__(self, hop: np.ndarray) -> np.ndarray:
        """Float32 samples [hop_samples] to scores [labels]."""
        self._window = np.concatenate((self._window[:, len(hop) :], hop[None]), axis=1)
        scores: np.ndarray = self._model({self._audio: self._window})[self._scores][0]
        return scores


class StreamStep:
    """Gives the model each hop once, and its own state back.

    The first input is the audio and the first output the scores. The other inputs are the state, zeros at first; the
    last outputs are the next state in the same order.
    """

    def __init__(self, model: Model, audio: str, scores: str, state: dict[str, tuple[str, tuple[int, ...]]]) -> None:
        self._model, self._audio, self._scores = model, audio, scores
        self._next = {name: output for name, (output, _) in state.items()}
        self._state = {name: np.zeros(shape, np.float32) for name, (_, shape) in state.items()}

    def __call__(self, hop: np.ndarray) -> np.ndarray:
        """Float32 samples [hop_samples] to scores [labels]."""
        outputs = self._model({self._audio: hop[None], **self._state})
        self._state = {name: outputs[output] for name, output in self._next.items()}
        scores: np.ndarray = outputs[self._scores][0]
        return scores


def make_step(model: Model, file: BundleFile, manifest: BundleManifest) -> Step:
    """The step of a bundle's `clip` or `stream` file, which `model` runs.

    Raises:
        MismatchError: the file's shapes do not fit the manifest's window, hop or labels.
    """
    audio, scores = file.inputs[0], file.outputs[0]
    taken = manifest.window_samples if file.mode == "clip" else manifest.hop_samples
    if audio.shape != (1, taken) or scores.shape != (1, len(manifest.labels)):
        raise MismatchError(
            f"{file.name} takes {audio.shape} and gives {scores.shape}; expected (1, {taken}) samples and "
            f"(1, {len(manifest.labels)}) scores. Export the bundle again."
        )
    if file.mode == "clip":
        return ClipStep(model, audio.name, scores.name, taken)
    before = file.inputs[1:]
    after = file.outputs[len(file.outputs) - len(before) :]
    if len(file.outputs) <= len(before) or [spec.shape for spec in before] != [spec.shape for spec in after]:
        raise MismatchError(f"{file.name} does not give back the state that it takes. Export the bundle again.")
    return StreamStep(
        model,
        audio.name,
        scores.name,
        {old.name: (new.name, old.shape) for old, new in zip(before, after, strict=True)},
    )
