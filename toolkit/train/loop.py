"""The one training loop: a stage of a recipe, from its start weights to its finished weights.

    draw a batch -> targets (hard or the teacher's, once) -> all subnets together -> losses and gradients -> step

Runs on one processor or on many (Lightning Fabric): each process draws its rows of the batch, batch norm and gradients
are averaged over all. State lies on disk after each checkpoint interval; a stage that is begun again goes on from
there, to the bit. Source: Lin et al. (2023), sections 2.3 and 3.3.
Proved by tests/train/test_loop.py, test_options.py and test_resume.py.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch._dynamo.exc import BackendCompilerFailed
from torch.nn import functional

from toolkit.specs.errors import MismatchError, UserError
from toolkit.specs.recipe import GIVEN, Recipe, Stage
from toolkit.specs.space import Subnet
from toolkit.supernet.supernet import Normalizer, Stem, Supernet, batch_norm
from toolkit.train.batches import Batch, Batches
from toolkit.train.checkpoint import load_checkpoint, read_progress, save_checkpoint
from toolkit.train.parallel import average_gradients, average_over_processes
from toolkit.train.sync_norm import shared_batch_norm
from toolkit.train.teachers import Teacher
from toolkit.train.watch import Unwatched, Watch

WARM_UP_SHARE = 0.15
NAMED_CROPS = 8
"""So many of a broken batch are named."""
Look = Callable[[Supernet], dict[str, float]]
"""Validation mAP by subnet id, of the network as it stands."""


def finished(folder: Path, stage: str) -> Path:
    """Where a stage's finished weights lie."""
    return folder / f"{stage}.safetensors"


def under_way(folder: Path, stage: str) -> Path:
    """Where the checkpoint of a stage that is not finished lies."""
    return folder / f"{stage}.checkpoint.safetensors"


@dataclass
class Training:
    """What the stages of one training share.

    Args:
        recipe: its stages, batches and optimizer.
        batches: of the data.
        folder: where checkpoints and finished weights lie.
        fabric: the processor or processors to run on, launched.
        watch: is told how it goes, by the first process.
        look: asked for validation mAP every `evaluation_steps`.
    """

    recipe: Recipe
    batches: Batches
    folder: Path
    fabric: Fabric = field(default_factory=lambda: Fabric(accelerator="cpu"))
    watch: Watch = field(default_factory=Unwatched)
    look: Look | None = None

    def new_net(self) -> Supernet:
        """An untrained network, the same for the same seed."""
        torch.manual_seed(self.recipe.seed)
        recipe = self.recipe
        return Supernet(
            recipe.search_space(), len(self.batches.labels), recipe.front_end.mel_bins, dropout=recipe.dropout
        )

    def train(self, name: str, teacher: Teacher | None = None, subnet: Subnet | None = None) -> tuple[Supernet, float]:
        """Run a stage, or what is left of it; its network and the seconds that its steps took.

        Args:
            name: of the stage; the stage it starts from must be finished.
            teacher: for a stage that learns from one.
            subnet: for a stage whose subnet is `given`.

        Raises:
            UserError: the loss is no number, or a file is missing or damaged.
            MismatchError: what lies in the folder is of another recipe or of other data.
        """
        stage, net = self.recipe.stage(name), self.new_net()
        belongs = self._belongs(name, subnet)
        watch = self.watch if self.fabric.is_global_zero else Unwatched()
        if finished(self.folder, name).exists():
            _, seconds = self._load(finished(self.folder, name), net, None, belongs)
            self._drop_checkpoint(name)
            return net, seconds
        if stage.start is not None:
            self._load(finished(self.folder, stage.start), net, None, self._belongs(stage.start, subnet))
        net.to(self.fabric.device)
        run = _StageRun(self, name, stage, net, teacher, subnet)
        step, seconds = 0, 0.0
        if under_way(self.folder, name).exists():
            step, seconds = self._load(under_way(self.folder, name), net, run.optimizer, belongs)
        rows = range(self.fabric.global_rank, self.recipe.batch_size, self.fabric.world_size)
        for batch in self.batches.each(name, range(step, stage.steps), rows):
            started = time.monotonic()
            loss = run.step(step, batch)
            seconds += time.monotonic() - started
            step += 1
            watch.step(name, step, stage.steps, loss, self.recipe.batch_size)
            if self.look and self.recipe.evaluation_steps and step % self.recipe.evaluation_steps == 0:
                watch.evaluated(name, step, self.look(net))
            if step % self.recipe.checkpoint_steps == 0 and step < stage.steps:
                self._save(under_way(self.folder, name), net, run.optimizer, belongs, (step, seconds))
        self._save(finished(self.folder, name), net, None, belongs, (step, seconds))
        self._drop_checkpoint(name)
        return net, seconds

    def _belongs(self, name: str, subnet: Subnet | None) -> dict[str, str]:
        """What a checkpoint must have been made with; the given subnet, where it or what it stands on trains that."""
        given = any(self.recipe.stage(other).subnet == GIVEN for other in self.recipe.needed(name))
        digest = self.recipe.stage_digest(name, subnet if given else None)
        return {"recipe": digest, "data": self.batches.data_hash}

    def _load(
        self, path: Path, net: Supernet, optimizer: torch.optim.Optimizer | None, belongs: dict[str, str]
    ) -> tuple[int, float]:
        progress = read_progress(path)
        for what, expected in belongs.items():
            if progress.get(what) != expected:
                raise MismatchError(f"{path} was made with other {what}: go on with the same, or name another --out.")
        load_checkpoint(path, net, optimizer)
        return progress["step"], progress["seconds"]

    def _save(
        self,
        path: Path,
        net: Supernet,
        optimizer: torch.optim.Optimizer | None,
        belongs: dict[str, str],
        done: tuple[int, float],
    ) -> None:
        if self.fabric.is_global_zero:
            save_checkpoint(path, net, optimizer, {"step": done[0], "seconds": done[1]} | belongs)
        self.fabric.barrier()

    def _drop_checkpoint(self, name: str) -> None:
        """A finished stage needs none."""
        if self.fabric.is_global_zero:
            under_way(self.folder, name).unlink(missing_ok=True)


