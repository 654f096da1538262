"""Published measurements: from the CSV files of `devices/published` to rows that the device model can be held against.

What a row does not say plainly is not guessed silently: such rows are counted and named as not scored.
Proved by tests/profile/test_published.py.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field

from toolkit.profile.architectures import Architecture, architecture, fbnet_block, nas_bench_201, stand_in
from toolkit.profile.operation import Operation
from toolkit.specs.errors import UserError
from toolkit.specs.record import Part, Record, read_text
from toolkit.specs.runtime import Precision
from toolkit.specs.shipped import DEVICES

PUBLISHED = DEVICES / "published"
Kernels = Literal["xnnpack", "tflite-2", "tflite-1", "armnn", "ncnn", "paddle", "tengine"]
"""Who computes: rows of one never say anything of another. `tflite-2` is TFLite's own kernels with ruy, `tflite-1`
those of 1.x with Eigen and gemmlowp; TFLite and LiteRT since 2.12 and ExecuTorch compute with XNNPACK."""
_KERNELS: tuple[tuple[str, Kernels], ...] = (
    ("xnnpack|executorch|litert", "xnnpack"),
    (r"tflite[ -]*2\.(1[2-9]|[2-9]\d)(?!.*ruy)", "xnnpack"),
    (r"tflite[ -]*1\.", "tflite-1"),
    ("tflite|tensorflow.?lite|hw-nas", "tflite-2"),
    ("arm ?nn", "armnn"),
    ("ncnn", "ncnn"),
    ("paddle", "paddle"),
    ("tengine", "tengine"),
)
_CELLS = {
    "NB201 1 conv3x3/cell": "|n|+|n|n|+|3|n|n|",
    "NB201 all conv3x3 (6/cell)": "|3|+|3|3|+|3|3|3|",
    "NB201 all conv1x1 (6/cell)": "|1|+|1|1|+|1|1|1|",
    "NB201 all skip": "|s|+|s|s|+|s|s|s|",
    "NB201 chain of 3 conv3x3/cell": "|3|+|n|3|+|n|n|3|",
    "NB201 chain of 3 conv1x1/cell": "|1|+|n|1|+|n|n|1|",
}
_EDGES = {"3": "nor_conv_3x3", "1": "nor_conv_1x1", "s": "skip_connect", "n": "none"}


class Core(Part):
    """A microarchitecture: what it can do at most, and what its boards usually have beside it."""

    aliases: tuple[str, ...]
    peak_macs_per_cycle: dict[Precision, float]
    in_order: bool
    channel_tile: dict[Precision, int] = Field({"fp32": 8, "fp16": 16, "int8": 16})
    """Output channels of one step of XNNPACK's kernels: 4x8 in float, 4x16 in int8, 8x8 on the A55."""
    memory_mb_s: float = Field(gt=0)
    l2_kb: int = Field(gt=0)
    clock_ghz: float = Field(gt=0)
    """Where a row states no clock."""
    source: str


class Cores(Record):
    """All that are known, by name."""

    cores: dict[str, Core]


class Row(NamedTuple):
    """One measured latency of one network, and what the model has to know to predict it."""

    device: str
    core: str
    clock_ghz: float
    threads: int
    framework: str
    kernels: Kernels
    bits: int
    precision: Precision
    name: str
    architecture: Architecture
    exact: bool
    """The layer list is the network's own, not one that stands in for it."""
    latency_ms: float

    @property
    def build(self) -> str:
        """What was measured on: rows of one build share all but the network and the number of threads."""
        return f"{self.device}, {self.core}, {self.framework}, {self.bits} bit, {self.precision}"


class Rows(NamedTuple):
    """What was read, and why the rest was not: reason to number of rows."""

    rows: tuple[Row, ...]
    not_scored: Counter[str]


class _NotScoredError(Exception):
    """Why this line says nothing to the model."""


@cache
def known_cores() -> Mapping[str, Core]:
    """Microarchitectures by name."""
    return Cores.load(PUBLISHED / "cores.json").cores


def published_rows() -> tuple[Row, ...]:
    """All latencies that travel with the toolkit."""
    return tuple(row for path in sorted(PUBLISHED.glob("*.csv")) for row in read_rows(path).rows)


