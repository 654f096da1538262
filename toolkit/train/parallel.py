"""Training on several processes: their gradients averaged as if one process had held the whole batch.

The supernet is not wrapped: a step runs several subnets backward, and their summed gradients are averaged once.
Proved by tests/train/test_parallel.py (two gloo processes give what one gives).
"""

from __future__ import annotations

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
    """Replace each gradient by its mean over all processes; a parameter that no subnet used counts as zero."""
    if fabric.world_size == 1:
        return
    parameters = list(net.parameters())
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    flat = torch.cat([parameter.grad.flatten() for parameter in parameters if parameter.grad is not None])
    flat = average_over_processes(fabric, flat)
    for parameter, part in zip(parameters, flat.split([parameter.numel() for parameter in parameters]), strict=True):
        parameter.grad = part.view_as(parameter)


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
