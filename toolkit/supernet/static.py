"""`StaticNet`: one subnet cut out of the supernet, batch norm folded, ready for a converter.

Scores a whole window at once; `toolkit.supernet.streaming` runs the same lines chunk by chunk, with other `Borders`.
Axis letters: B batch, C channels, T frames, F mel bins, L labels. Proved by tests/supernet/test_static.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from toolkit.specs.space import CONVOLUTIONS_PER_BLOCK, KERNEL, SearchSpace, Subnet
from toolkit.supernet.norms import StoredNorms
from toolkit.supernet.supernet import NORM_EPSILON, Supernet, stem_steps, steps

BORDER_FRAMES = KERNEL - 1


class Scale(nn.Module):
    """The input norm: one factor and one shift for each mel bin."""

    def __init__(self, bins: int) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(bins))
        self.shift = nn.Parameter(torch.zeros(bins))

    def forward(self, x: Tensor) -> Tensor:
        """[B, 1, T, F] to the same shape."""
        return x * self.factor + self.shift


class Conv(nn.Module):
    """3x3 convolution with bias, ReLU."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, KERNEL, padding=KERNEL // 2)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, T, F] to the same T and F; zeros stand at all borders."""
        return functional.relu(self.conv(x))

    def stream(self, x: Tensor, border: Tensor) -> tuple[Tensor, Tensor]:
        """[B, C, T, F] and the two frames before it to T frames, one frame late, and the next border.

        x:        border | 0 1 2 ... T-1        output:  -1 0 1 ... T-2
        """
        joined = torch.cat((channels_last(border), channels_last(x)), dim=1)
        x = channels_first(joined)
        y = functional.relu(functional.conv2d(x, self.conv.weight, self.conv.bias, padding=(0, KERNEL // 2)))
        return y, channels_first(joined[:, -BORDER_FRAMES:])


class AveragePool(nn.Module):
    """2x2 average pooling."""

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, T, F] to [B, C, T // 2, F // 2]."""
        return functional.avg_pool2d(x, 2)


class Borders(Protocol):
    """What stands at the first and last frame of what a layer is given."""

    def scaled(self, x: Tensor) -> Tensor:
        """The scaled log-mel [B, 1, T, F] as the first convolution takes it."""
        ...

    def convolved(self, number: int, conv: Conv, x: Tensor) -> dict[str, Tensor]:
        """Taps of a convolution of [B, C, T, F]: its result as `conv{number}`, and what led to it."""
        ...

    def paired(self, number: int, x: Tensor) -> Tensor:
        """[B, C, T, F] after convolution `number`, from the frame on that a pooling pairs with the next."""
        ...


class ZeroBorders:
    """Zeros stand before the first frame and after the last: a whole signal, or a window alone."""

    def scaled(self, x: Tensor) -> Tensor:
        """As it is."""
        return x

    def convolved(self, number: int, conv: Conv, x: Tensor) -> dict[str, Tensor]:
        """As many frames as there were."""
        return {f"conv{number}": conv(x)}

    def paired(self, number: int, x: Tensor) -> Tensor:
        """As it is: the first frame and the second are a pair."""
        return x


class StaticNet(nn.Module):
    """One subnet with weights of its own.

    `taps` names the activations whose ranges int8 needs: `scale`, `conv1` to `conv8`, `frequency_mean`, `time_max`,
    `time_mean`, `pooled`, `hidden`, `logits`.
    """

    def __init__(self, space: SearchSpace, subnet: Subnet, label_count: int, mel_bins: int) -> None:
        super().__init__()
        self.subnet = subnet
        blocks = ((space.base_width,) * CONVOLUTIONS_PER_BLOCK, *subnet.blocks)
        widths = [width for block in blocks for width in block]
        self.pool_after = frozenset(itertools.accumulate(len(block) for block in blocks[:-1]))
        """Numbers of the convolutions, from 1, that a pooling follows."""
        self.scale = Scale(mel_bins)
        self.convs: Sequence[Conv] = nn.ModuleList(  # type: ignore[assignment]
            Conv(before, width) for before, width in itertools.pairwise([1, *widths])
        )
        self.pool = AveragePool()
        self.hidden = nn.Linear(widths[-1], space.hidden_units)
        self.head = nn.Linear(space.hidden_units, label_count)

    @classmethod
    def extract(cls, net: Supernet, subnet: Subnet, norms: StoredNorms) -> StaticNet:
        """Cut `subnet` out of `net` and fold its batch-norm statistics into the weights.

        Raises:
            UserError: the norms hold no statistics for this subnet.
        """
        static = cls(net.space, subnet, net.head.out_features, len(net.input_norm_weight))
        with torch.no_grad():
            factor, shift = _affine(net.input_norm_weight, net.input_norm_bias, *norms.at("input"))
            static.scale.factor.copy_(factor)
            static.scale.shift.copy_(shift)
            for conv, step in zip(static.convs, (*stem_steps(net.space), *steps(subnet)), strict=True):
                source, target = net.blocks[step.block][step.layer], conv.conv
                weight = source.weight[: step.width, : target.in_channels]
                factor, shift = _affine(
                    source.norm_weight[: step.width], source.norm_bias[: step.width], *norms.at(step.path)
                )
                target.load_state_dict({"weight": weight * factor[:, None, None, None], "bias": shift})
            static.hidden.weight.copy_(net.hidden.weight[:, : static.hidden.in_features])
            static.hidden.bias.copy_(net.hidden.bias)
            static.head.load_state_dict(net.head.state_dict())
        return static.eval()

    def forward(self, log_mel: Tensor) -> Tensor:
        """Scores [B, L] of log-mel frames [B, 1, T, F]."""
        return torch.sigmoid(self.taps(log_mel)["logits"])

    def taps(self, log_mel: Tensor) -> dict[str, Tensor]:
        """Every activation that is quantized, by name, in the order they are computed."""
        taps = self.frame_taps(log_mel, ZeroBorders())
        frames = taps["frequency_mean"]
        taps["time_max"] = frames.amax(1)
        taps["time_mean"] = frames.mean(1)
        return taps | self.classify(taps["time_max"] + taps["time_mean"])

    def frame_taps(self, log_mel: Tensor, borders: Borders) -> dict[str, Tensor]:
        """The taps before time pooling; `frequency_mean` is the features of each frame [B, T, C]."""
        x = borders.scaled(self.scale(log_mel))
        taps = {"scale": x}
        for number, conv in enumerate(self.convs, start=1):
            taps |= borders.convolved(number, conv, x)
            x = taps[f"conv{number}"]
            if number in self.pool_after:
                x = self.pool(borders.paired(number, x))
        return taps | {"frequency_mean": channels_last(x).mean(2)}

    def classify(self, pooled: Tensor) -> dict[str, Tensor]:
        """The taps from the pooled features [B, C] to the logits [B, L]."""
        hidden = functional.relu(self.hidden(pooled))
        return {"pooled": pooled, "hidden": hidden, "logits": self.head(hidden)}


def _affine(weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Factor and shift [C] of a batch norm with known statistics."""
    factor = weight / torch.sqrt(variance + NORM_EPSILON)
    return factor, bias - mean * factor


def channels_last(x: Tensor) -> Tensor:
    """[B, C, T, F] as [B, T, F, C], the layout of TFLite: joined and cut there, a graph needs no transposes."""
    return x.permute(0, 2, 3, 1)


def channels_first(x: Tensor) -> Tensor:
    """[B, T, F, C] as [B, C, T, F]."""
    return x.permute(0, 3, 1, 2)
