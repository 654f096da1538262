"""Batch-norm statistics of every subnet, and one walk through many subnets that computes shared prefixes once.

A statistic belongs to a path (the subnet id up to one convolution), so subnets with a common prefix share it.
Proved by tests/supernet/test_norms.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from toolkit.specs.errors import UserError
from toolkit.specs.space import Subnet
from toolkit.supernet.supernet import NORM_EPSILON, Normalizer, Step, Supernet, steps

Moments = tuple[Tensor, Tensor]
"""Mean and variance of each channel, [C] each."""


class StoredNorms:
    """Normalizes with recalibrated statistics, by path."""

    def __init__(self, moments: Mapping[str, Moments]) -> None:
        self.moments = moments

    def __call__(self, x: Tensor, weight: Tensor, bias: Tensor, path: str) -> Tensor:
        """[B, C, T, F] to the same shape.

        Raises:
            UserError: there are no statistics for the path.
        """
        mean, variance = self.at(path)
        return functional.batch_norm(x, mean, variance, weight, bias, eps=NORM_EPSILON)

    def at(self, path: str) -> Moments:
        """Mean and variance at a path; raises UserError when they are missing."""
        if path not in self.moments:
            raise UserError(f"no batch-norm statistics for {path!r}: the Run was not recalibrated for this subnet.")
        return self.moments[path]


def recalibrate(net: Supernet, log_mel: Tensor, subnets: Iterable[Subnet]) -> StoredNorms:
    """Exact statistics of each subnet's convolutions over one large batch [B, 1, T, F].

    Source: Yu and Huang, Universally Slimmable Networks (2019): statistics are computed anew for each subnet.
    """
    moments: dict[str, Moments] = {}

    def measure(x: Tensor, weight: Tensor, bias: Tensor, path: str) -> Tensor:
        variance, mean = torch.var_mean(x, dim=(0, 2, 3), correction=0)
        moments[path] = (mean, variance)
        return functional.batch_norm(x, mean, variance, weight, bias, eps=NORM_EPSILON)

    for _ in walk(net, log_mel, subnets, measure):
        pass
    return StoredNorms(moments)


def walk(
    net: Supernet,
    log_mel: Tensor,
    subnets: Iterable[Subnet],
    normalize: Normalizer,
    finish: Callable[[Tensor], Tensor] | None = None,
) -> Iterator[tuple[Subnet, Tensor]]:
    """Logits [B, L] of each subnet on one batch; feature maps of the prefix shared with the subnet before are kept.

    `finish` makes something else of the last feature map [B, C, T, F].
    """
    finish = finish or net.classify
    net.eval()
    with torch.no_grad():
        stem = net.stem(log_mel.to(net.input_norm_weight.device), normalize)
        done: list[tuple[Step, Tensor]] = []
        for subnet in subnets:
            wanted = steps(subnet)
            shared = 0
            while shared < min(len(done), len(wanted)) and done[shared][0] == wanted[shared]:
                shared += 1
            del done[shared:]
            for step in wanted[shared:]:
                done.append((step, net.run(step, done[-1][1] if done else stem, normalize)))
            yield subnet, finish(done[-1][1])
