"""The two phases: the largest subnet on hard labels, then K sampled subnets a step taught by it.

Source: Lin et al. (2023), sections 2.3 and 3.3; the phase-1 network is the teacher here (the full method, with a
teacher of its own, is to come). Proved by tests/train/test_train.py.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from toolkit.specs.errors import MismatchError, UserError
from toolkit.specs.recipe import Recipe
from toolkit.specs.space import Subnet
from toolkit.supernet.norms import recalibrate
from toolkit.supernet.supernet import Supernet, batch_norm
from toolkit.train.batches import Batch, Batches
from toolkit.train.checkpoint import load_checkpoint, save_checkpoint

LARGEST, SUPERNET = 1, 2
CHECKPOINT, TEACHER = "checkpoint.safetensors", "teacher.safetensors"
WARM_UP_SHARE = 0.15

Report = Callable[[str, int, int, float], None]
"""Called with phase, step, steps and loss."""


@dataclass
class Training:
    """One training: its network, its data and where its state lies on disk."""

    recipe: Recipe
    net: Supernet
    batches: Batches
    folder: Path
    report: Report

    def run(self, resume: bool) -> float:
        """Both phases, from the last checkpoint when `resume`; returns the seconds spent in steps so far.

        Raises:
            UserError: there is no checkpoint to resume from, or the loss is no number.
            MismatchError: the checkpoint is of another recipe or of other data.
        """
        path = self.folder / CHECKPOINT
        phase, step, seconds = LARGEST, 0, 0.0
        optimizer = self._optimizer()
        if resume:
            progress = load_checkpoint(path, self.net, optimizer)
            for what, found in self._belongs_to().items():
                if progress.get(what) != found:
                    raise MismatchError(
                        f"{path} was made with other {what}: resume with the same, or name another --out."
                    )
            phase, step, seconds = progress["phase"], progress["step"], progress["seconds"]
        else:
            self._save(path, optimizer, phase, step, seconds)
        while phase <= SUPERNET:
            steps = self.recipe.largest_steps if phase == LARGEST else self.recipe.supernet_steps
            teacher = self._teacher() if phase == SUPERNET else None
            while step < steps:
                started = time.monotonic()
                loss = self._step(optimizer, phase, step, steps, teacher)
                seconds += time.monotonic() - started
                step += 1
                self.report("largest subnet" if phase == LARGEST else "supernet", step, steps, loss)
                if step % self.recipe.checkpoint_steps == 0 and step < steps:
                    self._save(path, optimizer, phase, step, seconds)
            if phase == LARGEST:
                save_checkpoint(self.folder / TEACHER, self.net, None, {})
            phase, step = phase + 1, 0
            optimizer = self._optimizer()
            self._save(path, optimizer, phase, step, seconds)
        return seconds

    def _save(self, path: Path, optimizer: torch.optim.Optimizer, phase: int, step: int, seconds: float) -> None:
        save_checkpoint(
            path, self.net, optimizer, {"phase": phase, "step": step, "seconds": seconds} | self._belongs_to()
        )

    def _belongs_to(self) -> dict[str, str]:
        return {"recipe": self.recipe.digest(), "data": self.batches.data_hash}

    def _optimizer(self) -> torch.optim.AdamW:
        recipe = self.recipe
        return torch.optim.AdamW(self.net.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)

    def _teacher(self) -> Callable[[Tensor], Tensor]:
        """Probabilities [B, L] of the network that phase 1 left, normalized by recalibrated statistics."""
        teacher = Supernet(self.net.space, len(self.batches.labels), self.recipe.front_end.mel_bins)
        load_checkpoint(self.folder / TEACHER, teacher, None)
        largest = self.net.space.largest
        norms = recalibrate(teacher.eval(), calibration_frames(self.batches), [largest])

        def probabilities(log_mel: Tensor) -> Tensor:
            with torch.no_grad():
                return torch.sigmoid(teacher(log_mel, largest, norms))

        return probabilities

    def _step(
        self,
        optimizer: torch.optim.Optimizer,
        phase: int,
        step: int,
        steps: int,
        teacher: Callable[[Tensor], Tensor] | None,
    ) -> float:
        batch = self.batches.draw(phase, step)
        torch.manual_seed(int(np.random.SeedSequence([self.recipe.seed, 3, phase, step]).generate_state(1)[0]))
        inputs, targets = torch.from_numpy(batch.masked), torch.from_numpy(batch.targets)
        subnets = [self.net.space.largest]
        if teacher is not None:
            share = self.recipe.distillation_weight
            targets = share * teacher(torch.from_numpy(batch.clean)) + (1 - share) * targets
            draw = random.Random(f"{self.recipe.seed} {step}")
            subnets = [self.net.space.sample(draw) for _ in range(self.recipe.subnets_per_step)]
        for group in optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate * one_cycle(step, steps)
        optimizer.zero_grad()
        self.net.train()
        # The subnets share the static first block: it runs forward once, and backward once with their summed gradients.
        stem = self.net.stem(inputs, batch_norm)
        shared = stem.detach().requires_grad_()
        total = 0.0
        for subnet in subnets:
            logits = self.net.after_stem(shared, subnet, batch_norm)
            loss = functional.binary_cross_entropy_with_logits(logits, targets) / len(subnets)
            if not math.isfinite(loss.item()):
                raise UserError(_not_finite(step, subnet, batch))
            loss.backward()
            total += loss.item()
        stem.backward(shared.grad)
        optimizer.step()
        return total


def calibration_frames(batches: Batches) -> Tensor:
    """Clean training crops [B, 1, T, F] on which batch-norm statistics are computed."""
    return torch.from_numpy(batches.draw(0, 0, batches.recipe.calibration_crops).clean)


def one_cycle(step: int, steps: int) -> float:
    """Factor of the learning rate: a linear rise, then half a cosine to zero. Source: Smith and Topin (2018)."""
    warm_up = max(1, round(WARM_UP_SHARE * steps))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + float(np.cos(np.pi * (step - warm_up) / max(1, steps - warm_up))))


def _not_finite(step: int, subnet: Subnet, batch: Batch) -> str:
    return (
        f"the loss is not a number at step {step}, subnet {subnet}, clips {'; '.join(batch.names)[:300]}. "
        "The last checkpoint is kept. Look at these clips, or lower learning_rate and train into another --out."
    )
