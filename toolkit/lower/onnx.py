"""Lower torch modules to ONNX files; int8 as pairs of quantize and dequantize (QDQ).

Proved by tests/lower/test_onnx.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from toolkit.lower.converting import converting
from toolkit.lower.piece import Piece, Quantization
from toolkit.lower.traced import traced
from toolkit.specs.runtime import Precision

OPSET = 18


def lower_onnx(piece: Piece, precisions: Sequence[Precision], quantization: Quantization) -> Iterator[bytes]:
    """A file for each precision; names and order are the piece's, tensors have torch's own layout.

    Raises:
        UserError: the libraries are missing, ONNX lacks an operator, or as `quantize_pt2e`.
    """
    for precision in precisions:
        with converting("ONNX", type(piece.module).__name__):
            program = traced(piece, quantization if precision == "int8" else None)
            exported = torch.onnx.export(
                program,
                input_names=list(piece.input_names),
                output_names=list(piece.output_names),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
            if exported is None:
                raise RuntimeError("the exporter returned no model")
            yield exported.model_proto.SerializeToString(deterministic=True)
