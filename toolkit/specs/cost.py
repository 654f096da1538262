"""`CostTable`, its rows and `Measurement`: what every layer of a space costs on one device, and how that is known.

A table is JSON lines: its key first, then a row for each layer, so that two tables diff well and a measurement is on
disk before the next starts. It refuses rows of another key. Proved by tests/specs/test_cost.py.
"""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from toolkit.specs.device import error_band
from toolkit.specs.errors import MismatchError, UserError
from toolkit.specs.files import write_text
from toolkit.specs.layer import Layer, Mode
from toolkit.specs.record import Part, Record, read_text
from toolkit.specs.runtime import Precision, Runtime
from toolkit.specs.space import SearchSpace

Kind = Literal["measured", "interpolated", "modelled"]
WEAKNESS: dict[Kind, int] = {"measured": 0, "interpolated": 1, "modelled": 2}
"""A figure is of the weakest kind among those behind it."""
MAX_VARIATION = 0.05
"""Coefficient of variation above which a measurement is taken again."""


class Environment(Part):
    """What a measurement was taken on."""

    machine: str
    cpu: str
    system: str
    python: str
    runtime: Runtime
    runtime_version: str
    threads: int = Field(ge=1)
    core_mask: str
    governor: str | None
    clock_mhz: float | None
    temperature_c: float | None
    load_average: float | None
    started_utc: str


