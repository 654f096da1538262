"""`Evaluator`: the validation mAP of subnets of a Run, recalibrated on its training crops; what is known stays known.

    unknown subnets, sorted -> statistics (subnets shared out) -> scores (clips shared out) -> mAP -> RUN/evaluations

Statistics and scores are on disk within a minute, figures once they are known. Several processes give what one gives.
Not the search, which asks. Proved by tests/evaluate/test_evaluator.py.
"""

from __future__ import annotations

import copy
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path

import numpy as np
from lightning_fabric import Fabric
from torch import Tensor

from toolkit.audio.dataset import Dataset
from toolkit.evaluate.complete import complete
from toolkit.evaluate.material import chosen, gather_for
from toolkit.evaluate.processes import of_all, of_first
from toolkit.evaluate.shares import next_shares, walk_cost
from toolkit.evaluate.unfinished import Scores, Unfinished
from toolkit.specs.errors import UserError
from toolkit.specs.evaluation import EVALUATIONS, Evaluation, EvaluationCache, EvaluationHead
from toolkit.specs.run import WEIGHTS, Run, SubnetResult
from toolkit.specs.space import Subnet
from toolkit.supernet.norms import Moments, StoredNorms, recalibrate
from toolkit.supernet.supernet import steps
from toolkit.supernet.weights import load_weights
from toolkit.train.batches import Batches
from toolkit.train.evaluate import EVALUATION_BATCH, score_all
from toolkit.train.examples import Example, Progress
from toolkit.train.metrics import mean_average_precision
from toolkit.train.train import calibration_frames

GROUP_SUBNETS = 256
"""So many are scored together at most; their scores are in memory."""
SHARE_S, FIRST_MACS_PER_S = 40.0, 5e9
"""How long statistics may take before they are put on disk, and the speed that is reckoned with before one is known."""


def quiet(_what: str, _done: int, _of: int) -> None:
    """Progress that nobody is told of."""


