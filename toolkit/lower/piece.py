"""`Piece`: what every format lowers, a torch module with the names of what enters and leaves it. Not a converter.

`Quantization`: what is known of its activations, where a file of it is to be int8.

Proved by tests/lower/test_tflite.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

Range = tuple[float, float]
"""Lowest and highest value of an activation."""


@dataclass(frozen=True)
class Quantization:
    """Which part of a piece leaves float: the operators whose activations all have a range, given or handed on.

    Args:
        ranges: of the piece's inputs, outputs and taps, by name. What moves values about, pools them or joins them
            hands on the ranges of what it takes.
        float_after: names of `ranges` behind which operators stay float until the next range.
    """

    ranges: Mapping[str, Range] = field(default_factory=dict)
    float_after: Collection[str] = ()


@dataclass(frozen=True)
class Piece:
    """A module in evaluation mode, inputs to trace it with, and names for the tensors that people and runtimes see.

    Args:
        module: called with `example_inputs`; returns a tensor or a tuple: one tensor for each of `output_names`, then
            one for each of `tap_names`.
        example_inputs: one tensor for each of `input_names`; their shapes become the shapes of the file.
        tap_names: tensors inside the graph that keep a name in the file, so that an activation range can be given for
            them. They are no outputs of the file.
        edges: names of inputs and outputs where the piece is cut out of a larger network. There the file takes and
            gives what the runtime has inside that network: int8 in an `int8` file, and channels last in ExecuTorch's.
    """

    module: nn.Module
    example_inputs: tuple[Tensor, ...]
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    tap_names: tuple[str, ...] = ()
    edges: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.example_inputs) != len(self.input_names):
            raise ValueError(f"{len(self.example_inputs)} example inputs, but {len(self.input_names)} input names")
        counts = Counter((*self.input_names, *self.output_names, *self.tap_names))
        twice = sorted(name for name, count in counts.items() if count > 1)
        if twice:
            raise ValueError(f"names must differ, found twice: {', '.join(twice)}")
        if any(part.training for part in self.module.modules()):
            raise ValueError(f"{type(self.module).__name__} is in training mode; call eval() before lowering it")
