"""Lower torch modules to ONNX files; int8 as pairs of quantize and dequantize (QDQ).

Proved by tests/lower/test_onnx.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from toolkit.lower.piece import Piece, Quantization
from toolkit.lower.traced import lower_each
from toolkit.specs.runtime import Precision

OPSET = 18
_LARGEST_FOLDED_VALUES = 1024
"""A constant with more values stays the operator that makes it, such as the front end's one small matrix for each
frame, which is a megabyte for a clip. Runtimes fold it when they load the file."""


def lower_onnx(piece: Piece, precisions: Sequence[Precision], quantization: Quantization) -> Iterator[bytes]:
    """A file for each precision; names and order are the piece's, tensors have torch's own layout.

    Raises:
        UserError: the libraries are missing, ONNX lacks an operator, or as `quantize_pt2e`.
    """
    return lower_each("ONNX", piece, precisions, quantization, _lowered)


def _lowered(program: torch.export.ExportedProgram, piece: Piece, _: Precision) -> bytes:
    import onnx_ir.passes.common
    import onnxscript.optimizer

    exported: Any = torch.onnx.export(
        program,
        input_names=list(piece.input_names),
        output_names=list(piece.output_names),
        opset_version=OPSET,
        dynamo=True,
        optimize=False,
        verbose=False,
    )
    onnxscript.optimizer.optimize(exported.model, output_size_limit=_LARGEST_FOLDED_VALUES)
    # The exporter notes where each operator stands in the source, with the paths of this machine.
    onnx_ir.passes.common.ClearMetadataAndDocStringPass()(exported.model)
    return bytes(exported.model_proto.SerializeToString(deterministic=True))