class _StageRun:
    """The steps of one stage."""

    def __init__(
        self, training: Training, name: str, stage: Stage, net: Supernet, teacher: Teacher | None, subnet: Subnet | None
    ) -> None:
        self.recipe, self.fabric = training.recipe, training.fabric
        self.name, self.stage, self.net = name, stage, net
        if stage.labels == "teacher" and teacher is None:
            raise UserError(f"stage {name} learns from a teacher, and there is none.")
        self.teacher = teacher if stage.labels == "teacher" else None
        self.fixed = stage.fixed(net.space, subnet)
        self.normalize: Normalizer = shared_batch_norm if self.fabric.world_size > 1 else batch_norm
        self.stem: Stem = compiled_stem(net) if self.recipe.compiled else net.stem
        self.optimizer = torch.optim.AdamW(
            net.parameters(), self.recipe.learning_rate, weight_decay=self.recipe.weight_decay
        )

    def step(self, step: int, batch: Batch) -> float:
        """One step of the optimizer on this process's rows of the batch; the mean loss over all processes."""
        seed = [self.recipe.seed, 3, step, self.fabric.global_rank, *self.name.encode()]
        rng = np.random.default_rng(seed)
        torch.manual_seed(int(rng.integers(2**62)))
        inputs, targets = (torch.from_numpy(array).to(self.fabric.device) for array in (batch.masked, batch.targets))
        if self.teacher is not None:
            share = self.recipe.distillation_weight
            with self.fabric.autocast():
                told = self.teacher(batch).to(self.fabric.device)
            targets = share * told + (1 - share) * targets
        if self.stage.mixup_alpha:
            inputs, targets = mixup(inputs, targets, rng, self.stage.mixup_alpha)
        for group in self.optimizer.param_groups:
            factor = one_cycle(step, self.stage.steps) if self.recipe.schedule == "one-cycle" else 1.0
            group["lr"] = self.recipe.learning_rate * factor
        self.optimizer.zero_grad()
        self.net.train()
        subnets = [self.fixed] if self.fixed else sampled(self.recipe, self.name, step)
        parts = self.recipe.accumulate
        losses = torch.zeros(len(subnets))
        for some_inputs, some_targets in zip(inputs.chunk(parts), targets.chunk(parts), strict=True):
            losses += self._backward(some_inputs, some_targets, subnets, 1 / (parts * len(subnets)))
        losses = average_over_processes(self.fabric, losses)
        average_gradients(self.fabric, self.net)
        if not math.isfinite(float(losses.sum())) or not finite_gradients(self.net):
            raise UserError(_not_finite(self.name, step, subnets, losses, batch))
        self.optimizer.step()
        return float(losses.sum())

    def _backward(self, inputs: Tensor, targets: Tensor, subnets: list[Subnet], weight: float) -> Tensor:
        """Add the gradients of each subnet's loss times `weight`; those losses [K]. What subnets share runs once."""
        with self.fabric.autocast():
            logits = [each.float() for each in self.net.together(inputs, subnets, self.normalize, self.stem)]
        learnt = [targets] * len(subnets)
        if self.stage.in_place:
            learnt[1:] = [torch.sigmoid(logits[0].detach())] * (len(subnets) - 1)
        each_loss = functional.binary_cross_entropy_with_logits
        losses = torch.stack([each_loss(own, told) * weight for own, told in zip(logits, learnt, strict=True)])
        losses.sum().backward()
        return losses.detach().cpu()