def read_rows(path: Path) -> Rows:
    """The latencies of a CSV file that has the columns of one in `devices/published`.

    Raises:
        UserError: it cannot be read, or its columns are those of none.
    """
    lines = csv.DictReader(io.StringIO(read_text(path).lstrip("\ufeff"), newline=""))
    columns = {column.strip() for column in lines.fieldnames or () if column}
    read = next((read for needed, read in _FORMS.items() if set(needed.split()) <= columns), None)
    if not read:
        forms = "; ".join(needed.replace(" ", ", ") for needed in _FORMS)
        found = ", ".join(sorted(columns)) or "nothing"
        raise UserError(f"{path} has the columns {found}; expected those of a file in devices/published: {forms}.")
    rows: list[Row] = []
    not_scored: Counter[str] = Counter()
    try:
        for line in lines:
            values = {key.strip(): (value or "").strip() for key, value in line.items() if isinstance(key, str)}
            for one in read(values):
                if isinstance(one, Row):
                    rows.append(one)
                else:
                    not_scored[one] += 1
    except csv.Error as error:
        raise UserError(f"{path} line {lines.line_num} is not CSV: {error}. Mend the line.") from error
    return Rows(tuple(rows), not_scored)


def kernels_of(framework: str) -> Kernels | None:
    """Who computes under a framework's name, None where it is not known."""
    plain = framework.lower()
    return next((kernels for pattern, kernels in _KERNELS if re.search(pattern, plain)), None)


def _latency_row(line: dict[str, str]) -> Iterator[Row | str]:
    def make() -> Row:
        found = _architecture(line["model"], line.get("gmacs", ""), line.get("params_m", ""))
        return _row(line, line["model"], *found)

    yield _attempt(make)


def _matrix_product(line: dict[str, str]) -> Iterator[Row | str]:
    def make() -> Row:
        if re.search(r"\b1x\d", line["kernel"]):
            raise _NotScoredError("kernels for vectors, not for matrices")
        try:
            pixels, out, inputs = (int(line[side]) for side in "MNK")
        except ValueError:
            raise _NotScoredError("no sizes stated") from None
        if min(pixels, out, inputs) < 1:
            raise _NotScoredError("no sizes stated")
        product = Operation("pointwise", inputs, out, 1, 1, pixels, pixels)
        clock = {"core": f"{line['core']} {line['clock_ghz']}GHz"} if line["clock_ghz"] else {}
        return _row({**line, **clock}, line["kernel"], Architecture("matrix-product", (product,)), exact=True)

    yield _attempt(make)


def _cell(line: dict[str, str]) -> Iterator[Row | str]:
    for column in line:
        if column.endswith("_ms"):
            yield _attempt(partial(_cell_row, line, column))


def _cell_row(line: dict[str, str], column: str) -> Row:
    return _hw_nas(line, column, line["arch"], nas_bench_201(line["arch"]))


def _block(line: dict[str, str]) -> Iterator[Row | str]:
    def make(column: str) -> Row:
        if line.get("absolute", "yes") != "yes":
            raise _NotScoredError("relative to another block")
        shape = (int(float(line[side])) for side in ("c_in", "c_out", "h_in", "stride"))
        found = fbnet_block(line["block"], *shape)
        return _hw_nas(line, column, f"{line['block']} {line['c_in']}x{line['c_out']}", found)

    for column in line:
        if column.endswith("_ms"):
            yield _attempt(partial(make, column))


def _no_latency(line: dict[str, str]) -> Iterator[Row | str]:
    del line
    yield "no latency of a network: the model takes such figures, it does not predict them"


_FORMS: dict[str, Callable[[dict[str, str]], Iterator[Row | str]]] = {
    "device core threads framework model precision latency_ms": _latency_row,
    "device core clock_ghz threads framework kernel M N K precision latency_ms": _matrix_product,
    "arch conv3x3 conv1x1": _cell,
    "block c_in c_out h_in stride": _block,
    "soc core clock_ghz threads precision mac_per_cycle_per_core": _no_latency,
    "device soc core clock_ghz memcpy_mb_s": _no_latency,
    "target item value unit": _no_latency,
}


def _attempt(make: Callable[[], Row]) -> Row | str:
    try:
        return make()
    except _NotScoredError as reason:
        return str(reason)
    except (ValueError, OverflowError, KeyError) as error:
        return f"cannot be read: {error}"


