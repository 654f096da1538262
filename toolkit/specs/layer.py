"""`Layer`: one operator of a subnet as a plain description, which cost tables, device models and search work from.

Knows no family of networks and no runtime. Proved by tests/specs/test_space.py (counts against the built network).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from toolkit.specs.record import Part

Operator = Literal["front_end", "scale", "conv2d", "avg_pool2d", "global_pool", "linear"]
Mode = Literal["clip", "frames", "stream"]
"""What one inference is: 10 s of audio, its log-mel, or one chunk and the state."""


class Layer(Part):
    """One operator on a feature map [1, C, T, F]; T `frames` and F `bins` are those of its input.

    `conv2d` is followed by batch norm and ReLU (folded at export), `linear` has a bias.
    In `stream` mode a convolution also carries its `kernel - 1` border frames from chunk to chunk.
    """

    operator: Operator
    channels_in: int = Field(ge=1)
    channels_out: int = Field(ge=1)
    frames: int = Field(ge=1)
    bins: int = Field(ge=1)
    kernel: int = Field(1, ge=1)
    stride: int = Field(1, ge=1)
    groups: int = Field(1, ge=1)
    mode: Mode = "clip"

    @property
    def name(self) -> str:
        """Canonical text, unique within a table: `conv2d-k3-64x51-500x32`."""
        kernel = f"-k{self.kernel}" if self.kernel > 1 else ""
        return f"{self.operator}{kernel}-{self.channels_in}x{self.channels_out}-{self.frames}x{self.bins}"

    @property
    def params(self) -> int:
        """Trainable numbers, batch norm's scale and shift included."""
        if self.operator == "conv2d":
            return self.kernel**2 * self.channels_in * self.channels_out // self.groups + 2 * self.channels_out
        if self.operator == "linear":
            return (self.channels_in + 1) * self.channels_out
        return 2 * self.bins if self.operator == "scale" else 0

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the convolutions and linear layers; other operators count as none."""
        if self.operator == "conv2d":
            positions = (self.frames // self.stride) * (self.bins // self.stride)
            return positions * self.kernel**2 * self.channels_in * self.channels_out // self.groups
        return self.channels_in * self.channels_out if self.operator == "linear" else 0