def sampled(recipe: Recipe, name: str, step: int) -> list[Subnet]:
    """The subnets that learn in one step of a stage whose subnets are sampled."""
    space, stage = recipe.search_space(), recipe.stage(name)
    draw = random.Random(f"{recipe.seed} {name} {step}")
    always = [space.largest, space.smallest] if stage.sandwich else []
    return always + [space.sample(draw) for _ in range(stage.subnets_per_step - len(always))]


def compiled_stem(net: Supernet) -> Stem:
    """The first block through torch.compile, which the network itself does not notice.

    Raises, when it is first called:
        UserError: it does not compile here.
    """
    compiled = torch.compile(net.stem, dynamic=False)

    def stem(log_mel: Tensor, normalize: Normalizer) -> Tensor:
        try:
            return compiled(log_mel, normalize)
        except BackendCompilerFailed as error:
            found = f"torch.compile does not work here ({str(error).splitlines()[0]})"
            raise UserError(f"{found}. Install a C++ compiler, or set compiled = false in the recipe.") from None

    return stem


def mixup(inputs: Tensor, targets: Tensor, rng: np.random.Generator, alpha: float) -> tuple[Tensor, Tensor]:
    """Each crop [B, 1, T, F] and its targets [B, L] blended with the one before it. Source: Zhang et al. (2018)."""
    share = torch.from_numpy(rng.beta(alpha, alpha, len(inputs)).astype(np.float32)).to(inputs.device)
    wide = share[:, None, None, None]
    mixed = wide * inputs + (1 - wide) * inputs.roll(1, 0)
    return mixed, share[:, None] * targets + (1 - share[:, None]) * targets.roll(1, 0)


def one_cycle(step: int, steps: int) -> float:
    """Factor of the learning rate: a linear rise, then half a cosine to zero. Source: Smith and Topin (2018)."""
    warm_up = max(1, round(WARM_UP_SHARE * steps))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + float(np.cos(np.pi * (step - warm_up) / max(1, steps - warm_up))))


def finite_gradients(net: nn.Module) -> bool:
    """Whether no gradient is infinite or no number: one that is makes its weight so, and the next checkpoint too."""
    gradients = [parameter.grad for parameter in net.parameters() if parameter.grad is not None]
    return math.isfinite(float(nn.utils.get_total_norm(gradients, math.inf)))


def _not_finite(name: str, step: int, subnets: list[Subnet], losses: Tensor, batch: Batch) -> str:
    wrong = [subnet for subnet, loss in zip(subnets, losses, strict=True) if not math.isfinite(loss)]
    broken = [row for row, crop in enumerate(batch.masked) if not np.isfinite(crop).all()]
    clips = [" + ".join(batch.parts[row]) for row in broken or range(len(batch.parts))]
    more = f" and {len(clips) - NAMED_CROPS} more" if len(clips) > NAMED_CROPS else ""
    return (
        f"the {'loss' if wrong else 'gradient'} is not a number at step {step} of stage {name}, "
        f"subnet {' and '.join(map(str, wrong or subnets))}, clips {'; '.join(clips[:NAMED_CROPS])}{more}. "
        "The last checkpoint is kept. Look at these clips, or lower learning_rate and train into another --out."
    )