class Evaluator:
    """Evaluates subnets of one Run on one set of validation clips.

    Args:
        run: whose folder keeps the figures.
        dataset: labelled recordings with all labels of the Run.
        clips: score on so many validation clips, a fixed choice; on all of them if not given.
        fabric: the processors to run on, launched; one CPU if not given.
        on_progress: told what is done.

    Raises:
        UserError: the data lack labels or validation clips, or the Run's statistics are of other data.
        MismatchError: files of the Run do not belong together.
    """

    def __init__(
        self,
        run: Run,
        dataset: Dataset,
        clips: int | None = None,
        fabric: Fabric | None = None,
        on_progress: Progress = quiet,
    ) -> None:
        self.run = run
        self._fabric = fabric or Fabric(accelerator="cpu", devices=1)
        self._tell = on_progress if self._fabric.is_global_zero else quiet
        self.examples = gather_for(run, dataset, self._tell)
        self.net = load_weights(run)[0].to(self._fabric.device)
        self._macs_per_s = FIRST_MACS_PER_S
        self._files: Unfinished
        self.hear(clips)

    def on(self, clips: int | None) -> Evaluator:
        """The same on other validation clips; recordings and weights are not read again."""
        other = copy.copy(self)
        other.hear(clips)
        return other

    def hear(self, clips: int | None) -> None:
        """Score on so many validation clips from now on, on all if no number is given."""
        self.heard = chosen(self.examples, clips, self.run.manifest.recipe.seed)
        """The validation examples that subnets are scored on."""
        self._targets = self.examples.targets(self.heard)
        rows = [[example.name, *example.labels] for example in self.heard]
        head = EvaluationHead(
            weights=self.run.manifest.sha256[WEIGHTS],
            data_hash=self.examples.data_hash,
            validation=hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16],
            clips=len(self.heard),
        )
        self._cache = EvaluationCache(self.run.folder, head)
        self._known = of_first(self._fabric, self._cache.load)

    @property
    def key(self) -> str:
        """Names the cache: 16 hexadecimal digits over weights, data and the very clips that subnets are scored on."""
        return self._cache.head.key

    @property
    def path(self) -> Path:
        """The file that keeps the figures."""
        return self._cache.path

    @property
    def known(self) -> dict[str, float]:
        """mAP by subnet id of all subnets that were ever evaluated so, in whichever call and process."""
        return {name: one.mean_average_precision for name, one in self._known.items()}

    @cached_property
    def frames(self) -> Tensor:
        """The crops [B, 1, T, F] that the Run's own statistics are computed on."""
        return calibration_frames(Batches(self.examples, self.run.manifest.recipe))

    def __call__(self, subnets: Sequence[Subnet]) -> dict[Subnet, float]:
        """mAP of each subnet: from the Run where it is known, otherwise computed, and put there.

        Raises:
            UserError: a subnet is not in the Run's space, a score is no number, or the Run's folder cannot be written.
        """
        space = self.run.manifest.space
        for subnet in subnets:
            space.parse(subnet.id)
        if any(subnet.id not in self._known for subnet in subnets):
            with ExitStack() as held:
                of_first(self._fabric, self._take_files, held)
                self._known = of_first(self._fabric, self._cache.load)  # others may have been at it
                new = {subnet for subnet in subnets if subnet.id not in self._known}
                pending = sorted(new, key=lambda subnet: subnet.blocks)
                for start in range(0, len(pending), GROUP_SUBNETS):
                    self._evaluate(pending[start : start + GROUP_SUBNETS])
        return {subnet: self._known[subnet.id].mean_average_precision for subnet in subnets}

    def complete(self, subnets: Sequence[Subnet]) -> dict[Subnet, SubnetResult]:
        """What the Run keeps of each subnet; of those it knows nothing of yet, as `toolkit.evaluate.complete` says.

        Raises:
            MismatchError: the data are not those of the training.
            UserError: a subnet is not in the Run's space, or the Run's folder cannot be written.
        """
        for subnet in subnets:
            self.run.manifest.space.parse(subnet.id)
        of_first(self._fabric, complete, self.run, self.examples, lambda: self.frames, subnets, self._tell)
        self.run = of_first(self._fabric, Run.open, self.run.folder)
        return {subnet: self.run.result(subnet) for subnet in subnets}

    def _take_files(self, held: ExitStack) -> None:
        """In the first process, which alone reads and writes them."""
        self._files = held.enter_context(Unfinished.open(self.run.folder / EVALUATIONS, self.key))

    def _evaluate(self, group: Sequence[Subnet]) -> None:
        """Evaluate sorted subnets together and put the figures into the Run."""
        began = time.monotonic()
        scores = self._scores(group, self._recalibrated(group))
        self._known = of_first(self._fabric, lambda: self._cache.append(self._judged(group, scores, began)))

    def _recalibrated(self, group: Sequence[Subnet]) -> StoredNorms:
        """Statistics of sorted subnets; each process computes a share of those that are not on disk."""
        space, positions = self.run.manifest.space, self.frames.numel()
        moments: dict[str, Moments] = of_first(self._fabric, self._load_norms)
        while missing := [one for one in group if not has_all(moments, one)]:
            limit = SHARE_S * self._macs_per_s / positions
            shares = next_shares(space, missing, limit, self._fabric.world_size)
            told = of_all(self._fabric, self._recalibrate, next(iter(shares[self._fabric.global_rank :]), ()))
            for found, _ in told:
                moments |= found
            costs = [walk_cost(space, share) * positions for share in shares]
            self._macs_per_s = min(cost / max(spent, 1e-6) for cost, (_, spent) in zip(costs, told, strict=False))
            of_first(self._fabric, self._save_norms, moments)
            self._tell("batch norms", sum(has_all(moments, one) for one in group), len(group))
        device = self._fabric.device
        return StoredNorms({path: (mean.to(device), var.to(device)) for path, (mean, var) in moments.items()})

    def _load_norms(self) -> dict[str, Moments]:
        return self._files.norms()

    def _save_norms(self, moments: dict[str, Moments]) -> None:
        self._files.save_norms(moments)

    def _recalibrate(self, share: Sequence[Subnet]) -> tuple[dict[str, Moments], float]:
        """Statistics of some subnets, and the seconds they took."""
        began = time.monotonic()
        moments = recalibrate(self.net, self.frames, share).moments if share else {}
        on_host = {path: (mean.cpu(), variance.cpu()) for path, (mean, variance) in moments.items()}
        return on_host, time.monotonic() - began

    def _scores(self, group: Sequence[Subnet], norms: StoredNorms) -> Scores:
        """Scores [N, S, L] of sorted subnets; each process hears clips of its own."""
        labels, rank = len(self.run.manifest.labels), self._fabric.global_rank
        parts = [of_first(self._fabric, lambda: self._files.scores(group, labels))]
        done, total = len(parts[0]), len(self.heard)
        while done < total:
            mine = self.heard[done + rank * EVALUATION_BATCH :][:EVALUATION_BATCH]
            parts.append(np.concatenate(of_all(self._fabric, self._score, group, norms, mine)))
            of_first(self._fabric, self._add_scores, parts[-1])
            done += len(parts[-1])
            self._tell("scoring clips", done, total)
        return np.concatenate(parts)

    def _add_scores(self, scores: Scores) -> None:
        self._files.add_scores(scores)

    def _score(self, group: Sequence[Subnet], norms: StoredNorms, examples: Sequence[Example]) -> Scores:
        """Scores [N, S, L]."""
        if not examples:
            return np.empty((0, len(group), len(self.run.manifest.labels)), np.float32)
        scores = score_all(self.net, norms, group, examples, lambda _done, _of: None)
        return np.stack([scores[subnet.id] for subnet in group], axis=1)

    def _judged(self, group: Sequence[Subnet], scores: Scores, began: float) -> list[Evaluation]:
        if lost := [
            subnet.id for subnet, own in zip(group, scores.swapaxes(0, 1), strict=True) if not np.isfinite(own).all()
        ]:
            raise UserError(
                f"the scores of {len(lost)} subnets, {lost[0]} among them, are no numbers. The weights of Run "
                f"{self.run.manifest.name} are damaged or its training diverged: copy it anew or train it again."
            )
        means = [mean_average_precision(scores[:, place], self._targets) for place in range(len(group))]
        seconds = round((time.monotonic() - began) / len(group), 3)
        return [
            Evaluation(subnet=subnet.id, mean_average_precision=round(mean, 6), clips=len(self.heard), seconds=seconds)
            for subnet, mean in zip(group, means, strict=True)
        ]


def has_all(moments: Mapping[str, Moments], subnet: Subnet) -> bool:
    """Whether there are statistics for the whole of a subnet."""
    return all(step.path in moments for step in steps(subnet))
