"""`Certificate`: what `verify` measured of a bundle. Nothing counts as passed that was not measured.

Proved by tests/verify/test_verify.py.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from toolkit.specs.layer import Mode
from toolkit.specs.record import Part, Record

NOT_COMPUTED = "mAP was not computed: no labelled audio was given (--data DIR)."
KEPT = "mAP is as an earlier verify computed it, for files that are the same since (--data DIR computes it anew)."


class LabelledScore(Part):
    """mAP of a file and of PyTorch on the same labelled audio."""

    data_hash: str
    split: str
    clips: int = Field(ge=1)
    labels: int = Field(ge=1)
    """Labels that both the bundle and the data know and that have a positive."""
    pytorch: float = Field(ge=0, le=1)
    file: float = Field(ge=0, le=1)

    @property
    def loss_points(self) -> float:
        """What the file loses against PyTorch, in points of mAP (hundredths)."""
        return 100 * (self.pytorch - self.file)


class EventScore(Part):
    """How well the bundle's decisions tell events, means over the calibrated labels."""

    f1: float | None
    false_alarms_per_hour: float | None
    """For each label."""


class Listening(Part):
    """Decisions of a file's scores, and of PyTorch's, on the same long scene of labelled clips."""

    hours: float
    events: int
    pytorch: EventScore
    file: EventScore


class FileCertificate(Part):
    """One file against PyTorch on the golden samples, and on labelled audio where there was some."""

    name: str
    mode: Mode
    sha256: str
    size_bytes: int
    runtime: str = ""
    """What ran it, name and version; empty where nothing did."""
    not_run: str = ""
    """What this machine lacks to run it, as in `not run: needs macOS`; such a file has passed nothing."""
    max_error: float | None = None
    mean_error: float | None = None
    peak_bytes: int | None = None
    """Memory that loading it and scoring 10 s took; None where the system does not tell."""
    delegated_parts: int | None = None
    """Parts of the graph that XNNPACK runs; None for runtimes without it."""
    fall_backs: dict[str, int] = Field(default_factory=dict)
    """Operators outside these parts, and how often."""
    labelled: LabelledScore | None = None
    listening: Listening | None = None
    """With a decision after each hop, whatever the mode."""
    faults: tuple[str, ...] = ()
    """Bars that were missed; none when the file passed."""

    @property
    def verdict(self) -> str:
        """One word, or what it lacks."""
        if self.faults:
            return "MISSED"
        return f"not run: {self.not_run}" if self.not_run else "passed"


class Certificate(Record):
    """All files of one bundle on one machine."""

    SCHEMA: ClassVar[int] = 2

    schema_version: int = 2
    subnet: str
    run_hash: str
    machine: str
    audio: str
    """What the errors were measured on."""
    files: tuple[FileCertificate, ...]
    note: str = ""

    @property
    def passed(self) -> bool:
        """True when a file ran and none missed a bar; files that were not run have neither passed nor missed."""
        return not self.nothing_ran and not any(file.faults for file in self.files)

    @property
    def nothing_ran(self) -> bool:
        """True when this machine ran no file, so that nothing was compared."""
        return all(file.not_run for file in self.files)

    @property
    def window_points(self) -> float | None:
        """Points of mAP by which a 10 s window alone, as `clip` hears it, is better than the stream, in PyTorch.

        They differ because zeros stand at the window's borders; None where not both were judged.
        """
        judged = {file.mode: file.labelled.pytorch for file in self.files if file.labelled}
        return 100 * (judged["clip"] - judged["stream"]) if {"clip", "stream"} <= judged.keys() else None
