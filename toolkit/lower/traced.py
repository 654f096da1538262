"""A piece as `torch.export` sees it: under the piece's names, without its taps. What all formats but TFLite start from.

Proved by tests/lower/test_formats.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, fx

from toolkit.lower.converting import converting
from toolkit.lower.piece import Piece, Quantization
from toolkit.specs.runtime import Precision

Make = Callable[[torch.export.ExportedProgram, Piece, Precision], bytes]
"""A format's own step: a program becomes a file."""


def traced(piece: Piece, precision: Precision, quantization: Quantization) -> torch.export.ExportedProgram:
    """The program of a piece; of its quantized version where activations are to be `int8` or `int8-dynamic`.

    Raises:
        UserError: as `quantize_pt2e`.
    """
    module = piece.module
    if precision in ("int8", "int8-dynamic"):
        from toolkit.lower.pt2e import quantize_pt2e

        module = quantize_pt2e(piece, precision, quantization)
    graph = fx.Graph()
    inputs = tuple(graph.placeholder(name) for name in piece.input_names)
    result = graph.call_module("module", inputs)
    graph.output(graph.call_function(_outputs, (result, len(piece.output_names))))
    with torch.no_grad():
        return torch.export.export(fx.GraphModule({"module": module}, graph), piece.example_inputs)


def lower_each(
    target: str, piece: Piece, precisions: Sequence[Precision], quantization: Quantization, make: Make
) -> Iterator[bytes]:
    """A `target` file of a piece for each precision, made of its program.

    Raises:
        UserError: as `converting` and `traced`.
    """
    for precision in precisions:
        with converting(target, type(piece.module).__name__):
            model = make(traced(piece, precision, quantization), piece, precision)
        yield model


def _outputs(result: Any, count: int) -> tuple[Tensor, ...]:
    """The results before the taps."""
    return (result if isinstance(result, tuple) else (result,))[:count]
