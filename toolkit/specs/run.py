"""`Run`: the folder of one training, as far as it is text. Weights are loaded by `toolkit.supernet.weights`.

    run.json              this record: labels, space, front end, recipe, data hash, decisions, metrics
    subnets.jsonl         a line for each subnet: its evaluation, thresholds and activation ranges
    weights.safetensors   the supernet, float16
    norms.safetensors     batch-norm statistics of every subnet, float32
    imprints.safetensors  what the hidden layer makes of each label, for labels that are added later (optional)
    MODEL_CARD.md, CREDITS.csv

A search adds (all optional, and no part of the Run's hash):

    evaluations/                   what subnets score, see `toolkit.specs.evaluation`
    searched.jsonl                 as subnets.jsonl, behind a line that names the weights
    searched-norms.safetensors     as norms.safetensors

Proved by tests/specs/test_run.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from toolkit.specs.errors import UserError
from toolkit.specs.files import sha256, write_text
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.recipe import Recipe
from toolkit.specs.record import Part, Record, read_text
from toolkit.specs.shipped import DEFAULT_RUN
from toolkit.specs.space import SearchSpace, Subnet


def _line(label: str) -> str:
    if not label.strip() or {"\n", "\r"} & set(label):
        raise ValueError("a label must be a line of text")
    return label


Label = Annotated[str, AfterValidator(_line)]
"""A line of a bundle's labels, where lines end with a line feed and with nothing else."""
Range = tuple[float, float]
WEIGHTS, NORMS, SUBNETS, MANIFEST = "weights.safetensors", "norms.safetensors", "subnets.jsonl", "run.json"
CARD, CREDITS, IMPRINTS = "MODEL_CARD.md", "CREDITS.csv", "imprints.safetensors"
SEARCHED, SEARCHED_NORMS = "searched.jsonl", "searched-norms.safetensors"


class LabelDecision(Part):
    """When scores count as an event, and what that rests on. The decoder that obeys it is `toolkit.events`.

    The figures are those of the largest subnet, on validation streams that its thresholds were not fitted on.
    """

    label: str
    threshold: float = Field(gt=0, le=1)
    """Score at which an event begins."""
    off_threshold: float = Field(ge=0, le=1)
    """Score below which it may end."""
    smoothing_decisions: int = Field(ge=1)
    """The score that is compared is the median of so many decisions around it, an odd number."""
    calibrated: bool
    """False where validation held too little to fit on: thresholds are the default ones."""
    train_clips: int = Field(ge=0)
    validation_clips: int = Field(ge=0)
    average_precision: float | None = Field(ge=0, le=1)
    """On validation clips; none where they hold no positive."""
    event_f1: float | None = Field(ge=0, le=1)
    """None where there is no event to measure it on."""
    false_alarms_per_hour: float | None = Field(ge=0)

    @model_validator(mode="after")
    def _sane(self) -> Self:
        if self.off_threshold > self.threshold:
            raise ValueError(f"off_threshold {self.off_threshold} lies above threshold {self.threshold}")
        if self.smoothing_decisions % 2 == 0:
            raise ValueError(f"smoothing_decisions must be odd, found {self.smoothing_decisions}")
        return self

    def at(self, threshold: float) -> Self:
        """The same decision with another threshold; the off threshold keeps its ratio to it."""
        ratio = round(self.off_threshold / self.threshold, 2)
        return self.model_copy(update={"threshold": threshold, "off_threshold": off_threshold(threshold, ratio)})


class SubnetResult(Part):
    """What is known of one trained subnet."""

    subnet: str
    mean_average_precision: float = Field(ge=0, le=1)
    ranges: dict[str, Range]
    """Least and greatest activation at each tap of the static network, for int8 without data."""
    thresholds: tuple[Annotated[float, Field(gt=0, le=1)], ...]
    """Of each label, in the order of the Run's labels."""
    event_f1: float | None = Field(ge=0, le=1)
    """Mean over the calibrated labels, as their `LabelDecision` defines it; none where there are none."""
    false_alarms_per_hour: float | None = Field(ge=0)


def off_threshold(threshold: float, ratio: float) -> float:
    """The score below which an event may end, as it is written: four decimals."""
    return round(threshold * ratio, 4)


