"""`--dry-run`: what a recipe would train, and an estimate of how long from a few steps on this machine.

Proved by tests/train/test_plan.py.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median

import torch
from lightning_fabric import Fabric
from torch.nn import functional

from toolkit.audio.dataset import Dataset
from toolkit.specs.recipe import Recipe
from toolkit.specs.record import Part
from toolkit.specs.space import Subnet
from toolkit.supernet.supernet import Supernet
from toolkit.train.loop import sampled
from toolkit.train.train import stage_order

TIMED_STEPS = 3
TIMED_CROPS = 8
BACKWARD_FACTOR = 2
"""Gradients cost a multiplication by the weights' and one by the inputs' transpose."""


class PlannedStage(Part):
    """One stage as it would run; hours are estimated from `TIMED_STEPS` steps of `TIMED_CROPS` random crops."""

    stage: str
    steps: int
    clips: int
    """Crops that go through the loop."""
    macs: float
    """Multiply-accumulates, forward and backward, of the mean subnet; the teacher's forward pass included."""
    estimated_hours: float


def plan(
    recipe: Recipe, dataset: Dataset, stages: Sequence[str], subnet: Subnet | None, fabric: Fabric
) -> list[PlannedStage]:
    """What training would do on these processors, stage by stage."""
    labels = len(dataset.labels)
    space = recipe.search_space()
    net = Supernet(space, labels, recipe.front_end.mel_bins).train().to(fabric.device)
    share = recipe.crop_frames / recipe.front_end.frames(recipe.front_end.sample_rate_hz * 10)
    planned = []
    for name in stage_order(recipe, stages):
        stage = recipe.stage(name)
        fixed = stage.fixed(space, subnet)
        drawn = [[fixed] if fixed else sampled(recipe, name, step) for step in range(TIMED_STEPS)]
        costs = [space.macs(one, recipe.front_end, labels, "frames") for subnets in drawn for one in subnets]
        each = sum(costs) / TIMED_STEPS * share
        macs = (1 + BACKWARD_FACTOR) * each
        taught = stage.labels == "teacher" and recipe.teacher.kind == "stage"
        if taught:
            macs += space.macs(space.largest, recipe.front_end, labels, "frames") * share
        seconds = [_step_seconds(net, recipe, subnets, taught, fabric) for subnets in drawn]
        clips = stage.steps * recipe.batch_size
        hours = median(seconds) * clips / TIMED_CROPS / fabric.world_size / 3600
        planned.append(
            PlannedStage(stage=name, steps=stage.steps, clips=clips, macs=macs * clips, estimated_hours=hours)
        )
    return planned


def plan_text(recipe: Recipe, stages: Sequence[PlannedStage]) -> str:
    """A table for people."""
    total = PlannedStage(
        stage="all",
        steps=sum(stage.steps for stage in stages),
        clips=sum(stage.clips for stage in stages),
        macs=sum(stage.macs for stage in stages),
        estimated_hours=sum(stage.estimated_hours for stage in stages),
    )
    lines = [
        f"Recipe {recipe.name}: {recipe.space}, base width {recipe.base_width}, {recipe.batch_size} crops a step",
        f"{'stage':<16}{'steps':>10}{'clips':>14}{'MACs':>12}{'hours here (estimated)':>26}",
        *(
            f"{one.stage:<16}{one.steps:>10,}{one.clips:>14,}{one.macs:>12.2e}{one.estimated_hours:>26.2f}"
            for one in (*stages, total)
        ),
    ]
    return "\n".join(lines)


def _step_seconds(net: Supernet, recipe: Recipe, subnets: Sequence[Subnet], taught: bool, fabric: Fabric) -> float:
    """Wall time of one step on random crops."""
    inputs = torch.randn(TIMED_CROPS, 1, recipe.crop_frames, recipe.front_end.mel_bins, device=fabric.device)
    targets = torch.full((TIMED_CROPS, net.head.out_features), 0.5, device=fabric.device)
    started = time.perf_counter()
    with fabric.autocast():
        if taught:
            with torch.no_grad():
                net(inputs, net.space.largest)
        logits = [each.float() for each in net.together(inputs, subnets)]
    losses = [functional.binary_cross_entropy_with_logits(each, targets) for each in logits]
    loss = torch.stack(losses).sum()
    loss.backward()
    loss.item()  # an accelerator answers when it is done
    return time.perf_counter() - started
