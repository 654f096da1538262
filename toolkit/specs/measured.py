"""`Measured`: a picked subnet that ran whole on its device, and what the table had said of it.

Raw timings, not only their sum: what is compared, and how, is found again from them. Not the measuring.
Proved by tests/specs/test_measured.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from toolkit.specs.cost import Kind, Measurement
from toolkit.specs.pick import Pick
from toolkit.specs.record import Part, Record
from toolkit.specs.shipped import OUT

TOLERANCE = 0.1
"""A prediction passes that is off by no more than this share of what was measured."""


class Comparison(Part):
    """One figure as it was predicted and as it was measured, in one unit."""

    predicted: float = Field(ge=0)
    kind: Kind
    """How the prediction is known."""
    measured: float = Field(gt=0)
    error: float
    """Of the prediction, as a share of what was measured: 0.1 is 10 % too much."""
    passed: bool

    @classmethod
    def of(cls, predicted: float, kind: Kind, measured: float) -> Self:
        """The two numbers, and whether they are within `TOLERANCE` of each other."""
        error = predicted / measured - 1
        return cls(predicted=predicted, kind=kind, measured=measured, error=error, passed=abs(error) <= TOLERANCE)

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if abs(self.predicted / self.measured - 1 - self.error) > 1e-9 or self.passed != (abs(self.error) <= TOLERANCE):
            raise ValueError(f"error {self.error} and passed {self.passed} are not those of the two figures")
        return self


class Suspect(Part):
    """A row behind a prediction that failed, and why it is in doubt."""

    layer: str
    """Its name."""
    kind: Kind
    share: float = Field(ge=0)
    """Of the subnet's predicted latency."""
    variation: float | None
    """Coefficient of variation of its timings; None where it was not measured."""
    measured_utc: str | None
    """When; None where it was not measured."""


class Measured(Record):
    """Predicted against measured, of one Pick on one target."""

    pick: Pick
    """Names the Run, the table, the subnet and all that was predicted."""
    target: str
    """As people type it."""
    agent: str
    """The program that ran the file there: PythonAgent, NativeAgent, ..."""
    file_sha256: str
    """Of the model file that ran."""
    measurement: Measurement
    """Raw timings of whole inferences, and where they were taken."""
    base_bytes: int = Field(gt=0)
    """Peak of the process with its runtime loaded and no model."""
    peak_bytes: int | None
    """Peak of a process that ran the file once; None where the agent does not tell."""
    latency_ms: Comparison
    """Of medians, inference after inference."""
    memory_mb: Comparison | None
    """Of a whole process, the runtime's own memory as it was measured here on both sides; None where there is nothing
    to compare, for which `memory_note` gives the reason.
    """
    memory_note: str = ""
    suspects: tuple[Suspect, ...] = ()
    """Rows to measure again, the worst first; of a prediction that failed."""
    remarks: tuple[str, ...] = ()
    """What makes the measurement doubtful, for people."""
    refinements: int = Field(0, ge=0)
    """How often the table was refined on the way here."""
    passed: bool
    created_utc: str

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.passed != all(each.passed for each in self.comparisons):
            raise ValueError(f"passed {self.passed} is not what the comparisons say")
        return self

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """Those that there are."""
        return tuple(each for each in (self.latency_ms, self.memory_mb) if each is not None)

    @property
    def network_mb(self) -> tuple[float, float] | None:
        """Predicted and measured memory without the runtime's own; None where memory is not compared."""
        if self.memory_mb is None:
            return None
        base_mb = self.base_bytes / 1e6
        return self.memory_mb.predicted - base_mb, self.memory_mb.measured - base_mb


def measured_path(pick: Pick, out: Path = OUT) -> Path:
    """Where the record of a pick lies below `out`; measured again, it takes the same place."""
    return out / "measured" / f"{pick.device}-{pick.runtime}-{pick.precision}-{pick.mode}-{pick.subnet}.json"
