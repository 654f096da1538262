"""A file of a bundle as a function, in the runtime it was made for. TFLite files run as they do in `listen`.

Proved by tests/verify/test_models.py.
"""

from __future__ import annotations

import platform
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from toolkit.listen.interpreter import Arrays, Classifier, check_tensors, without_talk
from toolkit.lower.converting import silence
from toolkit.specs.bundle import BundleFile
from toolkit.specs.errors import MismatchError, UserError
from toolkit.specs.runtime import Runtime


class Model(Protocol):
    """Named float32 arrays in, named float32 arrays out; `runtime` is its name and version."""

    runtime: str

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> Arrays:
        """All outputs for all inputs, by the names that the manifest gives them."""
        ...


class CannotRunHereError(Exception):
    """This machine has no runtime for the file; the message says what it needs: `macOS`."""


def open_model(path: Path, file: BundleFile) -> Model:
    """Load a file; TFLite and ONNX Runtime take one thread, ExecuTorch its own number.

    Raises:
        UserError: the runtime is not installed, or cannot run the file.
        MismatchError: the file's inputs or outputs are not the manifest's.
        CannotRunHereError: the runtime is another system's.
    """
    if file.runtime == "tflite":
        return Classifier(path, file)
    if file.runtime == "coreml" and platform.system() != "Darwin":
        raise CannotRunHereError("macOS")
    kinds: dict[Runtime, Callable[[Path, BundleFile], Model]] = {
        "executorch": ExecuTorchModel,
        "onnx": OnnxModel,
        "coreml": CoreMLModel,
    }
    try:
        with silence(), without_talk(b"[cpuinfo_utils.cpp"):
            return kinds[file.runtime](path, file)
    except MismatchError:
        raise
    except ImportError as error:
        raise UserError(
            f"running {path.name} needs {error.name}. Install it with: pip install 'aec-toolkit[export]'"
        ) from error
    except Exception as error:  # each runtime raises classes of its own
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UserError(f"{file.runtime} cannot run {path}: {reason}. Export the bundle again.") from error


class ExecuTorchModel:
    """A .pte file in ExecuTorch's own runtime, which knows inputs and outputs by their order alone."""

    def __init__(self, path: Path, file: BundleFile) -> None:
        import torch
        from executorch.runtime import Runtime

        self.runtime = f"executorch {version('executorch')}"
        self._tensor = torch.from_numpy
        self._inputs = [(spec.name, spec.shape) for spec in file.inputs]
        self._outputs = [spec.name for spec in file.outputs]
        self._program = Runtime.get().load_program(path)
        self._method = self._program.load_method("forward")
        meta = self._program.metadata("forward")
        inputs = [tuple(meta.input_tensor_meta(number).sizes()) for number in range(meta.num_inputs())]
        outputs = [tuple(meta.output_tensor_meta(number).sizes()) for number in range(meta.num_outputs())]
        check_tensors(path, "inputs", file.inputs, inputs)
        check_tensors(path, "outputs", file.outputs, outputs)

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> Arrays:
        """All outputs for all inputs, by the names that the manifest gives them."""
        given = [self._tensor(np.ascontiguousarray(inputs[name])).reshape(shape) for name, shape in self._inputs]
        results = self._method.execute(given)
        # The runtime writes the next results over these.
        return {name: result.numpy().copy() for name, result in zip(self._outputs, results, strict=True)}


class OnnxModel:
    """An .onnx file in onnxruntime."""

    def __init__(self, path: Path, file: BundleFile) -> None:
        import onnxruntime

        self.runtime = f"onnxruntime {version('onnxruntime')}"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self._outputs = [spec.name for spec in file.outputs]
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        check_tensors(path, "inputs", file.inputs, {each.name: tuple(each.shape) for each in inputs})
        check_tensors(path, "outputs", file.outputs, {each.name: tuple(each.shape) for each in outputs})

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> Arrays:
        """All outputs for all inputs, by the names that the manifest gives them."""
        return dict(zip(self._outputs, self._session.run(self._outputs, dict(inputs)), strict=True))


class CoreMLModel:
    """A zipped Core ML package on a Mac."""

    def __init__(self, path: Path, file: BundleFile) -> None:
        import coremltools

        self.runtime = f"Core ML, macOS {platform.mac_ver()[0]}"
        self._unzipped = tempfile.TemporaryDirectory()
        self._model: Any = coremltools.models.MLModel(str(unzip_package(path, Path(self._unzipped.name))))
        self._outputs = [spec.name for spec in file.outputs]

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> Arrays:
        """All outputs for all inputs, by the names that the manifest gives them."""
        found = self._model.predict(dict(inputs))
        return {name: np.asarray(found[name], np.float32) for name in self._outputs}


def unzip_package(path: Path, folder: Path) -> Path:
    """The .mlpackage in a zip, unpacked to `folder`.

    Raises:
        UserError: it is no zip of one package, or would be unpacked elsewhere.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
        (package,) = folder.glob("*.mlpackage")
    except (zipfile.BadZipFile, ValueError) as error:
        raise UserError(f"{path} holds no Core ML package. Export the bundle again.") from error
    return package
