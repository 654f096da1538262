"""One layer of a network as a module of its own, made from its plain description: what a LayerPack is lowered from.

Weights are random, for cost does not depend on them; the operators are those of `StaticNet` and `StreamingNet`.
Axis letters: B batch, C channels, T frames, F mel bins, S samples. Proved by tests/profile/test_pack.py.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from toolkit.frontend import LogMel
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.layer import Layer
from toolkit.supernet.static import BORDER_FRAMES, AveragePool, Conv, Scale, channels_first, channels_last
from toolkit.supernet.streaming import WINDOW_FRAMES


class LayerModule(NamedTuple):
    """A module in evaluation mode, what goes in, and names of what comes out: `outputs`, then `taps`.

    `x` comes from the layer before and `y` goes to the next; what is called `new_...` is state.
    """

    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...] = ("y",)
    taps: tuple[str, ...] = ()
    quantized: tuple[str, ...] = ("x", "y")
    """Names of all that is int8 in an int8 network; none where the layer stays float."""
    float_after: tuple[str, ...] = ()
    """Those of `quantized` behind which the layer is float again."""


def layer_module(layer: Layer, front_end: FrontEndSpec) -> LayerModule:
    """The layer in its mode, with the shapes of its description (batch 1)."""
    made = (_streaming if layer.mode == "stream" else _static)(layer, front_end)
    made.module.eval()
    return made


def _static(layer: Layer, front_end: FrontEndSpec) -> LayerModule:
    x = {"x": torch.zeros(1, layer.channels_in, layer.frames, layer.bins)}
    match layer.operator:
        case "front_end":
            return LayerModule(LogMel(front_end), {"x": _samples(layer, front_end)}, quantized=())
        case "scale":
            scale = Scale(layer.bins)
            nn.init.uniform_(scale.factor)
            nn.init.uniform_(scale.shift)
            return LayerModule(scale, x, quantized=())
        case "conv2d":
            return LayerModule(Conv(layer.channels_in, layer.channels_out), x)
        case "avg_pool2d":
            return LayerModule(AveragePool(), x)
        case "global_pool":
            mean = ("frequency_mean",)
            return LayerModule(_ClipPool(), x, taps=mean, quantized=("x", *mean), float_after=mean)
        case "linear":
            linear = nn.Linear(layer.channels_in, layer.channels_out)
            return LayerModule(linear, {"x": torch.zeros(1, layer.channels_in)})


def _streaming(layer: Layer, front_end: FrontEndSpec) -> LayerModule:
    x = torch.zeros(1, layer.channels_in, layer.frames, layer.bins)
    match layer.operator:
        case "front_end":
            log_mel = LogMel(front_end)
            inputs = {"x": _samples(layer, front_end), "samples": log_mel.initial_state()}
            return LayerModule(_StreamLogMel(log_mel), inputs, ("y", "new_samples"), quantized=())
        case "conv2d":
            border = torch.zeros(1, layer.channels_in, BORDER_FRAMES, layer.bins)
            inputs = {"x": x, "border": border, "mask": torch.ones(layer.frames, 1, 1)}
            outputs, taps = ("y", "new_border"), ("unmasked",)
            conv = Conv(layer.channels_in, layer.channels_out)
            return LayerModule(_StreamConv(conv), inputs, outputs, taps, quantized=(*inputs, *outputs, *taps))
        case "global_pool":
            mean = ("frequency_mean",)
            inputs = {"x": x, "window": torch.zeros(1, WINDOW_FRAMES, layer.channels_in)}
            return LayerModule(_WindowPool(), inputs, ("y", "new_window"), mean, ("x", *mean), mean)
        case _:
            return _static(layer, front_end)


def _samples(layer: Layer, front_end: FrontEndSpec) -> Tensor:
    return torch.zeros(1, layer.frames * front_end.hop_samples)


class _StreamLogMel(nn.Module):
    """`LogMel.stream` as `forward`."""

    def __init__(self, log_mel: LogMel) -> None:
        super().__init__()
        self.log_mel = log_mel

    def forward(self, x: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
        return self.log_mel.stream(x, samples)


class _StreamConv(nn.Module):
    """`Conv.stream` and the mask [T, 1, 1] that zeroes what lies before a stream's start."""

    def __init__(self, conv: Conv) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor, border: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        unmasked, new_border = self.conv.stream(x, border)
        return channels_first(channels_last(unmasked) * mask), new_border, unmasked


class _ClipPool(nn.Module):
    """Global pooling of a whole clip: [B, C, T, F] to [B, C], and its tap."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        frames = channels_last(x).mean(2)
        return frames.amax(1) + frames.mean(1), frames


class _WindowPool(nn.Module):
    """Global pooling of the window that ends with this chunk: [B, C, T, F] to [B, C], the window, and its tap."""

    def forward(self, x: Tensor, window: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        frames = channels_last(x).mean(2)
        window = torch.cat((window, frames), dim=1)[:, -WINDOW_FRAMES:]
        return window.amax(1) + window.mean(1), window, frames
