"""Batch-norm statistics of every subnet, and one walk through many subnets that computes once what they share.

A statistic belongs to a path (the subnet id up to one convolution), so subnets with a common prefix share it. Layers
with the same input share even more: a narrow one gives the first channels of a wide one, statistics included.
Proved by tests/supernet/test_norms.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from toolkit.specs.errors import UserError
from toolkit.specs.space import Subnet
from toolkit.supernet.supernet import NORM_EPSILON, Normalizer, Step, Supernet, steps, widest_after

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


def recalibrate(
    net: Supernet,
    log_mel: Tensor,
    subnets: Iterable[Subnet],
    on_progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> StoredNorms:
    """Exact statistics of each subnet's convolutions over one large batch [B, 1, T, F].

    `on_progress` is told how many subnets of how many are done.
    Source: Yu and Huang, Universally Slimmable Networks (2019): statistics are computed anew for each subnet.
    """
    wanted = tuple(dict.fromkeys(subnets))
    moments: dict[str, Moments] = {}

    def measure(x: Tensor, weight: Tensor, bias: Tensor, path: str) -> Tensor:
        variance, mean = torch.var_mean(x, dim=(0, 2, 3), correction=0)
        moments[path] = (mean, variance)
        return functional.batch_norm(x, mean, variance, weight, bias, eps=NORM_EPSILON)

    for number, _ in enumerate(walk(net, log_mel, wanted, measure, lambda x: x), start=1):
        on_progress(number, len(wanted))
    ways = [steps(subnet) for subnet in wanted]
    widest = widest_after(ways)
    for way in ways:
        for before, step in zip((None, *way), way, strict=False):
            if step.path not in moments:
                mean, variance = moments[widest[before].path]
                moments[step.path] = (mean[: step.width].clone(), variance[: step.width].clone())
    return StoredNorms(moments)


def walk(
    net: Supernet,
    log_mel: Tensor,
    subnets: Iterable[Subnet],
    normalize: Normalizer,
    finish: Callable[[Tensor], Tensor] | None = None,
) -> Iterator[tuple[Subnet, Tensor]]:
    """Logits [B, L] of each different subnet on one batch; what subnets share is computed once.

    They share the layers of a common prefix and the layer behind it, which runs at the greatest width that any of them
    gives it. So they come in the order of a walk through their tree, depth first: feature maps of one path are kept.

    Args:
        net: is in evaluation mode afterwards.
        log_mel: [B, 1, T, F].
        subnets: in any order.
        normalize: is asked for the widest of the layers with one input only.
        finish: makes something else than logits of the last feature map [B, C, T, F].
    """
    finish = finish or net.classify
    net.eval()
    ways = {subnet: steps(subnet) for subnet in subnets}
    if ways:
        with torch.no_grad():
            stem = net.stem(log_mel.to(net.input_norm_weight.device), normalize)
        yield from _walk(net, stem, ways, 0, normalize, finish)


def _walk(
    net: Supernet,
    x: Tensor,
    ways: Mapping[Subnet, Sequence[Step]],
    depth: int,
    normalize: Normalizer,
    finish: Callable[[Tensor], Tensor],
) -> Iterator[tuple[Subnet, Tensor]]:
    """The subnets whose ways are the same before `depth`, where the feature map is `x`."""
    branches: dict[Step, dict[Subnet, Sequence[Step]]] = {}
    for subnet, way in ways.items():
        branches.setdefault(way[depth], {})[subnet] = way
    with torch.no_grad():
        wide = net.convolve(max(branches, key=lambda step: step.width), x, normalize)
    for step, branch in branches.items():
        with torch.no_grad():
            after = net.leave(step, wide[:, : step.width])
        subnet, way = next(iter(branch.items()))
        if depth + 1 < len(way):
            yield from _walk(net, after, branch, depth + 1, normalize, finish)
        else:  # no other one has this last step, which tells the whole way
            with torch.no_grad():
                finished = finish(after)
            yield subnet, finished
