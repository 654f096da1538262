"""A real Bundle of a tiny Run, made by the verb, and what its files answer. For tests of writing and checking bundles.

A conversion takes seconds, so tests share one bundle: the fixture `tiny_bundle`, of the Run `calibrated_run`.
Axis letters: S samples, L labels.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter
from click.testing import CliRunner, Result
from numpy.typing import NDArray

from toolkit.export.__main__ import main
from toolkit.export.export import load_subnet
from toolkit.frontend import LogMel
from toolkit.specs.bundle import bundle_folder
from toolkit.specs.run import IMPRINTS, MANIFEST, NORMS, SUBNETS, WEIGHTS, Run, write_results
from toolkit.train.evaluate import activation_ranges

SAMPLE_RATE_HZ = 32_000
HOP_SAMPLES = 30_720
WINDOW_SAMPLES = 320_000

Floats = NDArray[np.float32]


def export_verb(*arguments: str | Path) -> Result:
    """Call `python -m toolkit.export` in this process."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def calibrate(tiny_run: Path, folder: Path) -> Path:
    """Copy a Run, and give its smallest subnet thresholds, and ranges that are measured on `sounds`: a tiny training
    hears too little to say.
    """
    copy_run(tiny_run, folder)
    run = Run.open(folder)
    smallest = run.manifest.space.smallest
    front_end = LogMel(run.manifest.front_end)
    frames = torch.cat([front_end(torch.from_numpy(sound)[None]) for sound in sounds(10).values()])
    ranges = activation_ranges(load_subnet(run, smallest), frames)
    changed = {"ranges": ranges, "thresholds": (0.25, 0.6, 0.75)}
    results = run.results | {smallest.id: run.result(smallest).model_copy(update=changed)}
    write_results(folder / SUBNETS, results.values())
    return folder


def copy_run(run: Path, folder: Path) -> Path:
    """The files that export reads, and no others: no checkpoints, no recordings; the new folder."""
    folder.mkdir()
    for name in (MANIFEST, SUBNETS, WEIGHTS, NORMS, IMPRINTS):
        shutil.copy(run / name, folder)
    return folder


def make_tiny_bundle(run: Path, out: Path, *wanted: str) -> Path:
    """Export the smallest subnet of a Run, as TFLite in float and int8 if nothing else is wanted; the folder."""
    wanted = wanted or ("--precision", "fp32", "--precision", "int8")
    done = export_verb("--subnet", "smallest", "--run", run, *wanted, "--out", out)
    assert done.exit_code == 0, done.output
    return bundle_folder(out, Run.open(run), "smallest")


def sounds(seconds: float) -> dict[str, Floats]:
    """Waveforms [S] by name: silence, noises, a full-scale tone, a chirp, a tone that starts after 3 s of silence."""
    rng = np.random.default_rng(3)
    times_s = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    made = {
        "silence": np.zeros(len(times_s)),
        "noise": rng.normal(0, 0.2, len(times_s)),
        "quiet": rng.normal(0, 1e-3, len(times_s)),
        "tone": np.sin(2 * np.pi * 3100 * times_s),
        "chirp": 0.3 * np.sin(2 * np.pi * (100 + 500 * times_s) * times_s),
        "late": np.where(times_s < 3, 0, 0.5 * np.sin(2 * np.pi * 700 * times_s)),
    }
    return {name: sound.astype(np.float32) for name, sound in made.items()}


class Played:
    """A TFLite file in a bare interpreter, fed as its signature names it."""

    def __init__(self, path: Path) -> None:
        # The interpreter dies with its last reference, and the runner holds none.
        self._interpreter = Interpreter(model_path=str(path), num_threads=1)
        self._run = self._interpreter.get_signature_runner()
        self.inputs: dict[str, Any] = self._run.get_input_details()
        self.outputs: dict[str, Any] = self._run.get_output_details()

    def clip(self, window: Floats) -> Floats:
        """Scores [L] of a window [S]."""
        scores: Floats = self._run(samples=window[None])["scores"][0]
        return scores

    def stream(self, waveform: Floats) -> list[dict[str, Floats]]:
        """All outputs after each whole hop of a waveform [S], the state handed on."""
        state = {name: np.zeros(detail["shape"], np.float32) for name, detail in self.inputs.items()}
        answers: list[dict[str, Floats]] = []
        for start in range(0, len(waveform) - HOP_SAMPLES + 1, HOP_SAMPLES):
            state["samples"] = waveform[None, start : start + HOP_SAMPLES]
            answers.append(self._run(**state))
            state = {name: answers[-1].get(f"next_{name}", value) for name, value in state.items()}
        return answers

    def last(self, waveform: Floats) -> Floats:
        """Scores [L] after the last whole hop of a waveform [S]."""
        scores: Floats = self.stream(waveform)[-1]["scores"][0]
        return scores
