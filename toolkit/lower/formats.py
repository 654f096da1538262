"""The table of formats: for each runtime what its files are called, what they can hold, and who makes them.

Knows no library of theirs until a file is made. Proved by tests/lower/test_formats.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from toolkit.lower.piece import Piece, Quantization
from toolkit.specs.errors import UserError
from toolkit.specs.runtime import Precision, Runtime


@dataclass(frozen=True)
class Format:
    """What the files of one runtime are.

    Args:
        suffix: of file names.
        precisions: that it can hold, the float one first.
        channels_last: whether a tensor [B, C, T, F] enters and leaves as [B, T, F, C].
    """

    suffix: str
    precisions: tuple[Precision, ...]
    channels_last: bool = False


FORMATS: dict[Runtime, Format] = {
    "tflite": Format(".tflite", ("fp32", "fp16", "int8", "int8-dynamic"), channels_last=True),
    "executorch": Format(".pte", ("fp32", "int8", "int8-dynamic")),
    "coreml": Format(".mlpackage.zip", ("fp16", "int8-weights", "int8")),
    "onnx": Format(".onnx", ("fp32", "int8")),
}


def lower(
    runtime: Runtime, piece: Piece, precisions: Sequence[Precision], quantization: Quantization
) -> Iterator[bytes]:
    """A file of one runtime for each precision, in their order; what precisions share is done once.

    Args:
        piece: what to lower; its taps are what `quantization` gives ranges for.
        quantization: which part of the piece leaves float.

    Raises:
        UserError: the format has no such precision, its libraries are missing, or it lacks an operator of the piece.
    """
    _check(runtime, precisions)
    if runtime == "tflite":
        from toolkit.lower.tflite import lower_tflite

        model = lower_tflite(piece)
        for precision in precisions:
            yield _tflite(model, piece, precision, quantization)
    elif runtime == "executorch":
        from toolkit.lower.executorch import lower_executorch

        yield from lower_executorch(piece, precisions, quantization)
    elif runtime == "coreml":
        from toolkit.lower.coreml import lower_coreml

        yield from lower_coreml(piece, precisions, quantization)
    else:
        from toolkit.lower.onnx import lower_onnx

        yield from lower_onnx(piece, precisions, quantization)


def lower_many(runtime: Runtime, pieces: Sequence[tuple[Piece, Quantization]], precision: Precision) -> Iterator[bytes]:
    """A file for each piece, as `lower` makes it; a TFLite one of many small ones in about a fifth of the time.

    Raises:
        UserError: as `lower`.
    """
    _check(runtime, (precision,))
    if runtime == "tflite":
        from toolkit.lower.tflite import lower_tflite_many

        models = lower_tflite_many([piece for piece, _ in pieces])
        for model, (piece, quantization) in zip(models, pieces, strict=True):
            yield _tflite(model, piece, precision, quantization)
    else:
        for piece, quantization in pieces:
            yield from lower(runtime, piece, (precision,), quantization)


def _check(runtime: Runtime, precisions: Sequence[Precision]) -> None:
    for precision in precisions:
        if precision not in FORMATS[runtime].precisions:
            raise UserError(
                f"{runtime} files are not made in {precision}; expected {', '.join(FORMATS[runtime].precisions)}."
            )


def _tflite(model: bytes, piece: Piece, precision: Precision, quantization: Quantization) -> bytes:
    """The version of a float32 file in another precision."""
    if precision == "fp32" or not quantization.ranges:
        return model
    from toolkit.lower.tflite_edges import int8_edges
    from toolkit.lower.tflite_quantize import quantize_tflite

    smaller = quantize_tflite(model, precision, quantization)
    return int8_edges(smaller, piece.edges) if piece.edges and precision == "int8" else smaller
