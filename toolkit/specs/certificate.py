"""`Certificate`: what `verify` measured of a bundle. Nothing counts as passed that was not measured.

Proved by tests/verify/test_verify.py.
"""

from __future__ import annotations

from pydantic import Field

from toolkit.specs.record import Part, Record

NOT_COMPUTED = "mAP was not computed: no labelled audio was given (--data DIR)."


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


class FileCertificate(Part):
    """One file against PyTorch on the golden samples, and on labelled audio where there was some."""

    name: str
    sha256: str
    size_bytes: int
    max_error: float
    mean_error: float
    labelled: LabelledScore | None
    faults: tuple[str, ...]
    """Bars that were missed; none when the file passed."""


class Certificate(Record):
    """All files of one bundle on one machine."""

    subnet: str
    run_hash: str
    runtime: str
    machine: str
    audio: str
    """What the errors were measured on."""
    files: tuple[FileCertificate, ...]
    note: str = ""

    @property
    def passed(self) -> bool:
        """True when no file missed a bar."""
        return not any(file.faults for file in self.files)
