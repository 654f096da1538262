"""Lower torch modules to float32 TFLite files with litert-torch, in process and silent. Smaller ones: tflite_quantize.

Nearly all of a conversion's time is spent once, whatever the module, so many small ones are traced as one graph and cut
apart. Proved by tests/lower/test_tflite.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from toolkit.lower.converting import converting
from toolkit.lower.piece import Piece
from toolkit.specs.errors import UserError


def lower_tflite(piece: Piece) -> bytes:
    """A float32 TFLite file with one signature, `serving_default`, whose names and order are the piece's.

    TFLite is channels last: a tensor [B, C, T, F] in torch enters and leaves the file as [B, T, F, C].
    The same piece gives the same bytes.

    Raises:
        UserError: the libraries are missing, or TFLite lacks an operator of the piece; the message names it.
    """
    return lower_tflite_many([piece])[0]


def lower_tflite_many(pieces: Sequence[Piece]) -> list[bytes]:
    """A file for each piece, the same as `lower_tflite` makes, in about a fifth of the time for each small piece."""
    if not pieces:
        return []
    model = _converted(pieces)
    from toolkit.lower import tflite_file

    tree = tflite_file.read(model)
    found_inputs, found_outputs = tflite_file.signature(tree)
    inputs = iter(sorted(found_inputs.items(), key=_position))
    outputs = iter(sorted(found_outputs.items(), key=_position))
    files = []
    for piece in pieces:
        named = {
            names: {name: next(found)[1] for name in names}
            for names, found in ((piece.input_names, inputs), (piece.output_names, outputs), (piece.tap_names, outputs))
        }
        try:
            part = tflite_file.cut(tree, *(named[n] for n in (piece.input_names, piece.output_names, piece.tap_names)))
        except LookupError as error:
            raise UserError(
                f"tap {error} of {type(piece.module).__name__} is no tensor of its own in the TFLite graph: it is an "
                "input, an output or another tap, or was fused away. Take the tap elsewhere or leave it out."
            ) from error
        files.append(tflite_file.write(part))
    return files


def _converted(pieces: Sequence[Piece]) -> bytes:
    examples = tuple(channels_last(tensor) for piece in pieces for tensor in piece.example_inputs)
    modules = ", ".join(sorted({type(piece.module).__name__ for piece in pieces}))
    with converting("TFLite", modules):
        import litert_torch

        return bytes(litert_torch.convert(SideBySide(pieces).eval(), examples).model_content())


class SideBySide(nn.Module):
    """Pieces in one graph, each with inputs and outputs of its own, channels last at the boundary."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(piece.module for piece in pieces)
        self.inputs = [len(piece.input_names) for piece in pieces]
        self.results = [len(piece.output_names) + len(piece.tap_names) for piece in pieces]

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """The inputs of all pieces, one after the other, to their outputs and taps."""
        rest = iter(tensors)
        results: list[Tensor] = []
        for part, inputs, expected in zip(self.parts, self.inputs, self.results, strict=True):
            result: Any = part(*(_channels_first(next(rest)) for _ in range(inputs)))
            returned = result if isinstance(result, tuple) else (result,)
            if len(returned) != expected:
                raise ValueError(f"{type(part).__name__} returned {len(returned)} tensors for {expected} names")
            results += (channels_last(tensor) for tensor in returned)
        return tuple(results)


def channels_last(tensor: Tensor) -> Tensor:
    """[B, C, T, F] as [B, T, F, C]; other shapes as they are."""
    return tensor.permute(0, 2, 3, 1) if tensor.dim() == 4 else tensor


def _channels_first(tensor: Tensor) -> Tensor:
    return tensor.permute(0, 3, 1, 2) if tensor.dim() == 4 else tensor


def _position(entry: tuple[str, int]) -> int:
    """Place of `args_12` or `output_12` among its kind."""
    return int(entry[0].rpartition("_")[2])
