"""`Supernet`: CNN10 whose dynamic blocks run with the first channels and the first layers of a subnet.

The subnet is an argument of `forward`, never state. There are no running statistics: training normalizes with the
batch, everything else with the subnet's own recalibrated `Norms` (`toolkit.supernet.norms`).
Axis letters: B batch, C channels, T frames, F mel bins. Proved by tests/supernet/test_supernet.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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
        """[B, C, T, F] to a new tensor of that shape, with a weight and a bias for each channel."""
        ...


Stem = Callable[[Tensor, Normalizer], Tensor]
"""What `Supernet.stem` does."""


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
        # Channels last is the faster order on a processor, a fifth to a third of a step; what follows keeps the order
        # of the weights. `clone`, because `contiguous` leaves those of one input channel as they are.
        weight = self.weight[:width, : x.shape[1]].clone(memory_format=torch.channels_last)
        y = functional.conv2d(x, weight, padding=KERNEL // 2)
        return functional.relu_(normalize(y, self.norm_weight[:width], self.norm_bias[:width], path))


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
        x = self.stem(log_mel, normalize)
        for step in steps(subnet):
            x = self.run(step, x, normalize)
        return self.classify(x)

    def stem(self, log_mel: Tensor, normalize: Normalizer) -> Tensor:
        """Input norm and the static first block: [B, 1, T, F] to [B, C, T // 2, F // 2], the same for every subnet."""
        x = normalize(log_mel.transpose(1, 3), self.input_norm_weight, self.input_norm_bias, "input").transpose(1, 3)
        for step in stem_steps(self.space):
            x = self.run(step, x, normalize)
        return x

    def together(
        self,
        log_mel: Tensor,
        subnets: Sequence[Subnet],
        normalize: Normalizer = batch_norm,
        stem: Stem | None = None,
    ) -> list[Tensor]:
        """Logits [B, label_count] of each subnet on the same frames; what they share is computed once.

        Subnets share the layers of a common prefix, and the layer behind it too: channels of a narrow layer are the
        first ones of a wide layer, norm included. For training, where this saves a quarter of the time: values and
        gradients are as from one by one, but dropout in a shared layer is drawn once. `stem` may be a compiled one.
        """
        ways = [steps(subnet) for subnet in subnets]
        widest = widest_after(ways)
        maps: dict[Step | None, Tensor] = {None: (stem or self.stem)(log_mel, normalize)}
        wide: dict[Step | None, Tensor] = {}
        for way in ways:
            for before, step in zip((None, *way), way, strict=False):
                if before not in wide:
                    wide[before] = self.convolve(widest[before], maps[before], normalize)
                if step not in maps:
                    maps[step] = self.leave(step, wide[before][:, : step.width])
        return [self.classify(maps[way[-1]]) for way in ways]

    def run(self, step: Step, x: Tensor, normalize: Normalizer) -> Tensor:
        """One convolution, and what stands between blocks when it is the last of its block."""
        return self.leave(step, self.convolve(step, x, normalize))

    def convolve(self, step: Step, x: Tensor, normalize: Normalizer) -> Tensor:
        """[B, C, T, F] to [B, width, T, F]: convolution, norm, ReLU."""
        layer = self.blocks[step.block][step.layer]
        return layer(x, step.width, normalize, step.path)  # type: ignore[no-any-return]

    def leave(self, step: Step, x: Tensor) -> Tensor:
        """Pooling and dropout when the step is the last of its block."""
        if step.ends_block:
            if step.block < len(self.blocks) - 1:
                x = functional.avg_pool2d(x, 2)
            x = functional.dropout(x, BLOCK_DROPOUT, self.training and self.dropout)
        return x

    def classify(self, x: Tensor) -> Tensor:
        """Last feature map [B, C, T, F] to logits: mean over F, then maximum plus mean over T, two linear layers."""
        frames = x.permute(0, 2, 3, 1).mean(2)
        return self.judge(frames.amax(1) + frames.mean(1))

    def judge(self, pooled: Tensor) -> Tensor:
        """Logits [B, label_count] of pooled features [B, C]: the two linear layers."""
        dropping = self.training and self.dropout
        pooled = functional.dropout(pooled, HEAD_DROPOUT, dropping)
        weight = self.hidden.weight[:, : pooled.shape[1]]
        hidden = functional.relu(functional.linear(pooled, weight, self.hidden.bias))
        return self.head(functional.dropout(hidden, HEAD_DROPOUT, dropping))  # type: ignore[no-any-return]


def steps(subnet: Subnet) -> tuple[Step, ...]:
    """The dynamic convolutions of a subnet in the order they run."""
    return tuple(
        Step(number, layer, width, Subnet(blocks=(*subnet.blocks[: number - 1], widths[: layer + 1])).id, last)
        for number, widths in enumerate(subnet.blocks, start=1)
        for layer, width in enumerate(widths)
        for last in [layer == len(widths) - 1]
    )


def widest_after(ways: Iterable[Sequence[Step]]) -> dict[Step | None, Step]:
    """For each step of some ways, and for None, which is before their first: the widest of those that come next.

    One convolution serves them all: the narrower ones are its first channels, norm included.
    """
    widest: dict[Step | None, Step] = {}
    for way in ways:
        for before, step in zip((None, *way), way, strict=False):
            widest[before] = max(widest.get(before, step), step, key=lambda one: one.width)
    return widest


def stem_steps(space: SearchSpace) -> tuple[Step, ...]:
    """The convolutions of the static first block."""
    last = CONVOLUTIONS_PER_BLOCK - 1
    return tuple(Step(0, layer, space.base_width, f"stem.{layer}", layer == last) for layer in range(last + 1))
