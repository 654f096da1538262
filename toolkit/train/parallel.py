"""Training on several processes: their gradients averaged as if one process had held the whole batch.

The supernet is not wrapped: a step runs several subnets backward, and their summed gradients are averaged once.
Proved by tests/train/test_parallel.py (two gloo processes give what one gives).
"""

from __future__ import annotations

import logging

import torch
from lightning_fabric import Fabric
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn

from toolkit.specs.errors import UserError
from toolkit.specs.recipe import Recipe


def average_over_processes(fabric: Fabric, value: Tensor) -> Tensor:
    """The mean of a small tensor over all processes, on every one of them."""
    if fabric.world_size == 1:
        return value
    mean = fabric.all_reduce(value, reduce_op="mean")
    if not isinstance(mean, Tensor):
        raise TypeError(f"a tensor was averaged and {type(mean).__name__} came back")
    return mean


def average_gradients(fabric: Fabric, net: nn.Module) -> None:
    """Replace each gradient by its mean over all processes.

    A parameter that no subnet of the step uses has none, in any process, for all run the same subnets: as in one
    process the optimizer leaves it alone, which it would not do were the gradient zero.
    """
    if fabric.world_size == 1:
        return
    gradients = [parameter.grad for parameter in net.parameters() if parameter.grad is not None]
    mean = average_over_processes(fabric, torch.cat([gradient.flatten() for gradient in gradients]))
    for gradient, part in zip(gradients, mean.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def launch(recipe: Recipe, accelerator: str, devices: int, nodes: int, threads: int | None) -> Fabric:
    """The processors that a training runs on; under torchrun or Slurm this process becomes one of theirs.

    Raises:
        UserError: there is no such accelerator, or the batch cannot be shared out evenly.
    """
    if threads:
        torch.set_num_threads(threads)
    if recipe.batch_size % (devices * nodes * recipe.accumulate):
        found = f"{devices * nodes} processes and accumulate = {recipe.accumulate}"
        raise UserError(f"batch_size {recipe.batch_size} cannot be shared evenly by {found}. Change one of them.")
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it would tell each time that it uses bfloat16
    try:
        fabric = Fabric(
            accelerator=accelerator,
            devices=devices,
            num_nodes=nodes,
            precision=recipe.precision,
            strategy="ddp" if devices * nodes > 1 else "auto",
        )
        fabric.launch()
    except (ImportError, ValueError, RuntimeError, MisconfigurationException) as error:
        raise UserError(f"cannot run on {devices} {accelerator} on {nodes} nodes: {error}") from None
    return fabric