class RunManifest(Record):
    """Everything about a Run that is text."""

    name: str
    space: SearchSpace
    front_end: FrontEndSpec
    labels: tuple[Label, ...] = Field(min_length=1)
    decisions: tuple[LabelDecision, ...]
    recipe: Recipe
    data_hash: str
    data_summary: str
    seconds: float = Field(ge=0)
    machine: str
    toolkit_version: str
    sha256: dict[str, str]
    """Of the weights, norms and imprints files."""
    parent: str | None = None
    """Name and hash of the Run whose body this one took over."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if tuple(decision.label for decision in self.decisions) != self.labels:
            raise ValueError("decisions and labels differ")
        return self


class SearchedHead(Record):
    """First line of the subnets that were searched later."""

    weights: str
    """SHA-256 of the weights; lines of other weights, of a training before, count as none."""


class Run:
    """A Run folder opened for reading.

    Args:
        folder: where it lies.
        manifest: its text.
        results: of each subnet by id, those that were searched later last.
        searched: which these are.
    """

    def __init__(
        self,
        folder: Path,
        manifest: RunManifest,
        results: dict[str, SubnetResult],
        searched: frozenset[str] = frozenset(),
    ) -> None:
        self.folder, self.manifest, self.results, self.searched = folder, manifest, results, searched

    @classmethod
    def open(cls, folder: Path | None = None) -> Run:
        """Open a Run; the committed default Run when no folder is given.

        Raises:
            UserError: no Run there, or a file of it is broken or missing.
        """
        folder = folder or DEFAULT_RUN
        if not (folder / MANIFEST).is_file():
            raise UserError(f"{folder} holds no Run ({MANIFEST} is missing). Train one: python -m toolkit.train")
        manifest = RunManifest.load(folder / MANIFEST)
        for name in (WEIGHTS, NORMS, *manifest.sha256):
            if not (folder / name).is_file():
                raise UserError(f"{folder / name} is missing: the Run is not whole. Train it again or copy it anew.")
        trained = _read_results(folder / SUBNETS, read_text(folder / SUBNETS).splitlines(), manifest)
        searched = _read_searched(folder, manifest)
        later = {name: result for name, result in searched.items() if name not in trained}
        return cls(folder, manifest, trained | later, frozenset(later))

    @property
    def hash(self) -> str:
        """16 hexadecimal digits over manifest and results: what a Pick names."""
        return sha256(self.folder / MANIFEST)[:8] + sha256(self.folder / SUBNETS)[:8]

    def result(self, subnet: Subnet) -> SubnetResult:
        """Evaluation and ranges of a subnet; raises UserError when it was never evaluated."""
        if subnet.id not in self.results:
            name, count = self.manifest.name, len(self.results)
            raise UserError(
                f"Run {name} holds no evaluation of subnet {subnet}, only of {count} others. Train it again."
            )
        return self.results[subnet.id]

    def decisions(self, subnet: Subnet) -> tuple[LabelDecision, ...]:
        """For each label the decision at the subnet's own threshold; raises as `result` does."""
        thresholds = self.result(subnet).thresholds
        return tuple(
            decision.at(threshold) for decision, threshold in zip(self.manifest.decisions, thresholds, strict=True)
        )

    def check_weights(self) -> None:
        """Raise UserError when weights or norms are not the bytes that the manifest names."""
        for name, expected in self.manifest.sha256.items():
            if (found := sha256(self.folder / name)) != expected:
                raise UserError(
                    f"{self.folder / name} is damaged: sha256 {found[:12]}..., not {expected[:12]}.... Copy it anew."
                )


def _read_results(path: Path, lines: Sequence[str], manifest: RunManifest, first: int = 1) -> dict[str, SubnetResult]:
    """Results by subnet id, each with a threshold for each label."""
    results = {}
    for number, line in enumerate(lines, start=first):
        result = SubnetResult.from_text(line, origin=f"{path} line {number}")
        if (found := len(result.thresholds)) != (expected := len(manifest.labels)):
            raise UserError(
                f"{path} line {number} has {found} thresholds for {expected} labels. "
                "Train the Run again or copy it anew."
            )
        results[result.subnet] = result
    return results


def _read_searched(folder: Path, manifest: RunManifest) -> dict[str, SubnetResult]:
    """Results of the subnets that were searched later, if any were, of these weights."""
    path = folder / SEARCHED
    if not path.is_file():
        return {}
    head, *lines = read_text(path).splitlines() or [""]
    if SearchedHead.from_text(head, origin=f"{path} line 1").weights != manifest.sha256[WEIGHTS]:
        return {}
    if not (folder / SEARCHED_NORMS).is_file():
        raise UserError(f"{folder / SEARCHED_NORMS} is missing, which belongs to {SEARCHED}. Copy the Run anew.")
    return _read_results(path, lines, manifest, first=2)


def write_searched(run: Run, results: Iterable[SubnetResult]) -> None:
    """Write the lines of the subnets that were searched later; their norms must stand there already."""
    head = SearchedHead(weights=run.manifest.sha256[WEIGHTS])
    write_text(run.folder / SEARCHED, head.model_dump_json() + "\n" + _lines(results))


def write_results(path: Path, results: Iterable[SubnetResult]) -> None:
    """One JSON line for each subnet."""
    write_text(path, _lines(results))


def _lines(results: Iterable[SubnetResult]) -> str:
    return "".join(json.dumps(result.model_dump(mode="json")) + "\n" for result in results)
