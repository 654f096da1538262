"""Units are made here: trained from what they need, evaluated on the mixtures, left as one small JSON each.

Each may be stopped at any moment: training goes on from its checkpoint, and the result is written last, whole.
Proved by tests/reproduce/test_units.py.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric

import toolkit
from toolkit.audio.dataset import Dataset
from toolkit.progress import Progress
from toolkit.reproduce.bootstrap import INTERVAL_PERCENT, resampled_mean_average_precisions
from toolkit.reproduce.material import Material, MixtureSet, gather_material
from toolkit.reproduce.plan import SIZES, Unit, plan_units, size_subnet
from toolkit.reproduce.results import DATA, Results, unit_digest
from toolkit.search.paper import candidates
from toolkit.specs.errors import MismatchError, UserError
from toolkit.specs.recipe import GIVEN, SAMPLED, Recipe
from toolkit.specs.space import Subnet
from toolkit.specs.unit import RESAMPLE_SCALE, Evaluation, TestScore, UnitResult
from toolkit.supernet.norms import StoredNorms, recalibrate
from toolkit.supernet.supernet import Supernet
from toolkit.train.batches import Batches
from toolkit.train.checkpoint import save_checkpoint
from toolkit.train.evaluate import score_all
from toolkit.train.loop import Training, finished
from toolkit.train.metrics import Scores, mean_average_precision
from toolkit.train.train import calibration_frames, teacher_of
from toolkit.train.watch import Shown


@dataclass
class Workshop:
    """Where units are made.

    Args:
        units: the whole plan, for what a unit needs.
        recipe: of the reproduction.
        material: what is heard.
        results: where results go.
        work: folder of checkpoints and weights.
        progress: bars.
        fabric: the processors.
    """

    units: Sequence[Unit]
    recipe: Recipe
    material: Material
    results: Results
    work: Path
    progress: Progress
    fabric: Fabric = field(default_factory=lambda: Fabric(accelerator="cpu"))

    @classmethod
    def open(cls, recipe: Recipe, dataset: Dataset, folder: Path, progress: Progress, fabric: Fabric) -> Workshop:
        """Gather what the units hear and write `data.json`; results go to `folder/units`, weights to `folder/work`.

        Raises:
            UserError: no label has enough recordings.
        """
        material = gather_material(recipe, dataset, progress.count)
        material.facts.save(folder / DATA)
        results = Results(folder / "units", recipe)
        return cls(plan_units(recipe), recipe, material, results, folder / "work", progress, fabric)

    def make(self, unit: Unit) -> UnitResult:
        """Train, evaluate and write one unit; what it needs must be done.

        Raises:
            UserError: the subnet that it trains was not searched yet.
            MismatchError: its result or checkpoint is of another recipe or of other data.
        """
        if (done := self.results.read(unit)) is not None:
            if done.data_digest != self.material.facts.data_digest:
                path = self.results.path(unit)
                raise MismatchError(f"{path} was made with other data: go on with the same, or name another --out.")
            return done
        subnet = self._given(unit)
        net, training_seconds = self._trained(unit, subnet)
        started = time.monotonic()
        judged = self._evaluate(unit, net.to("cpu"), self._training(unit).batches, subnet)
        stage = self.recipe.stage(unit.stage)
        result = UnitResult(
            unit=unit.name,
            stage=unit.stage,
            seed=unit.seed,
            space=unit.space,
            recipe=self.recipe.name,
            recipe_digest=unit_digest(unit, self.recipe),
            data_digest=self.material.facts.data_digest,
            steps=stage.steps,
            clip_steps=stage.steps * self.recipe.batch_size,
            training_seconds=round(training_seconds, 1),
            evaluation_seconds=round(time.monotonic() - started, 1),
            machine=f"{processor()}, {torch.get_num_threads()} threads",
            toolkit_version=toolkit.__version__,
            evaluations=judged.evaluations,
            candidates=judged.candidates,
            picks=judged.picks,
        )
        result.save(self.results.path(unit))
        return result

    def _trained(self, unit: Unit, subnet: Subnet | None = None) -> tuple[Supernet, float]:
        """A unit's network and the seconds of its steps; trained first, with what it needs, if its weights are gone."""
        for name in unit.needs:
            self._lend(self._unit(name), unit)
        with Shown(self.work / unit.name, self.progress) as watch:
            training = self._training(unit)
            training.watch = watch
            training.folder.mkdir(parents=True, exist_ok=True)
            made = finished(training.folder, unit.stage).exists()
            teacher = None if made else teacher_of(training, unit.stage, self.material.examples, self.progress)
            return training.train(unit.stage, teacher, subnet)

    def _unit(self, name: str) -> Unit:
        return next(unit for unit in self.units if unit.name == name)

    def _training(self, unit: Unit) -> Training:
        own = unit.recipe(self.recipe)
        return Training(own, Batches(self.material.examples, own), self.work / unit.name, self.fabric)

    def _given(self, unit: Unit) -> Subnet | None:
        """The subnet that a unit trains by itself; one that was searched stands in its supernet's result."""
        space = unit.recipe(self.recipe).search_space()
        if unit.ratio is not None:
            return size_subnet(space, unit.ratio)
        if unit.budget is None:
            return None
        searched = self._unit(unit.needs[-1])
        result = self.results.read(searched)
        if result is None:
            raise UserError(f"unit {unit.name} needs {searched.name}, which is not done: run it first.")
        if str(unit.budget) not in result.picks:
            raise UserError(
                f"{searched.name} found no subnet of {unit.budget}M, so there is nothing for {unit.name} to train."
            )
        return space.parse(result.picks[str(unit.budget)])

    def _lend(self, source: Unit, unit: Unit) -> None:
        """Put a finished stage of another unit where this one's training looks for it.

        The largest subnet is the same network in every space, and one teacher serves all seeds.
        """
        net, seconds = self._trained(source)
        ours, stage = self._training(unit), source.stage
        belongs = {"recipe": ours.recipe.stage_digest(stage), "data": ours.batches.data_hash}
        done = {"step": self.recipe.stage(stage).steps, "seconds": seconds}
        save_checkpoint(finished(ours.folder, stage), net, None, done | belongs)

    def _evaluate(self, unit: Unit, net: Supernet, batches: Batches, subnet: Subnet | None) -> Judged:
        stage = self.recipe.stage(unit.stage)
        label_count, space = len(self.material.examples.labels), net.space
        if stage.subnet == SAMPLED:
            found = candidates(space, label_count, unit.seed, self.recipe.front_end)
            sizes = [size_subnet(self.recipe.search_space(), ratio) for ratio in SIZES]
            always = [space.largest, space.smallest, *(each for each in sizes if each in space)]
        else:
            found = {}
            always = [subnet if stage.subnet == GIVEN and subnet else space.parse(stage.subnet)]
        every = sorted({*always, *(each for some in found.values() for each in some)}, key=lambda each: each.blocks)
        norms = recalibrate(net, calibration_frames(batches), every)
        heard = self.material.validation
        scores = self._scores("validation", net, norms, every, heard)
        means = {name: mean_average_precision(each, heard.targets) for name, each in scores.items()}
        picks = {budget: max(some, key=lambda each: means[each.id]) for budget, some in found.items() if some}
        reported = sorted({*always, *picks.values()}, key=lambda each: each.blocks)
        on_test = self._scores("test", net, norms, reported, self.material.test)
        tested = {name: score_on_test(each, self.material) for name, each in on_test.items()}
        return Judged(
            tuple(
                Evaluation(
                    subnet=each.id,
                    params=space.params(each, label_count, self.recipe.front_end),
                    validation_mean_average_precision=round(means[each.id], 6),
                    test=tested.get(each.id),
                )
                for each in every
            ),
            {str(budget): tuple(each.id for each in some) for budget, some in found.items()},
            {str(budget): each.id for budget, each in picks.items()},
        )

    def _scores(
        self, what: str, net: Supernet, norms: StoredNorms, subnets: Sequence[Subnet], heard: MixtureSet
    ) -> dict[str, Scores]:
        return score_all(net, norms, subnets, heard.examples, lambda n, of: self.progress.count(what, n, of))


@dataclass(frozen=True)
class Judged:
    """The evaluation part of a result."""

    evaluations: tuple[Evaluation, ...]
    candidates: dict[str, tuple[str, ...]]
    picks: dict[str, str]


def score_on_test(scores: Scores, material: Material) -> TestScore:
    """mAP on the test mixtures of scores [N, L], with its interval."""
    resampled = resampled_mean_average_precisions(scores, material.test.targets, material.weights)
    low, high = np.percentile(resampled, INTERVAL_PERCENT)
    return TestScore(
        mean_average_precision=round(mean_average_precision(scores, material.test.targets), 6),
        low=round(float(low), 6),
        high=round(float(high), 6),
        resamples=" ".join(str(round(float(value) * RESAMPLE_SCALE)) for value in resampled),
    )


def processor() -> str:
    """What this machine's processor calls itself."""
    described = Path("/proc/cpuinfo")
    lines = described.read_text(encoding="utf-8").splitlines() if described.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
