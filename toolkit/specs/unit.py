"""`UnitResult`: what one unit of `toolkit.reproduce` (a stage with a seed) leaves behind; `DataFacts`: what it heard.

Not how it is made: that is `toolkit.reproduce.units`. Proved by tests/reproduce/test_units.py.
"""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from toolkit.specs.record import Part, Record

RESAMPLE_SCALE = 10_000


class TestScore(Part):
    """mAP on the test mixtures, with its 95 % bootstrap interval over source recordings."""

    __test__ = False

    mean_average_precision: float = Field(ge=0, le=1)
    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)
    resamples: str
    """mAP of each resample in ten-thousandths, between spaces. All units share the resamples' weights, so the interval
    of a difference comes from the differences."""

    def resampled(self) -> tuple[float, ...]:
        """mAP of each resample."""
        return tuple(int(text) / RESAMPLE_SCALE for text in self.resamples.split())


class Evaluation(Part):
    """One subnet: subnets are picked by validation and reported on test."""

    subnet: str
    params: int = Field(ge=1)
    validation_mean_average_precision: float = Field(ge=0, le=1)
    test: TestScore | None = None


class UnitResult(Record):
    """One unit that is done. Digests tell units apart that cannot stand in one table."""

    unit: str
    stage: str
    seed: int
    space: str
    recipe: str
    recipe_digest: str
    data_digest: str
    steps: int = Field(ge=1)
    clip_steps: int = Field(ge=1)
    """Crops that went through the loop in this unit, not counting the stages it starts from."""
    training_seconds: float = Field(ge=0)
    evaluation_seconds: float = Field(ge=0)
    machine: str
    toolkit_version: str
    evaluations: tuple[Evaluation, ...] = Field(min_length=1)
    candidates: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """For a supernet: the subnets within each budget."""
    picks: dict[str, str] = Field(default_factory=dict)
    """For a supernet: the best of each budget on validation."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        known = {evaluation.subnet for evaluation in self.evaluations}
        named = {*self.picks.values(), *(subnet for each in self.candidates.values() for subnet in each)}
        if unknown := sorted(named - known):
            raise ValueError(f"no evaluation of {', '.join(unknown):.200}")
        return self

    def of(self, subnet: str) -> Evaluation:
        """The evaluation of a subnet.

        Raises:
            KeyError: there is none.
        """
        return {evaluation.subnet: evaluation for evaluation in self.evaluations}[subnet]


class LabelFacts(Part):
    """How much there is of a label; test groups are source recordings."""

    train_clips: int
    validation_clips: int
    test_clips: int
    test_groups: int
    validation_mixtures: int
    test_mixtures: int


class DataFacts(Record):
    """The recordings and mixtures behind all units of a report."""

    data_digest: str
    """Over recordings, splits and mixtures."""
    data_hash: str
    summary: str
    total: LabelFacts
    """Of all recordings and mixtures, each counted once."""
    labels: dict[str, LabelFacts]
    background: LabelFacts
    """Of the recordings without a label, and of the mixtures over one."""
