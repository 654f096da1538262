"""Lower torch modules to ExecuTorch files (.pte) for XNNPACK. Proved by tests/lower/test_executorch.py."""

from __future__ import annotations

import dataclasses
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
    return lower_each("ExecuTorch", _channels_last_at_edges(piece), precisions, quantization, _lowered)


def _channels_last_at_edges(piece: Piece) -> Piece:
    """XNNPACK keeps maps channels last: what it is given so it need not turn, and what it makes of it stays so."""
    given = (
        tensor.contiguous(memory_format=torch.channels_last) if name in piece.edges and tensor.dim() == 4 else tensor
        for name, tensor in zip(piece.input_names, piece.example_inputs, strict=True)
    )
    return dataclasses.replace(piece, example_inputs=tuple(given))


def _lowered(program: torch.export.ExportedProgram, piece: Piece, precision: Precision) -> bytes:
    from executorch.backends.xnnpack.partition import config, xnnpack_partitioner
    from executorch.exir import to_edge_transform_and_lower

    if precision == "int8":
        _int8_at_edges(program, piece)
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


def _int8_at_edges(program: torch.export.ExportedProgram, piece: Piece) -> None:
    """Take off, in place, the quantize and dequantize operators that stand at the edges."""
    from executorch.exir.passes.quantize_io_pass import quantize_input, quantize_output

    operators = torch.ops.quantized_decomposed
    graph = program.graph_module.graph
    inputs = {node.name: node for node in graph.nodes if node.op == "placeholder"}
    for index, (name, node_name) in enumerate(zip(piece.input_names, program.graph_signature.user_inputs, strict=True)):
        takers = [user.target for user in inputs[str(node_name)].users]
        if name in piece.edges and takers == [operators.quantize_per_tensor.default]:
            quantize_input(program, index)
    results = graph.output_node().args[0]
    for index, (name, node) in enumerate(zip(piece.output_names, results, strict=True)):
        if name in piece.edges and node.target is operators.dequantize_per_tensor.default:
            quantize_output(program, index)
    program.graph_module.recompile()
