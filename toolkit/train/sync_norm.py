"""Batch norm over a batch that several processes share, for training on more than one processor.

Proved by tests/train/test_sync_norm.py (two gloo processes with half a batch each equal one with all of it).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed

from toolkit.supernet.supernet import NORM_EPSILON


def shared_batch_norm(x: Tensor, weight: Tensor, bias: Tensor, path: str) -> Tensor:  # noqa: ARG001 a Normalizer takes it
    """The training `Normalizer` with the statistics of all processes' parts of the batch, [B, C, T, F] each.

    The parts must be of one size. The variance is the mean square of what is left when the common mean is taken away:
    mean square minus squared mean would be rounding noise, even negative, for a bin at -50 dB throughout.
    Source: Ioffe and Szegedy (2015), over the whole batch.
    """
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    centred = wide - _mean_over_all(wide)
    variance = _mean_over_all(centred.square())
    factor = weight[:, None, None] * torch.rsqrt(variance + NORM_EPSILON)
    return (centred * factor + bias[:, None, None]).to(x.dtype)


def _mean_over_all(x: Tensor) -> Tensor:
    """Mean [1, C, 1, 1] over the feature maps of every process; gradients flow back to all of them."""
    total: Tensor = _SumOverAll.apply(x.mean((0, 2, 3), keepdim=True))
    return total / distributed.get_world_size()


class _SumOverAll(torch.autograd.Function):
    """Sum of every process's tensor; what each makes of the sum flows back to every one."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ARG004 nothing is kept
        total = x.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _SumOverAll.forward(ctx, gradient)
