"""How the processes of one evaluation start, and what they tell each other.

Proved by tests/evaluate/test_processes.py (two over gloo).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch
from lightning_fabric import Fabric

from toolkit.specs.errors import ToolkitError
from toolkit.specs.run import Run
from toolkit.train.memory import keep_freed_memory
from toolkit.train.parallel import launch

Told = TypeVar("Told")
Given = ParamSpec("Given")


def launch_for(run: Run, accelerator: str, devices: int, nodes: int, threads: int | None = None) -> Fabric:
    """The processors that evaluate subnets of a Run, as `toolkit.train.parallel.launch` has them.

    Raises:
        UserError: they cannot be had.
    """
    keep_freed_memory()
    changed = {"batch_size": devices * nodes, "accumulate": 1, "precision": "32-true"}  # nothing is trained
    return launch(run.manifest.recipe.model_copy(update=changed), accelerator, devices, nodes, threads)


def of_all(fabric: Fabric, work: Callable[Given, Told], *arguments: Given.args, **options: Given.kwargs) -> list[Told]:
    """What `work` gives in each process, by rank, in every process.

    Raises:
        ToolkitError: in all of them, when one of them raises it.
    """
    if fabric.world_size == 1:
        return [work(*arguments, **options)]
    mine: Told | ToolkitError
    try:
        mine = work(*arguments, **options)
    except ToolkitError as error:
        mine = error
    everyone: list[Told | ToolkitError] = [mine] * fabric.world_size
    torch.distributed.all_gather_object(everyone, mine)
    found = []
    for each in everyone:
        if isinstance(each, ToolkitError):
            raise each
        found.append(each)
    return found


def of_first(fabric: Fabric, work: Callable[Given, Told], *arguments: Given.args, **options: Given.kwargs) -> Told:
    """What `work` gives in the first process, which alone does it, in every process; raises as `of_all` does."""

    def alone() -> list[Told]:
        return [work(*arguments, **options)] if fabric.is_global_zero else []

    (told,) = (each for each in of_all(fabric, alone) if each)
    return told[0]
