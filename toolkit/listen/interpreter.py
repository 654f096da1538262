"""`Classifier`: one TFLite file of a bundle, run by whichever of ai-edge-litert and tflite-runtime is installed.

Not the windows around it (`steps.py`). Proved by tests/listen/test_interpreter.py.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.specs.bundle import BundleFile, TensorSpec
from toolkit.specs.errors import MismatchError, UserError

Arrays = dict[str, np.ndarray]
Shapes = dict[str, tuple[int, ...]]
_RUNTIMES = {"ai-edge-litert": "ai_edge_litert.interpreter", "tflite-runtime": "tflite_runtime.interpreter"}
_SIGNATURE = "serving_default"


class Classifier:
    """A loaded model file: named float32 arrays in, named float32 arrays out.

    Args:
        path: the TFLite file.
        file: what the manifest says of it; names and shapes must agree.
        threads: of the CPU kernels.

    Raises:
        UserError: no runtime is installed, or it cannot run the file.
        MismatchError: the file's inputs or outputs are not the manifest's.
    """

    def __init__(self, path: Path, file: BundleFile, threads: int = 1) -> None:
        name, module = _runtime()
        self.runtime = f"{name} {version(name)}"
        self.file = file
        with without_talk(b"INFO: "):
            try:
                self._interpreter = module.Interpreter(model_path=str(path), num_threads=threads)
                self._interpreter.allocate_tensors()
                self._run = self._interpreter.get_signature_runner(_SIGNATURE)
            except (ValueError, RuntimeError) as error:
                reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                raise UserError(f"{self.runtime} cannot run {path}: {reason}. Export the bundle again.") from error
        check_tensors(path, "inputs", file.inputs, _shapes(self._run.get_input_details()))
        check_tensors(path, "outputs", file.outputs, _shapes(self._run.get_output_details()))

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> Arrays:
        """All outputs for all inputs, by the names that the manifest gives them."""
        return dict(self._run(**inputs))


def _runtime() -> tuple[str, Any]:
    for name, module in _RUNTIMES.items():
        try:
            return name, importlib.import_module(module)
        except ModuleNotFoundError:
            continue
    raise UserError(
        "no TFLite runtime is installed. Install one: pip install 'aec-toolkit[device]' "
        "(or tflite-runtime, where that is all a board has)"
    )


def _shapes(details: Mapping[str, Any]) -> Shapes:
    return {name: tuple(int(size) for size in each["shape"]) for name, each in details.items()}


def check_tensors(path: Path, what: str, specs: Sequence[TensorSpec], found: Shapes | list[tuple[int, ...]]) -> None:
    """Compare what a runtime found in a file, by name or in order, with what the manifest says of it.

    Raises:
        MismatchError: they differ.
    """
    by_name = {spec.name: spec.shape for spec in specs}
    expected = by_name if isinstance(found, dict) else list(by_name.values())
    if found != expected:
        raise MismatchError(f"{path} has {what} {found}, its manifest says {expected}. Export the bundle again.")


@contextmanager
def without_talk(*prefixes: bytes) -> Iterator[None]:
    """Hold back what a runtime's C++ writes to stderr, and pass on all but the lines that begin so."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            for line in held:
                if not line.startswith(prefixes):
                    os.write(2, line)
