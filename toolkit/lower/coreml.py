"""Lower torch modules to Core ML packages, zipped: one file each, unzipped it is the .mlpackage that Xcode takes.

ML Programs for iOS 17 and macOS 14: float16 inside, float32 inputs and outputs, so that a stream's state can go back in
as it came out. Made on any system, run on Apple's alone. Proved by tests/lower/test_coreml.py.
"""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
import uuid
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from toolkit.lower.piece import Piece, Quantization
from toolkit.lower.traced import lower_each
from toolkit.specs.runtime import Precision

_PACKAGE = "model.mlpackage"
_MANIFEST = "Manifest.json"
_DATE = "com.github.apple.coremltools.conversion_date"


def lower_coreml(piece: Piece, precisions: Sequence[Precision], quantization: Quantization) -> Iterator[bytes]:
    """A zipped package for each precision; names and order are the piece's, tensors have torch's own layout.

    Raises:
        UserError: the libraries are missing, Core ML lacks an operator, or as `quantize_pt2e`.
    """
    return lower_each("Core ML", piece, precisions, quantization, _lowered)


def _lowered(program: torch.export.ExportedProgram, piece: Piece, precision: Precision) -> bytes:
    with contextlib.redirect_stderr(io.StringIO()):  # coremltools draws its progress bars there, whatever it is told
        return _package(_converted(program, piece, precision))


def _converted(program: torch.export.ExportedProgram, piece: Piece, precision: Precision) -> Any:
    import coremltools

    model = coremltools.convert(
        program.run_decompositions({}),
        outputs=[coremltools.TensorType(name=name, dtype=np.float32) for name in piece.output_names],
        minimum_deployment_target=coremltools.target.iOS17,
        compute_precision=coremltools.precision.FLOAT16,
        skip_model_load=True,
    )
    if precision == "int8-weights":
        how = coremltools.optimize.coreml
        every = how.OpLinearQuantizerConfig(mode="linear_symmetric", weight_threshold=0)  # small layers too
        config = how.OptimizationConfig(op_type_configs=dict.fromkeys(("conv", "linear"), every))
        model = how.linear_quantize_weights(model, config)
    return model


def _package(model: Any) -> bytes:
    """The zip of a package; the same model gives the same bytes."""
    held = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        package = Path(folder, _PACKAGE)
        model.save(str(package))
        (package / _MANIFEST).write_bytes(_with_stable_identifiers((package / _MANIFEST).read_bytes()))
        data = sorted(path for path in (package / "Data").rglob("*") if path.is_file())
        for path in (package / _MANIFEST, *data):  # beside them lie notes for debuggers
            content = _without_date(path.read_bytes()) if path.suffix == ".mlmodel" else path.read_bytes()
            entry = zipfile.ZipInfo(str(path.relative_to(folder)))  # of the first day that a zip knows
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return held.getvalue()


def _without_date(program: bytes) -> bytes:
    """The program without the day that it was made on, in protobuf's one stable order."""
    from coremltools.proto import Model_pb2

    spec = Model_pb2.Model.FromString(program)
    spec.description.metadata.userDefined.pop(_DATE, None)
    return bytes(spec.SerializeToString(deterministic=True))


def _with_stable_identifiers(manifest: bytes) -> bytes:
    """The package's list of contents with identifiers made of paths, where coremltools draws them at random."""
    found = json.loads(manifest)
    identifiers = {
        old: str(uuid.uuid5(uuid.NAMESPACE_URL, entry["path"])).upper()
        for old, entry in found["itemInfoEntries"].items()
    }
    found["itemInfoEntries"] = {identifiers[old]: entry for old, entry in sorted(found["itemInfoEntries"].items())}
    found["rootModelIdentifier"] = identifiers[found["rootModelIdentifier"]]
    return json.dumps(found, indent=4, sort_keys=True).encode()
