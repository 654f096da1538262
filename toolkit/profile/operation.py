"""`Operation`: what one operator of a runtime computes and moves; `Network` writes them down one behind the other.

What the device model sees of a layer, ours or a published network's. Proved by tests/profile/test_architectures.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

Kind = Literal["dense", "pointwise", "depthwise", "linear", "move"]
"""Convolutions by how kernels compute them; `linear` is a matrix times one vector; `move` only reads and writes."""


class Operation(NamedTuple):
    """Shapes of maps [1, C, H, W]; `taps` are the places of a kernel, 9 of a 3x3."""

    kind: Kind
    channels_in: int
    channels_out: int
    taps: int
    groups: int
    pixels_in: int
    pixels_out: int

    @property
    def weights(self) -> int:
        """Numbers of the kernel, without bias."""
        return 0 if self.kind == "move" else self.taps * self.channels_in * self.channels_out // self.groups

    @property
    def biases(self) -> int:
        """One each output channel."""
        return 0 if self.kind == "move" else self.channels_out

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return self.weights * self.pixels_out

    @property
    def numbers_moved(self) -> int:
        """Numbers of maps that are read and written."""
        return self.channels_in * self.pixels_in + self.channels_out * self.pixels_out


class Network:
    """Operators in a row, and the shape [C, H, W] of the map that the last one left. Padding is "same" or "valid"."""

    def __init__(self, channels: int, size: int) -> None:
        self.operations: list[Operation] = []
        self.channels, self.height, self.width = channels, size, size

    def conv(self, out: int, kernel: int = 1, stride: int = 1, groups: int = 1, *, valid: bool = False) -> Network:
        """A square convolution."""
        kind: Kind = "pointwise" if kernel == 1 else "dense"
        return self._add(kind, out, (kernel, kernel), stride, groups, valid=valid)

    def depthwise(self, kernel: int, stride: int = 1) -> Network:
        """Each channel by itself."""
        return self._add("depthwise", self.channels, (kernel, kernel), stride, self.channels)

    def pool(self, kernel: int, stride: int, *, valid: bool = False) -> Network:
        """Average or maximum."""
        return self._add("move", self.channels, (kernel, kernel), stride, valid=valid)

    def global_pool(self) -> Network:
        """One number a channel."""
        self.operations.append(Operation("move", self.channels, self.channels, 1, 1, self.height * self.width, 1))
        self.height = self.width = 1
        return self

    def linear(self, out: int) -> Network:
        """A fully connected layer on all that is there."""
        inputs = self.channels * self.height * self.width
        self.operations.append(Operation("linear", inputs, out, 1, 1, 1, 1))
        self.channels, self.height, self.width = out, 1, 1
        return self

    def move(self, inputs: int = 1) -> Network:
        """An operator that writes the map and reads `inputs` of its size: a sum, an activation, a shuffle."""
        pixels = self.height * self.width
        self.operations.append(Operation("move", inputs * self.channels, self.channels, 1, 1, pixels, pixels))
        return self

    def side(self, out: int, *, stride: int = 1, pooled: int = 1) -> Network:
        """A 1x1 convolution around a block that is still to come, `pooled` first; the map stays what it was."""
        shape = self.channels, self.height, self.width
        if pooled > 1:
            self.pool(pooled, pooled)
        self.conv(out, stride=stride)
        self.channels, self.height, self.width = shape
        return self

    def squeeze_excite(self, squeezed: int) -> Network:
        """Channels weighted by what they hold all over the map."""
        channels, pixels = self.channels, self.height * self.width
        self.operations += [
            Operation("move", channels, channels, 1, 1, pixels, 1),
            Operation("linear", channels, squeezed, 1, 1, 1, 1),
            Operation("linear", squeezed, channels, 1, 1, 1, 1),
        ]
        return self.move()

    def fork(self, *branches: Sequence[tuple[int, ...]], stride: int = 1, wider: int = 0) -> Network:
        """Inception's: branches of (channels, height[, width] of the kernel) on one map, joined; 0 channels is a pool.

        The last of each branch has the `stride`, and is then not padded. `wider`: channels that are joined besides.
        """
        shape, joined = (self.channels, self.height, self.width), wider
        for branch in branches:
            self.channels, self.height, self.width = shape
            for step, (out, *kernel) in enumerate(branch):
                pace = stride if step == len(branch) - 1 else 1
                kind: Kind = "move" if not out else "pointwise" if max(kernel) == 1 else "dense"
                self._add(kind, out or self.channels, (kernel[0], kernel[-1]), pace, valid=pace > 1)
            joined += self.channels
        self.channels = joined
        return self.move()

    def _add(
        self, kind: Kind, out: int, kernel: tuple[int, int], stride: int, groups: int = 1, *, valid: bool = False
    ) -> Network:
        lost = [side - 1 if valid else 0 for side in kernel]
        pixels_in = self.height * self.width
        self.height, self.width = (-(-(s - n) // stride) for s, n in zip((self.height, self.width), lost, strict=True))
        taps, pixels = kernel[0] * kernel[1], self.height * self.width
        self.operations.append(Operation(kind, self.channels, out, taps, groups, pixels_in, pixels))
        self.channels = out
        return self
