"""Small supernets with norms that are far from trivial, log-mel to run them on, and the same networks by the book."""

from __future__ import annotations

from functools import cache

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from toolkit.specs.space import PAPER_PRESETS, Subnet, preset_space
from toolkit.supernet.norms import StoredNorms, recalibrate
from toolkit.supernet.supernet import Supernet

LABELS, MEL_BINS, BASE_WIDTH = 5, 16, 8


def supernet(space: str, base_width: int = BASE_WIDTH, mel_bins: int = MEL_BINS, labels: int = LABELS) -> Supernet:
    """A supernet whose norms and biases are random too."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        net = Supernet(preset_space(space, base_width), labels, mel_bins)
        for name, parameter in net.named_parameters():
            if name.endswith("norm_weight"):
                nn.init.uniform_(parameter, 0.5, 1.5)
            elif name.endswith("bias"):
                nn.init.uniform_(parameter, -0.5, 0.5)
    return net.eval().requires_grad_(requires_grad=False)


@cache
def known(space: str, mel_bins: int = MEL_BINS) -> tuple[Supernet, tuple[Subnet, ...], StoredNorms]:
    """A supernet, all its subnets, and their statistics over one batch. Not to be changed."""
    net = supernet(space, mel_bins=mel_bins)
    subnets = tuple(net.space.subnets())
    return net, subnets, recalibrate(net, log_mel(4, 40, seed=99, mel_bins=mel_bins), subnets)


def log_mel(batch: int, frames: int, seed: int, mel_bins: int = MEL_BINS) -> Tensor:
    """Noise [batch, 1, frames, mel_bins] at levels of log-mel, another mean and spread in each band."""
    draw = torch.Generator().manual_seed(seed)
    mean, spread = torch.linspace(-30, -70, mel_bins), torch.linspace(5, 15, mel_bins)
    return mean + spread * torch.randn(batch, 1, frames, mel_bins, generator=draw)


points = st.sampled_from(PAPER_PRESETS).flatmap(lambda name: st.tuples(st.just(name), st.sampled_from(known(name)[1])))
"""A preset's name and one of its subnets."""


class PlainNet(nn.Module):
    """One subnet from torch's own layers alone, with the supernet's weights cut by hand; batch norm as torch has it."""

    def __init__(self, net: Supernet, subnet: Subnet) -> None:
        super().__init__()
        self.input_norm = _norm(net.input_norm_weight, net.input_norm_bias)
        self.blocks = nn.ModuleList()
        channels = 1
        base = net.space.base_width
        for number, widths in enumerate(((base, base), *subnet.blocks)):
            layers: list[nn.Module] = [nn.AvgPool2d(2)] if number else []
            for position, width in enumerate(widths):
                elastic = net.blocks[number][position]
                conv = nn.Conv2d(channels, width, 3, padding=1, bias=False)
                conv.weight.data = elastic.weight[:width, :channels].clone()
                layers += [conv, _norm(elastic.norm_weight[:width], elastic.norm_bias[:width]), nn.ReLU()]
                channels = width
            self.blocks.append(nn.Sequential(*layers))
        self.hidden = nn.Linear(channels, 8 * base)
        self.hidden.weight.data = net.hidden.weight[:, :channels].clone()
        self.hidden.bias.data = net.hidden.bias.clone()
        self.head = net.head

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        x = self.input_norm(x.permute(0, 3, 2, 1)).permute(0, 3, 2, 1)
        for block in self.blocks:
            x = block(x)
        x = x.mean(dim=3)
        x = x.max(dim=2).values + x.mean(dim=2)
        logits: Tensor = self.head(torch.relu(self.hidden(x)))
        return logits


def _norm(weight: Tensor, bias: Tensor) -> nn.BatchNorm2d:
    """A batch norm that keeps the statistics of the last batch."""
    norm = nn.BatchNorm2d(len(weight), momentum=1.0)
    norm.weight.data, norm.bias.data = weight.clone(), bias.clone()
    return norm
