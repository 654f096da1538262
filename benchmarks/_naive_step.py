"""A training step as one would first write it, which `benchmarks.train_step` compares ours with.

Log-mel in each step; for each sampled subnet the teacher anew, and every layer at full width, with zeros in the
channels that the subnet has not. It learns the same: `worst_difference` compares its gradients with ours.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from toolkit.frontend import LogMel
from toolkit.specs.recipe import Recipe
from toolkit.specs.space import KERNEL, TIME_STRIDE, Subnet
from toolkit.supernet.norms import recalibrate
from toolkit.supernet.supernet import Normalizer, Step, Supernet
from toolkit.train.batches import mask
from toolkit.train.loop import mixup, sampled
from toolkit.train.teachers import NetworkTeacher

LABELS = 32
"""Each has one sound."""


class Masked(Supernet):
    """The supernet as one would first write it: layers at full width, and zeros in the channels a subnet has not."""

    def convolve(self, step: Step, x: Tensor, normalize: Normalizer) -> Tensor:
        """[B, C, T, F] to all channels that the layer can have."""
        layer = self.blocks[step.block][step.layer]
        y = functional.conv2d(x, layer.weight, padding=KERNEL // 2)
        y = functional.relu(normalize(y, layer.norm_weight, layer.norm_bias, step.path))
        return y * (torch.arange(len(layer.weight)) < step.width)[:, None, None]


class Naive:
    """The steps of a stage as one would first write them, on crops of sounds [N, S]."""

    def __init__(self, recipe: Recipe, stage: str, sounds: np.ndarray) -> None:
        self.recipe, self.stage, self.sounds = recipe, stage, sounds
        self.net, self.teacher = new_net(Masked, recipe), teacher_of(new_net(Masked, recipe))
        self.front_end = LogMel(recipe.front_end)
        self.optimizer = torch.optim.AdamW(
            self.net.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay
        )

    def step(self, step: int) -> None:
        """One step of the optimizer."""
        rng, samples = np.random.default_rng(step), self.recipe.crop_frames * self.recipe.front_end.hop_samples
        rows = rng.integers(len(self.sounds), size=self.recipe.batch_size)
        starts = rng.integers(self.sounds.shape[1] - samples + 1, size=len(rows))
        crops = [self.sounds[row, start : start + samples] for row, start in zip(rows, starts, strict=True)]
        clean = self.front_end(torch.from_numpy(np.stack(crops)))
        masked = np.stack([mask(rng, crop, self.recipe.augmentation) for crop in clean[:, 0].numpy()])
        inputs, targets = torch.from_numpy(masked)[:, None], torch.eye(len(self.sounds))[rows]
        if alpha := self.recipe.stage(self.stage).mixup_alpha:
            inputs, targets = mixup(inputs, targets, rng, alpha)
        self.net.train()
        self.optimizer.zero_grad()
        self.learn(clean, inputs, targets, subnets_of(self.recipe, self.stage, step))
        self.optimizer.step()

    def learn(self, clean: Tensor, inputs: Tensor, targets: Tensor, subnets: Sequence[Subnet]) -> None:
        """Add the gradients of the subnets' mean loss."""
        for subnet in subnets:
            with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.precision == "bf16-mixed"):
                if self.recipe.stage(self.stage).labels == "teacher":
                    targets = self.teacher.probabilities(clean)
                logits = self.net(inputs, subnet).float()
            (functional.binary_cross_entropy_with_logits(logits, targets) / len(subnets)).backward()


def new_net(kind: type[Supernet], recipe: Recipe) -> Supernet:
    """An untrained network, the same for the same seed."""
    torch.manual_seed(recipe.seed)
    return kind(recipe.search_space(), LABELS, recipe.front_end.mel_bins, dropout=recipe.dropout)


def teacher_of(net: Supernet) -> NetworkTeacher:
    """A network's largest subnet."""
    noise = torch.randn(2, 1, TIME_STRIDE, len(net.input_norm_weight), generator=torch.Generator().manual_seed(0))
    return NetworkTeacher(net, net.space.largest, recalibrate(net, noise, [net.space.largest]))


def subnets_of(recipe: Recipe, stage: str, step: int) -> list[Subnet]:
    """Those that learn in a step."""
    fixed = recipe.stage(stage).fixed(recipe.search_space(), None)
    return [fixed] if fixed else sampled(recipe, stage, step)


def worst_difference() -> float:
    """The largest difference between our gradients of a small step and the naive ones, over the largest gradient."""
    changed = {"base_width": 8, "crop_frames": 24, "batch_size": 3, "dropout": False, "precision": "32-true"}
    recipe = Recipe.find("compact").model_copy(update=changed)
    net, naive = new_net(Supernet, recipe), Naive(recipe, "supernet", np.empty((LABELS, 0), np.float32))
    torch.manual_seed(1)
    clean, inputs = 10 * torch.randn(2, recipe.batch_size, 1, recipe.crop_frames, recipe.front_end.mel_bins) - 50
    subnets = subnets_of(recipe, "supernet", 0)
    naive.learn(clean, inputs, torch.eye(LABELS)[: recipe.batch_size], subnets)
    told = teacher_of(new_net(Supernet, recipe)).probabilities(clean)
    losses = [functional.binary_cross_entropy_with_logits(each, told) for each in net.together(inputs, subnets)]
    torch.stack(losses).mean().backward()
    ours, theirs = (
        torch.cat([one.grad.flatten() for one in each.parameters() if one.grad is not None])
        for each in (net, naive.net)
    )
    return float((ours - theirs).abs().max() / ours.abs().max())
