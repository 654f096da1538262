"""One layer of a network as a module of its own, made from its plain description: what a LayerPack is lowered from.

Weights are random, for cost does not depend on them; the operators are those of `StaticNet` and `StreamingNet`, so that
the layers of a subnet, one after the other, compute what it computes. In `stream` mode each makes its own mask from the
count of frames seen, as inside the network.
Axis letters: B batch, C channels, T frames, F mel bins, S samples. Proved by tests/supernet/test_layers.py.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from toolkit.frontend import LogMel
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.layer import Layer
from toolkit.specs.space import CONVOLUTIONS_PER_BLOCK, TIME_STRIDE
from toolkit.supernet.static import BORDER_FRAMES, AveragePool, Conv, Scale, channels_last
from toolkit.supernet.streaming import SEEN_LIMIT, WINDOW_FRAMES, ChunkBorders

MASK, COUNT, FEATURES = "mask", "frames_seen", "features_seen"


class LayerModule(NamedTuple):
    """A module in evaluation mode, what goes in, and names of what comes out: `outputs`, then `taps`.

    `x` comes from the layer before and `y` goes to the next; what is called `new_...` is state.
    """

    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...] = ("y",)
    taps: tuple[str, ...] = ()
    quantized: tuple[str, ...] = ()
    """Names of all that has a range in an int8 network; none where the layer stays float."""
    float_after: tuple[str, ...] = ()
    """Those of `quantized` behind which the layer is float again."""
    edges: tuple[str, ...] = ()
    """Those of `x` and `y` that are int8 on both sides, so that no operator stands at that edge in a whole network."""


def layer_module(
    layer: Layer, front_end: FrontEndSpec, *, head: bool = False, late_frames: int | None = None
) -> LayerModule:
    """The layer in its mode, with the shapes of its description (batch 1).

    Args:
        head: whether a linear layer is the last one, which makes scores.
        late_frames: of a stream: frames that lie before the signal's first when it starts, in the layer's input. Cost
            depends on it in one place: a pooling of an odd number lets a frame wait. By default that of a network whose
            blocks have all their convolutions.
    """
    made = None
    if layer.mode == "stream":
        made = _streaming(layer, front_end, _late(layer, front_end) if late_frames is None else late_frames)
    made = made or _static(layer, front_end, head=head)
    made.module.eval()
    return made


def overhead_module() -> LayerModule:
    """One number times two: the least that a runtime can be asked for."""
    return LayerModule(_Twice().eval(), {"x": torch.zeros(1)})


def _static(layer: Layer, front_end: FrontEndSpec, *, head: bool) -> LayerModule:
    x = {"x": torch.zeros(1, layer.channels_in, layer.frames, layer.bins)}
    match layer.operator:
        case "front_end":
            return LayerModule(LogMel(front_end), {"x": _samples(layer, front_end)})
        case "scale":
            return LayerModule(_scale(layer), x)
        case "conv2d":
            conv = Conv(layer.channels_in, layer.channels_out)
            return LayerModule(conv, x, quantized=("x", "y"), edges=_conv_edges(layer))
        case "avg_pool2d":
            return LayerModule(AveragePool(), x, quantized=("x", "y"), edges=("x", "y"))
        case "global_pool":
            taps = ("frequency_mean", "time_max", "time_mean")
            return LayerModule(_ClipPool(), x, taps=taps, quantized=("x", *taps, "y"), edges=("x",))
        case "linear":
            linear = nn.Linear(layer.channels_in, layer.channels_out)
            units = {"x": torch.zeros(1, layer.channels_in)}
            quantized = () if head else ("x", "y")
            return LayerModule(_Linear(linear, head=head), units, quantized=quantized)


def _streaming(layer: Layer, front_end: FrontEndSpec, late: int) -> LayerModule | None:
    """The layers that are others in a stream."""
    x = torch.zeros(1, layer.channels_in, layer.frames, layer.bins)
    seen = torch.full((1,), SEEN_LIMIT)
    match layer.operator:
        case "front_end":
            log_mel = LogMel(front_end)
            inputs = {"x": _samples(layer, front_end), "samples": log_mel.initial_state()}
            return LayerModule(_StreamLogMel(log_mel), inputs, ("y", "new_samples"))
        case "scale" if late:
            return LayerModule(_StreamScale(_scale(layer), late), {"x": x, COUNT: seen})
        case "conv2d":
            border = torch.zeros(1, layer.channels_in, BORDER_FRAMES, layer.bins)
            conv = _StreamConv(Conv(layer.channels_in, layer.channels_out), late)
            outputs, taps = ("y", "new_border"), ("unmasked", MASK)
            quantized = ("x", "border", "y", *taps)
            inputs = {"x": x, "border": border, COUNT: seen}
            return LayerModule(conv, inputs, outputs, taps, quantized, edges=_conv_edges(layer))
        case "avg_pool2d" if late % 2:
            waiting = torch.zeros(1, layer.channels_in, 1, layer.bins)
            pool = _StreamPool(AveragePool(), late)
            return LayerModule(
                pool,
                {"x": x, "waiting": waiting},
                ("y", "new_waiting"),
                quantized=("x", "waiting", "y"),
                edges=("x", "y"),
            )
        case "global_pool":
            window = torch.zeros(1, WINDOW_FRAMES, layer.channels_in)
            mean = ("frequency_mean",)
            return LayerModule(
                _WindowPool(late, layer.frames * TIME_STRIDE),
                {"x": x, "window": window, COUNT: seen, FEATURES: seen},
                ("y", "new_window", "new_frames_seen"),
                mean,
                quantized=("x", *mean),
                float_after=mean,
                edges=("x",),
            )
    return None


def _conv_edges(layer: Layer) -> tuple[str, ...]:
    """Before the first convolution the network is float."""
    return ("y",) if layer.channels_in == 1 else ("x", "y")


def _late(layer: Layer, front_end: FrontEndSpec) -> int:
    late, bins = LogMel(front_end).delay_frames, front_end.mel_bins
    while bins > layer.bins > 1:
        late, bins = (late + CONVOLUTIONS_PER_BLOCK + 1) // 2, bins // 2
    return late + CONVOLUTIONS_PER_BLOCK if layer.operator in ("avg_pool2d", "global_pool") else late


def _samples(layer: Layer, front_end: FrontEndSpec) -> Tensor:
    return torch.zeros(1, layer.frames * front_end.hop_samples)


def _scale(layer: Layer) -> Scale:
    scale = Scale(layer.bins)
    nn.init.uniform_(scale.factor)
    nn.init.uniform_(scale.shift)
    return scale


class _Twice(nn.Module):
    """[1] to [1]."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


