"""Every file of a bundle runs in the runtime it was made for and says what PyTorch says."""

from __future__ import annotations

import platform
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from toolkit.specs.bundle import BundleFile, BundleManifest
from toolkit.specs.errors import MismatchError, UserError
from toolkit.verify.models import CannotRunHereError, open_model, unzip_package

pytestmark = pytest.mark.xdist_group("every bundle")

BOUND = {"fp32": 1e-4, "fp16": 5e-3, "int8": 0.1, "int8-dynamic": 0.1}


def runnable(folder: Path) -> list[BundleFile]:
    """The files that this machine has a runtime for."""
    files = BundleManifest.load(folder / "manifest.json").files
    return [file for file in files if file.runtime != "coreml"]


def test_every_runtime_and_precision_scores_as_pytorch_does(every_bundle: Path) -> None:
    """`frames` files on the golden log-mel, within what their precision allows."""
    golden = load_file(every_bundle / "golden.safetensors")
    heard = set()
    for file in runnable(every_bundle):
        if file.mode == "stream":
            continue
        given = golden["log_mel"].reshape(file.inputs[0].shape)
        model = open_model(every_bundle / file.name, file)
        scores = model({file.inputs[0].name: given})[file.outputs[0].name]
        assert np.abs(scores - golden[file.mode]).max() < BOUND[file.precision], file.name
        heard.add((file.runtime, file.precision))
    assert heard >= {("tflite", "int8-dynamic"), ("executorch", "fp32"), ("executorch", "int8"), ("onnx", "int8")}


def test_every_stream_file_hands_its_state_on(every_bundle: Path) -> None:
    """Chunk after chunk, each runtime's `next_` outputs go in again, and the scores are PyTorch's."""
    golden = load_file(every_bundle / "golden.safetensors")
    waveform = golden["samples"].astype(np.float32)[None] / np.float32(32_767)
    for file in runnable(every_bundle):
        if file.mode != "stream":
            continue
        model = open_model(every_bundle / file.name, file)
        state = {spec.name: np.zeros(spec.shape, np.float32) for spec in file.inputs[1:]}
        hop = file.inputs[0].shape[1]
        for number, expected in enumerate(golden["stream"]):
            chunk = waveform[:, number * hop : (number + 1) * hop]
            outputs = model({"samples": chunk, **state})
            state = {name: outputs[f"next_{name}"] for name in state}
            assert {name: value.shape for name, value in outputs.items()} == {s.name: s.shape for s in file.outputs}
            assert np.abs(outputs["scores"] - expected).max() < BOUND[file.precision], (file.name, number)


def test_results_of_one_call_stay_as_they_are_in_the_next(every_bundle: Path) -> None:
    """ExecuTorch writes over its outputs; ours are copies."""
    file = next(f for f in runnable(every_bundle) if f.name == "frames.fp32.pte")
    model = open_model(every_bundle / file.name, file)
    quiet, loud = (np.full(file.inputs[0].shape, level, np.float32) for level in (-90, -10))
    first = model({"log_mel": quiet})["scores"]
    kept = first.copy()
    assert not np.allclose(model({"log_mel": loud})["scores"], kept)
    assert np.array_equal(first, kept)


def test_a_runtime_of_another_system_is_named(every_bundle: Path) -> None:
    """Core ML runs on a Mac alone."""
    assert platform.system() != "Darwin"
    for file in BundleManifest.load(every_bundle / "manifest.json").files:
        if file.runtime == "coreml":
            with pytest.raises(CannotRunHereError, match="macOS"):
                open_model(every_bundle / file.name, file)


@pytest.mark.parametrize("name", ["frames.fp32.pte", "frames.fp32.onnx"])
def test_a_file_that_is_no_model_is_one_line(every_bundle: Path, tmp_path: Path, name: str) -> None:
    """The runtime's complaint, the file and what to do."""
    file = next(f for f in runnable(every_bundle) if f.name == name)
    (tmp_path / name).write_bytes(b"no model at all" * 100)
    with pytest.raises(UserError, match=rf"{file.runtime} cannot run .*{name}: .* Export the bundle again"):
        open_model(tmp_path / name, file)


@pytest.mark.parametrize("runtime", ["tflite", "executorch", "onnx"])
def test_a_file_of_other_inputs_or_outputs_is_refused_on_opening(every_bundle: Path, runtime: str) -> None:
    """A `frames` file that its manifest calls `stream`, and one with a label too many, by either name or order."""
    files = {file.mode: file for file in runnable(every_bundle) if file.runtime == runtime and file.precision == "fp32"}
    path = every_bundle / files["frames"].name
    with pytest.raises(MismatchError, match=rf"{path.name} has inputs .*, its manifest says .*\. Export"):
        open_model(path, files["stream"])
    (scores,) = files["frames"].outputs
    more = scores.model_copy(update={"shape": (1, scores.shape[1] + 1)})
    with pytest.raises(MismatchError, match=rf"{path.name} has outputs .*, its manifest says .*\. Export"):
        open_model(path, files["frames"].model_copy(update={"outputs": (more,)}))


def test_a_zip_without_a_package_is_refused(tmp_path: Path) -> None:
    """And one that is no zip."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("other.txt", "x")
    (tmp_path / "b.zip").write_bytes(b"no zip")
    for name in ("a.zip", "b.zip"):
        with pytest.raises(UserError, match="holds no Core ML package"):
            unzip_package(tmp_path / name, tmp_path / "out")
