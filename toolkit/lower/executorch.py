"""Lower torch modules to ExecuTorch files (.pte) for XNNPACK. Proved by tests/lower/test_executorch.py."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from toolkit.lower.converting import converting
from toolkit.lower.piece import Piece, Quantization
from toolkit.lower.traced import traced
from toolkit.specs.runtime import Precision


def lower_executorch(piece: Piece, precisions: Sequence[Precision], quantization: Quantization) -> Iterator[bytes]:
    """A file for each precision, with one method, `forward`; inputs and outputs stand in the order of the piece's.

    Tensors have torch's own layout. What XNNPACK does not take runs in ExecuTorch's portable kernels.

    Raises:
        UserError: the libraries are missing, ExecuTorch lacks an operator, or as `quantize_pt2e`.
    """
    for precision in precisions:
        with converting("ExecuTorch", type(piece.module).__name__):
            yield _lowered(traced(piece, quantization if precision == "int8" else None))


def _lowered(program: torch.export.ExportedProgram) -> bytes:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    edge = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
    return bytes(edge.to_executorch().buffer)