class Measurement(Part):
    """Raw timings of one file, warm-ups apart, and the environment they were taken in."""

    latencies_us: tuple[float, ...] = Field(min_length=1)
    warmups_us: tuple[float, ...]
    environment: Environment

    @property
    def median_us(self) -> float:
        """Median of the raw timings."""
        return statistics.median(self.latencies_us)

    @property
    def p90_us(self) -> float:
        """The raw timing that nine tenths do not exceed."""
        return sorted(self.latencies_us)[-(-9 * len(self.latencies_us) // 10) - 1]

    @property
    def variation(self) -> float:
        """Coefficient of variation, standard deviation over mean, without the tenth at either end."""
        cut = len(self.latencies_us) // 10
        kept = sorted(self.latencies_us)[cut : len(self.latencies_us) - cut]
        return statistics.pstdev(kept) / statistics.fmean(kept)


class CostRow(Part):
    """Cost of one layer: latency, bytes of constants in the file, bytes of its input and output while it runs."""

    layer: Layer
    kind: Kind
    latency_us: float = Field(ge=0)
    """Median; of a measured row without the time that any call takes (`CostKey.call_us`)."""
    p90_us: float | None = Field(None, ge=0)
    """What nine of ten inferences do not exceed, likewise; None where it is not known."""
    file_bytes: int = Field(ge=0)
    activation_bytes: int = Field(ge=0)
    peak_bytes: int | None = Field(None, ge=0)
    """Peak of memory while it alone is loaded and run, without what any file takes; None where it was not measured."""
    kept_bytes: int | None = Field(None, ge=0)
    """How much of the peak stays when the layer has run: its weights as the kernels want them, and their own tables."""
    measurement: Measurement | None = None
    note: str = ""

    @model_validator(mode="after")
    def _honest(self) -> Self:
        if (self.peak_bytes is None) != (self.kept_bytes is None) or (self.kept_bytes or 0) > (self.peak_bytes or 0):
            raise ValueError(f"peak_bytes {self.peak_bytes} and kept_bytes {self.kept_bytes} do not belong together")
        if (self.kind == "measured") != (self.measurement is not None):
            raise ValueError(f"a {self.kind} row {'lacks' if self.kind == 'measured' else 'has'} raw timings")
        return self


class CostKey(Record):
    """What a table is valid for; rows of two keys never mix."""

    device: str
    runtime: Runtime
    runtime_version: str
    precision: Precision
    threads: int = Field(ge=1)
    core_mask: str
    mode: Mode
    space: SearchSpace
    front_end: str
    """Fingerprint of the front end."""
    label_count: int = Field(ge=1)
    runtime_base_bytes: int = Field(0, ge=0)
    """Memory of the process with the runtime loaded and no model, where known."""
    network_bytes: int | None = None
    """What a network's peak has besides that and its rows' memory; None where peaks were not measured."""
    call_us: float = Field(0, ge=0)
    """Of one call that computes nothing: once an inference, and in no row."""
    duty_cycle_ratio: float | None = Field(None, gt=0)
    """Latency with one decision each hop and the core asleep between, over latency back to back."""
    sustained_ratio: float | None = Field(None, gt=0)
    """Latency at the end of a sustained run over that at its beginning."""

    @property
    def file_name(self) -> str:
        """`rpi4-tflite-int8-stream-4f0c….jsonl`: the same for the same question, whatever was found."""
        nothing_found = {name: type(self).model_fields[name].default for name in _FOUND}
        asked = self.model_copy(update=nothing_found).model_dump(mode="json", exclude=_NEWER)
        canonical = json.dumps(asked, sort_keys=True, separators=(",", ":"))
        digest = hashlib.sha256(canonical.encode()).hexdigest()[:8]
        return f"{self.device}-{self.runtime}-{self.precision}-{self.mode}-{digest}.jsonl"


_FOUND = ("runtime_base_bytes", "network_bytes", "call_us", "duty_cycle_ratio", "sustained_ratio")
"""Fields of a key that were measured beside the rows: they do not tell two tables apart."""
_NEWER = {"network_bytes"}
"""Those that came when tables had names already, which stay."""


def profile_command(
    device: str, runtime: Runtime, mode: Mode, precision: Precision, options: str = "", *, is_modelled: bool
) -> str:
    """The command that makes a table, from the device's model or by measuring; `options` name folders.

    A device's address is people's to fill in; `host` is this machine.
    """
    target = "" if is_modelled else " --target local" if device == "host" else " --target TARGET"
    made_for = "" if runtime == "tflite" else f" --runtime {runtime}"
    made_for += f" --mode {mode} --precision {precision}"
    return f"python -m toolkit.profile --device {device}{target}{made_for}{options}"


class CostTable:
    """Rows by layer under one key."""

    def __init__(self, key: CostKey, rows: Iterable[CostRow]) -> None:
        self.key = key
        self.rows: dict[str, CostRow] = {}
        for row in rows:
            if row.layer.name in self.rows:
                raise MismatchError(f"layer {row.layer.name} has two rows in one table; measure it once.")
            self.rows[row.layer.name] = row

    @cached_property
    def hash(self) -> str:
        """16 hexadecimal digits over the key and all rows: what a Pick names."""
        return hashlib.sha256("".join(self._lines()).encode()).hexdigest()[:16]

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Kinds that occur in the rows, sorted."""
        return tuple(sorted({row.kind for row in self.rows.values()}))

    @property
    def error_band(self) -> str | None:
        """What the modelled rows may be off by, for people; None where there are none."""
        notes = [row.note for row in self.rows.values() if row.kind == "modelled"]
        return error_band(notes) if notes else None

    def row(self, layer: Layer) -> CostRow:
        """The row of a layer.

        Raises:
            MismatchError: the table does not cover it.
        """
        if layer.name not in self.rows:
            raise MismatchError(
                f"the table of {self.key.device} ({self.key.mode}, {self.key.precision}) has no layer {layer.name}; "
                f"make one that has it: {self.profile_command()}"
            )
        return self.rows[layer.name]

    def profile_command(self, options: str = "") -> str:
        """The command that makes it anew: where rows were measured, on the device; `options` name folders."""
        key, is_modelled = self.key, "measured" not in self.kinds
        return profile_command(key.device, key.runtime, key.mode, key.precision, options, is_modelled=is_modelled)

    def save(self, path: Path) -> None:
        """Write key and rows, whole or not at all."""
        write_text(path, "".join(self._lines()))

    def _lines(self) -> Iterable[str]:
        yield json.dumps(self.key.model_dump(mode="json")) + "\n"
        for row in self.rows.values():
            yield json.dumps(row.model_dump(mode="json")) + "\n"

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a table.

        Raises:
            UserError: it is missing, empty or breaks the schema.
            MismatchError: it was written for another schema or holds a layer twice.
        """
        lines = read_text(path).splitlines()
        if not lines:
            raise UserError(f"{path} is empty; a cost table starts with its key. Profile the device again.")
        key = CostKey.from_text(lines[0], origin=f"{path} line 1")
        rows = (CostRow.from_text(line, origin=f"{path} line {n}") for n, line in enumerate(lines[1:], start=2))
        return cls(key, rows)


class Figure(Part):
    """A predicted number and how it is known: the weakest kind among the rows behind it."""

    value: float
    kind: Kind


class PredictedCost(Part):
    """What a table says one subnet costs, front end included."""

    latency_ms: Figure
    latency_p90_ms: Figure | None = None
    """What nine of ten inferences do not exceed."""
    core_share: Figure | None
    """Share of one core of always-on listening; in `stream` mode only."""
    memory_mb: Figure
    file_mb: Figure
    params: int
    macs: int
