"""`Run`: the folder of one training, as far as it is text. Weights are loaded by `toolkit.supernet.weights`.

    run.json              this record: labels, space, front end, recipe, data hash, decisions, metrics
    subnets.jsonl         a line for each subnet: its evaluation and activation ranges
    weights.safetensors   the supernet, float16
    norms.safetensors     batch-norm statistics of every subnet, float32
    MODEL_CARD.md, CREDITS.csv

Proved by tests/specs/test_run.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from pydantic import Field

from toolkit.specs.errors import UserError
from toolkit.specs.files import sha256, write_text
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.recipe import Recipe
from toolkit.specs.record import Part, Record, read_text
from toolkit.specs.shipped import DEFAULT_RUN
from toolkit.specs.space import SearchSpace, Subnet

Range = tuple[float, float]
WEIGHTS, NORMS, SUBNETS, MANIFEST = "weights.safetensors", "norms.safetensors", "subnets.jsonl", "run.json"
CARD, CREDITS = "MODEL_CARD.md", "CREDITS.csv"


class LabelDecision(Part):
    """When a score counts as an event, and what that rests on."""

    label: str
    threshold: float = Field(ge=0, le=1)
    train_clips: int = Field(ge=0)
    validation_clips: int = Field(ge=0)
    average_precision: float | None = Field(ge=0, le=1)
    """Of the largest subnet on validation; none where validation holds no positive."""


class SubnetResult(Part):
    """What is known of one trained subnet."""

    subnet: str
    mean_average_precision: float = Field(ge=0, le=1)
    ranges: dict[str, Range]
    """Least and greatest activation at each tap of the static network, for int8 without data."""


class RunManifest(Record):
    """Everything about a Run that is text."""

    name: str
    space: SearchSpace
    front_end: FrontEndSpec
    labels: tuple[str, ...] = Field(min_length=1)
    decisions: tuple[LabelDecision, ...]
    recipe: Recipe
    data_hash: str
    data_summary: str
    seconds: float = Field(ge=0)
    machine: str
    toolkit_version: str
    sha256: dict[str, str]
    """Of the weights and norms files."""


class Run:
    """A Run folder opened for reading."""

    def __init__(self, folder: Path, manifest: RunManifest, results: dict[str, SubnetResult]) -> None:
        self.folder, self.manifest, self.results = folder, manifest, results

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
        for name in (WEIGHTS, NORMS):
            if not (folder / name).is_file():
                raise UserError(f"{folder / name} is missing: the Run is not whole. Train it again or copy it anew.")
        lines = read_text(folder / SUBNETS).splitlines()
        results = [
            SubnetResult.from_text(line, origin=f"{folder / SUBNETS} line {number}")
            for number, line in enumerate(lines, start=1)
        ]
        return cls(folder, manifest, {result.subnet: result for result in results})

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

    def check_weights(self) -> None:
        """Raise UserError when weights or norms are not the bytes that the manifest names."""
        for name, expected in self.manifest.sha256.items():
            if (found := sha256(self.folder / name)) != expected:
                raise UserError(
                    f"{self.folder / name} is damaged: sha256 {found[:12]}..., not {expected[:12]}.... Copy it anew."
                )


def write_results(path: Path, results: Iterable[SubnetResult]) -> None:
    """One JSON line for each subnet."""
    write_text(path, "".join(json.dumps(result.model_dump(mode="json")) + "\n" for result in results))