def _architecture(name: str, gmacs: str, params_m: str) -> tuple[Architecture, bool]:
    if text := _CELLS.get(name):
        edges = "+".join(
            "|" + "".join(f"{_EDGES[edge]}~{n}|" for n, edge in enumerate(node))
            for node in (part.strip("|").split("|") for part in text.split("+"))
        )
        return nas_bench_201(edges), True
    if found := architecture(name):
        return found, True
    if not _number(gmacs):
        raise _NotScoredError(f"unknown network without a count of multiply-accumulates: {name}")
    return stand_in(name, 1e9 * _number(gmacs), 1e6 * _number(params_m)), False


def _hw_nas(line: dict[str, str], column: str, name: str, found: Architecture) -> Row:
    """HW-NAS-Bench: TFLite of an unstated version, one thread as its rates say."""
    device = {"raspi4_ms": ("Raspberry Pi 4B", "Cortex-A72 1.5GHz"), "pixel3_ms": ("Pixel 3", "Cortex-A75 2.8GHz")}
    if column not in device:
        raise _NotScoredError(f"unknown device: {column.removesuffix('_ms')}")
    stated = {"device": device[column][0], "core": device[column][1], "framework": "TFLite (HW-NAS-Bench)"}
    return _row({**stated, "precision": "fp32", "threads": "1", "latency_ms": line[column]}, name, found, exact=True)


def _row(line: dict[str, str], name: str, found: Architecture, exact: bool) -> Row:
    notes = line.get("notes", "")
    if "LOW TRUST" in notes:
        raise _NotScoredError("its source calls it of low trust")
    latency_ms = _number(line["latency_ms"])
    if not latency_ms:
        raise _NotScoredError("no latency stated")
    kernels = kernels_of(line["framework"])
    if not kernels:
        raise _NotScoredError(f"unknown framework: {line['framework'] or 'none'}")
    core, clock_ghz, count = _core(line["core"])
    return Row(
        device=line["device"],
        core=core,
        clock_ghz=clock_ghz,
        threads=_threads(line["threads"], count),
        framework=line["framework"],
        kernels=kernels,
        bits=32 if re.search("armv7|aarch32|32-bit", notes) else 64,
        precision=_precision(line["precision"], core),
        name=name,
        architecture=found,
        exact=exact,
        latency_ms=latency_ms,
    )


def _core(text: str) -> tuple[str, float, int]:
    """The first core that is named, its clock (the core's usual one where none is stated) and how many there are."""
    plain = text.lower()
    places = {}
    for name, core in known_cores().items():
        for alias in core.aliases:
            if found := re.search(rf"(?<![a-z0-9]){alias}(?![0-9])", plain):
                places[found.start()] = name
    if not places:
        raise _NotScoredError(f"unknown core: {text or 'none'}")
    start = min(places)
    name = places[start]
    stated = re.search(r"(\d+\.\d+|\d+(?= ?ghz))", plain[start:].split(",")[0].partition(")")[0])
    stated = stated or re.search(r"(\d+(?:\.\d+)?) ?ghz", plain)
    clock_ghz = float(stated[1]) if stated else known_cores()[name].clock_ghz
    count = re.search(r"(\d+)x", plain[:start])
    return name, clock_ghz if 0.1 <= clock_ghz <= 6 else known_cores()[name].clock_ghz, int(count[1]) if count else 8


def _threads(text: str, cores: int) -> int:
    """One where it is not stated; no more than there are cores."""
    if text.lower().startswith("all"):
        return cores
    if text in ("", "?"):
        return 1
    threads = float(text)
    if not 1 <= threads <= 256:
        raise _NotScoredError(f"unknown number of threads: {text}")
    return min(int(threads), max(cores, 1))


def _precision(text: str, core: str) -> Precision:
    plain = text.lower()
    if "2bit" in plain or "4bit" in plain:
        raise _NotScoredError(f"unknown precision: {text}")
    if plain.startswith(("int8", "qs8", "uint8", "quant")):
        return "int8"
    if plain.startswith(("fp32", "float32", "float")) or plain == "f32":
        return "fp32"
    if plain in ("fp16", "fp16(arith)", "f16") and "fp16" in known_cores()[core].peak_macs_per_cycle:
        return "fp16"
    raise _NotScoredError(f"unknown precision: {text or 'none'}")


def _number(text: str) -> float:
    """0 where there is none."""
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if 0 < value < 1e12 else 0.0
