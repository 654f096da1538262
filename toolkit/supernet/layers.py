"""One layer of a network as a module of its own, made from its plain description: what a LayerPack is lowered from.

Weights are random, for cost does not depend on them; the operators are those of `StaticNet` and `StreamingNet`.
Axis letters: B batch, C channels, T frames, F mel bins, S samples. Proved by tests/profile/test_pack.py.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from toolkit.frontend import LogMel
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.layer import Layer
from toolkit.supernet.static import BORDER_FRAMES, AveragePool, Conv, Scale
from toolkit.supernet.streaming import WINDOW_FRAMES


class LayerModule(NamedTuple):
    """A module in evaluation mode with its example inputs and the names of what enters and leaves it.

    `x` enters and `y` leaves; every other name is state, which goes from `name` to `new_name`.
    """

    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]


def layer_module(layer: Layer, front_end: FrontEndSpec) -> LayerModule:
    """The layer in its mode, with the shapes of its description (batch 1)."""
    streams = layer.mode == "stream"
    x = torch.zeros(1, layer.channels_in, layer.frames, layer.bins)
    state: dict[str, Tensor] = {}
    module: nn.Module
    match layer.operator:
        case "front_end":
            log_mel = LogMel(front_end)
            x = torch.zeros(1, layer.frames * front_end.hop_samples)
            state = {"samples": log_mel.initial_state()} if streams else {}
            module = _Stream(log_mel) if streams else log_mel
        case "scale":
            module = Scale(layer.bins)
            nn.init.uniform_(module.factor)
            nn.init.uniform_(module.shift)
        case "conv2d":
            conv = Conv(layer.channels_in, layer.channels_out)
            state = {"border": torch.zeros(1, layer.channels_in, BORDER_FRAMES, layer.bins)} if streams else {}
            module = _Stream(conv) if streams else conv
        case "avg_pool2d":
            module = AveragePool()
        case "global_pool":
            state = {"window": torch.zeros(1, layer.channels_in, WINDOW_FRAMES)} if streams else {}
            module = _WindowPool() if streams else _ClipPool()
        case "linear":
            x = torch.zeros(1, layer.channels_in)
            module = nn.Linear(layer.channels_in, layer.channels_out)
    return LayerModule(module.eval(), {"x": x} | state, ("y", *(f"new_{name}" for name in state)))


class _Stream(nn.Module):
    """What `stream` of a module does, as `forward`."""

    def __init__(self, module: LogMel | Conv) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return self.module.stream(x, state)


class _ClipPool(nn.Module):
    """Global pooling of a whole clip: [B, C, T, F] to [B, C]."""

    def forward(self, x: Tensor) -> Tensor:
        frames = x.mean(3)
        return frames.amax(2) + frames.mean(2)


class _WindowPool(nn.Module):
    """Global pooling of the window that ends with this chunk: [B, C, T, F] and [B, C, window] to [B, C]."""

    def forward(self, x: Tensor, window: Tensor) -> tuple[Tensor, Tensor]:
        window = torch.cat((window, x.mean(3)), dim=2)[:, :, -WINDOW_FRAMES:]
        return window.amax(2) + window.mean(2), window
