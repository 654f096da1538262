"""Lower torch modules to ExecuTorch files (.pte) for XNNPACK. Proved by tests/lower/test_executorch.py."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from toolkit.lower.piece import Piece, Quantization
from toolkit.lower.traced import lower_each
from toolkit.specs.runtime import Precision


def lower_executorch(piece: Piece, precisions: Sequence[Precision], quantization: Quantization) -> Iterator[bytes]:
    """A file for each precision, with one method, `forward`; inputs and outputs stand in the order of the piece's.

    Tensors have torch's own layout. What XNNPACK does not take runs in ExecuTorch's portable kernels. `int8-dynamic`
    holds convolutions and linear layers, all but depthwise ones: for these XNNPACK has no dynamic kernel, and it takes
    the first convolution of a network, with its one input channel, for one of them. They stay float.

    Raises:
        UserError: the libraries are missing, ExecuTorch lacks an operator, or as `quantize_pt2e`.
    """
    return lower_each("ExecuTorch", piece, precisions, quantization, _lowered)


def _lowered(program: torch.export.ExportedProgram, _: Piece, precision: Precision) -> bytes:
    from executorch.backends.xnnpack.partition import config, xnnpack_partitioner
    from executorch.exir import to_edge_transform_and_lower

    partitioners = [xnnpack_partitioner.XnnpackPartitioner()]
    if precision == "int8-dynamic":
        # Each layer in a delegate of its own: ExecuTorch 1.5 cannot lower one beside others in a delegate where what it
        # takes is used elsewhere too, as a stream's border frames are.
        alone = xnnpack_partitioner.XnnpackDynamicallyQuantizedPartitioner(
            configs=[config.ConvolutionConfig, config.LinearConfig], per_op_mode=True
        )
        partitioners.insert(0, alone)
    edge = to_edge_transform_and_lower(program, partitioner=partitioners)
    return bytes(edge.to_executorch().buffer)
