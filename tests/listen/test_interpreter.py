"""One model file, run by whichever TFLite runtime is there."""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from tests.fakes_bundle import HOP, WINDOW, clip_model, fake_bundle
from toolkit.listen import interpreter
from toolkit.listen.interpreter import Classifier
from toolkit.specs.bundle import BundleFile, TensorSpec, open_bundle
from toolkit.specs.errors import MismatchError, UserError


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle with a clip and a stream file."""
    return fake_bundle(tmp_path / "bundle", ("clip", "stream"))


@pytest.fixture
def clip(bundle: Path) -> BundleFile:
    """What the manifest says of the clip file."""
    return open_bundle(bundle).find(mode="clip")


def test_a_file_runs_by_the_names_of_its_manifest(bundle: Path, clip: BundleFile) -> None:
    """Inputs and outputs go by name, and the scores are the model's."""
    classify = Classifier(bundle / clip.name, clip)
    loud = np.zeros((1, WINDOW), np.float32)
    loud[0, 17] = -0.5
    scores = classify({"waveform": loud})["scores"]
    assert scores == pytest.approx(np.array([[0.5, 0.5]]))


def test_outputs_stay_when_the_next_inference_runs(bundle: Path, clip: BundleFile) -> None:
    """An output is the caller's own: the next call does not write into it."""
    classify = Classifier(bundle / clip.name, clip)
    quiet = classify({"waveform": np.zeros((1, WINDOW), np.float32)})["scores"]
    classify({"waveform": np.ones((1, WINDOW), np.float32)})
    assert quiet[0, 0] < 0.1


def test_loading_is_quiet(bundle: Path, clip: BundleFile, capfd: pytest.CaptureFixture[str]) -> None:
    """The runtime's INFO lines do not reach the screen."""
    Classifier(bundle / clip.name, clip)
    assert capfd.readouterr() == ("", "")


def test_only_info_lines_are_held_back(
    bundle: Path, clip: BundleFile, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What else the runtime says on stderr is passed on."""
    real = sys.modules["ai_edge_litert.interpreter"].Interpreter

    def talking(**arguments: object) -> object:
        os.write(2, b"INFO: Created something.\nERROR: out of luck\n")
        return real(**arguments)

    monkeypatch.setattr("ai_edge_litert.interpreter.Interpreter", talking)
    Classifier(bundle / clip.name, clip)
    assert capfd.readouterr().err == "ERROR: out of luck\n"


@pytest.mark.parametrize("content", [b"", b"no model at all", clip_model()[:200]])
def test_a_broken_file_is_one_clear_line(tmp_path: Path, clip: BundleFile, content: bytes) -> None:
    """A file that is no model gives a UserError with its name."""
    path = tmp_path / "broken.tflite"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"broken\.tflite") as caught:
        Classifier(path, clip)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_the_manifests_is_refused(bundle: Path, clip: BundleFile) -> None:
    """Other names or shapes than the manifest's are found before anything runs."""
    for wrong in (
        {"inputs": (TensorSpec(name="waveform", shape=(1, HOP)),)},
        {"outputs": (TensorSpec(name="probabilities", shape=(1, 2)),)},
    ):
        with pytest.raises(MismatchError, match="its manifest says"):
            Classifier(bundle / clip.name, clip.model_copy(update=wrong))


def test_no_runtime_names_the_extra(bundle: Path, clip: BundleFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a TFLite runtime the line says what to install."""
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", None)
    with pytest.raises(UserError, match=r"aec-toolkit\[device\]"):
        Classifier(bundle / clip.name, clip)


def test_the_older_runtime_serves_where_it_is_alone(
    bundle: Path, clip: BundleFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A board with tflite-runtime alone runs the same file through it."""
    older = types.ModuleType("tflite_runtime.interpreter")
    older.Interpreter = sys.modules["ai_edge_litert.interpreter"].Interpreter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    monkeypatch.setitem(sys.modules, "tflite_runtime", types.ModuleType("tflite_runtime"))
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", older)
    monkeypatch.setattr(interpreter, "version", lambda _: "2.14.0")
    assert Classifier(bundle / clip.name, clip).runtime == "tflite-runtime 2.14.0"
