"""`EvaluationCache`: what is known of subnets of a Run on one set of validation clips, each line on disk at once.

    RUN/evaluations/KEY.jsonl
    {"schema_version": 1, "weights": ..., "data_hash": ..., "validation": ..., "clips": ...}
    {"subnet": ..., "mean_average_precision": ..., "clips": ..., "seconds": ...}        a line a subnet

A last line that was cut off is dropped, and that subnet evaluated again. Proved by tests/specs/test_evaluation.py.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pydantic import Field

from toolkit.specs.errors import MismatchError, UserError
from toolkit.specs.record import Part, Record

EVALUATIONS = "evaluations"


class Evaluation(Part):
    """How well one subnet does."""

    subnet: str
    mean_average_precision: float = Field(ge=0, le=1)
    clips: int = Field(ge=1)
    """Validation clips that it was scored on."""
    seconds: float = Field(ge=0)
    """Its share of the time that the subnets took which were evaluated together."""


class EvaluationHead(Record):
    """First line of a cache: what the figures are of."""

    weights: str
    """SHA-256 of the weights."""
    data_hash: str
    """Of all recordings: statistics are recalibrated on those to train."""
    validation: str
    """Digest of the very clips that subnets are scored on, with their labels."""
    clips: int = Field(ge=1)

    @property
    def key(self) -> str:
        """16 hexadecimal digits, the name of the file."""
        whole = f"{self.weights} {self.data_hash} {self.validation}"
        return hashlib.sha256(whole.encode()).hexdigest()[:16]


class EvaluationCache:
    """The file of a Run's evaluations on one set of clips; several processes may add to it.

    Args:
        run: folder of the Run.
        head: what the figures are of.
    """

    def __init__(self, run: Path, head: EvaluationHead) -> None:
        self.head, self.path = head, run / EVALUATIONS / f"{head.key}.jsonl"

    def load(self) -> dict[str, Evaluation]:
        """What is known, by subnet id; nothing if there is no file. Nothing is written.

        Raises:
            MismatchError: the file is of other weights or clips than its name says.
            UserError: a line in its middle is none.
        """
        return self._parsed(_whole_lines(self.path.read_bytes() if self.path.exists() else b""))

    def append(self, evaluations: Iterable[Evaluation]) -> dict[str, Evaluation]:
        """Put evaluations on disk; what is known then. Where another process was quicker, what it found stays.

        Raises:
            MismatchError: as `load`.
            UserError: the Run's folder cannot be written, or the disk is full.
        """
        with self._alone() as file:
            content = file.read()
            kept = _whole_lines(content)
            if kept != content:
                file.truncate(len(kept))
            there = self._parsed(kept)
            added = {one.subnet: one for one in evaluations if one.subnet not in there}
            lines: list[Part] = [*added.values()] if kept else [self.head, *added.values()]
            file.write("".join(line.model_dump_json() + "\n" for line in lines).encode())
            file.flush()
            os.fsync(file)
            return there | added

    @contextmanager
    def _alone(self) -> Iterator[BinaryIO]:
        """The file, open, while no other process has it."""
        with writable(self.path):
            self.path.parent.mkdir(exist_ok=True)
            with self.path.open("a+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                file.seek(0)
                yield file

    def _parsed(self, lines: bytes) -> dict[str, Evaluation]:
        """The evaluations in whole lines, the first of which must be the head."""
        if not lines:
            return {}
        first, *others = lines.decode(errors="replace").rstrip("\n").split("\n")
        found = EvaluationHead.from_text(first, origin=f"{self.path} line 1")
        if found != self.head:
            wrong = next(
                name for name in EvaluationHead.model_fields if getattr(found, name) != getattr(self.head, name)
            )
            raise MismatchError(
                f"{self.path} is of other evaluations: {wrong} {getattr(found, wrong)}, expected "
                f"{getattr(self.head, wrong)}. Move the file away; what it holds is evaluated again."
            )
        each = (
            Evaluation.from_text(line, origin=f"{self.path} line {number}") for number, line in enumerate(others, 2)
        )
        return {one.subnet: one for one in each}


@contextmanager
def writable(path: Path) -> Iterator[None]:
    """Turn an OSError about a file in a Run's folder into what there is to do; the default Run may be read-only."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror}. Copy the Run's folder to a place that can be written, with room "
            "on it, and name the copy with --run."
        ) from error


def _whole_lines(content: bytes) -> bytes:
    """Without a last line that was cut off."""
    return content[: content.rfind(b"\n") + 1]
