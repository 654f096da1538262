"""`Supernet`: CNN10 whose dynamic blocks run with the first channels and the first layers of a subnet.

The subnet is an argument of `forward`, never state. There are no running statistics: training normalizes with the
batch, everything else with the subnet's own recalibrated `Norms` (`toolkit.supernet.norms`).
Axis letters: B batch, C channels, T frames, F mel bins. Proved by tests/supernet/test_supernet.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from toolkit.specs.space import CONVOLUTIONS_PER_BLOCK, KERNEL, SearchSpace, Subnet

NORM_EPSILON = 1e-5
BLOCK_DROPOUT, HEAD_DROPOUT = 0.2, 0.5
"""Source: PANNs, Cnn10."""


class Step(NamedTuple):
    """One convolution of a subnet; `path` is the subnet id up to and with it, so equal paths share their input."""

    block: int
    layer: int
    width: int
    path: str
    ends_block: bool


class Normalizer(Protocol):
    """Normalizes a feature map [B, C, T, F] by statistics of its own choosing; `path` says where in the net it is."""

    def __call__(self, x: Tensor, weight: Tensor, bias: Tensor, path: str) -> Tensor:
        """[B, C, T, F] to the same shape, with a weight and a bias for each channel."""
        ...


def batch_norm(x: Tensor, weight: Tensor, bias: Tensor, path: str) -> Tensor:  # noqa: ARG001 a Normalizer takes it
    """The training `Normalizer`: statistics of the batch at hand."""
    return functional.batch_norm(x, None, None, weight, bias, training=True, eps=NORM_EPSILON)


class ElasticConv(nn.Module):
    """3x3 convolution, batch norm, ReLU; runs with its first input and output channels."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels_out, channels_in, KERNEL, KERNEL))
        nn.init.xavier_uniform_(self.weight)
        self.norm_weight = nn.Parameter(torch.ones(channels_out))
        self.norm_bias = nn.Parameter(torch.zeros(channels_out))

    def forward(self, x: Tensor, width: int, normalize: Normalizer, path: str) -> Tensor:
        """[B, C, T, F] to [B, width, T, F]."""
        y = functional.conv2d(x, self.weight[:width, : x.shape[1]], padding=KERNEL // 2)
        return functional.relu(normalize(y, self.norm_weight[:width], self.norm_bias[:width], path))


class Supernet(nn.Module):
    """All subnets of a space in one set of weights.

    Args:
        space: which subnets there are.
        label_count: labels to score.
        mel_bins: F of the log-mel input.
        dropout: PANNs' dropout while training.
    """

    def __init__(self, space: SearchSpace, label_count: int, mel_bins: int = 64, *, dropout: bool = False) -> None:
        super().__init__()
        self.space = space
        self.dropout = dropout
        self.input_norm_weight = nn.Parameter(torch.ones(mel_bins))
        self.input_norm_bias = nn.Parameter(torch.zeros(mel_bins))
        channels = (1, *space.full_widths)
        self.blocks: Sequence[Sequence[ElasticConv]] = nn.ModuleList(  # type: ignore[assignment]
            nn.ModuleList(
                ElasticConv(channels[block] if layer == 0 else channels[block + 1], channels[block + 1])
                for layer in range(CONVOLUTIONS_PER_BLOCK)
            )
            for block in range(len(space.full_widths))
        )
        self.hidden = nn.Linear(channels[-1], space.hidden_units)
        self.head = nn.Linear(space.hidden_units, label_count)
        for linear in (self.hidden, self.head):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, log_mel: Tensor, subnet: Subnet, normalize: Normalizer = batch_norm) -> Tensor:
        """Logits [B, label_count] of log-mel frames [B, 1, T, F]; the batch's own statistics if none are given."""
        return self.after_stem(self.stem(log_mel, normalize), subnet, normalize)

    def stem(self, log_mel: Tensor, normalize: Normalizer) -> Tensor:
        """Input norm and the static first block: [B, 1, T, F] to [B, C, T // 2, F // 2], the same for every subnet."""
        x = normalize(log_mel.transpose(1, 3), self.input_norm_weight, self.input_norm_bias, "input").transpose(1, 3)
        for step in stem_steps(self.space):
            x = self.run(step, x, normalize)
        return x

    def after_stem(self, x: Tensor, subnet: Subnet, normalize: Normalizer) -> Tensor:
        """Logits [B, label_count] from what `stem` gave."""
        for step in steps(subnet):
            x = self.run(step, x, normalize)
        return self.classify(x)

    def run(self, step: Step, x: Tensor, normalize: Normalizer) -> Tensor:
        """One convolution, and what stands between blocks when it is the last of its block."""
        x = self.blocks[step.block][step.layer](x, step.width, normalize, step.path)
        if step.ends_block:
            if step.block < len(self.blocks) - 1:
                x = functional.avg_pool2d(x, 2)
            x = functional.dropout(x, BLOCK_DROPOUT, self.training and self.dropout)
        return x

    def classify(self, x: Tensor) -> Tensor:
        """Last feature map [B, C, T, F] to logits: mean over F, then maximum plus mean over T, two linear layers."""
        frames = x.mean(3)
        pooled = frames.amax(2) + frames.mean(2)
        dropping = self.training and self.dropout
        pooled = functional.dropout(pooled, HEAD_DROPOUT, dropping)
        hidden = functional.relu(functional.linear(pooled, self.hidden.weight[:, : x.shape[1]], self.hidden.bias))
        return self.head(functional.dropout(hidden, HEAD_DROPOUT, dropping))  # type: ignore[no-any-return]


def steps(subnet: Subnet) -> tuple[Step, ...]:
    """The dynamic convolutions of a subnet in the order they run."""
    return tuple(
        Step(number, layer, width, Subnet(blocks=(*subnet.blocks[: number - 1], widths[: layer + 1])).id, last)
        for number, widths in enumerate(subnet.blocks, start=1)
        for layer, width in enumerate(widths)
        for last in [layer == len(widths) - 1]
    )


def stem_steps(space: SearchSpace) -> tuple[Step, ...]:
    """The convolutions of the static first block."""
    last = CONVOLUTIONS_PER_BLOCK - 1
    return tuple(Step(0, layer, space.base_width, f"stem.{layer}", layer == last) for layer in range(last + 1))