class _Linear(nn.Module):
    """A linear layer, and ReLU or, behind the last one, scores of its logits."""

    def __init__(self, linear: nn.Linear, *, head: bool) -> None:
        super().__init__()
        self.linear, self.head = linear, head

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.linear(x)) if self.head else functional.relu(self.linear(x))


class _StreamLogMel(nn.Module):
    """`LogMel.stream` as `forward`."""

    def __init__(self, log_mel: LogMel) -> None:
        super().__init__()
        self.log_mel = log_mel

    def forward(self, x: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
        return self.log_mel.stream(x, samples)


class _StreamScale(nn.Module):
    """The scale, and zeros before the signal."""

    def __init__(self, scale: Scale, late: int) -> None:
        super().__init__()
        self.scale, self.late = scale, late

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        return ChunkBorders({COUNT: seen}, self.late).scaled(self.scale(x))


class _StreamConv(nn.Module):
    """A convolution between its borders: [B, C, T, F] one frame late, the next border, and the taps."""

    def __init__(self, conv: Conv, late: int) -> None:
        super().__init__()
        self.conv, self.late = conv, late

    def forward(self, x: Tensor, border: Tensor, seen: Tensor) -> tuple[Tensor, ...]:
        borders = ChunkBorders({COUNT: seen, "border1": border}, self.late)
        taps = borders.convolved(1, self.conv, x)
        return taps["conv1"], borders.new["border1"], taps["unmasked1"], taps["mask1"]


class _StreamPool(nn.Module):
    """A pooling whose input is an odd number of frames late, and the frame that waits now."""

    def __init__(self, pool: AveragePool, late: int) -> None:
        super().__init__()
        self.pool, self.late = pool, late

    def forward(self, x: Tensor, waiting: Tensor) -> tuple[Tensor, Tensor]:
        borders = ChunkBorders({COUNT: x.new_zeros(1), "waiting1": waiting}, self.late)
        return self.pool(borders.paired(1, x)), borders.new["waiting1"]


class _ClipPool(nn.Module):
    """Global pooling of a whole clip: [B, C, T, F] to [B, C], and its taps."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        frames = channels_last(x).mean(2)
        time_max, time_mean = frames.amax(1), frames.mean(1)
        return time_max + time_mean, frames, time_max, time_mean


class _WindowPool(nn.Module):
    """Global pooling of the window that ends with this chunk: [B, C, T, F] to [B, C], the window, the count, its tap.

    Args:
        late: feature frames before the signal's first.
        chunk_frames: log-mel frames of a chunk.
    """

    def __init__(self, late: int, chunk_frames: int) -> None:
        super().__init__()
        self.late, self.chunk_frames = late, chunk_frames

    def forward(self, x: Tensor, window: Tensor, seen: Tensor, features_seen: Tensor) -> tuple[Tensor, ...]:
        """`seen` counts log-mel frames, `features_seen` feature frames."""
        frames = channels_last(x).mean(2)
        now = torch.clamp(seen + self.chunk_frames, max=SEEN_LIMIT)
        window = torch.cat((window, frames), dim=1)[:, -WINDOW_FRAMES:]
        heard = torch.clamp(features_seen + frames.shape[1] - self.late, 1, WINDOW_FRAMES)
        return window.amax(1) + window.mean(1) * (WINDOW_FRAMES / heard), window, now, frames
