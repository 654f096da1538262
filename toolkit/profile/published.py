"""Published measurements: from the CSV files of `devices/published` to rows that the device model can be held against.

A file is known by its columns; what the words in them mean is `toolkit.profile.published_row`. Lines that do not say
enough are counted and named as not scored. Proved by tests/profile/test_published.py.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from toolkit.profile.architectures import Architecture, architecture, stand_in
from toolkit.profile.nas_benchmarks import fbnet_block, nas_bench_201
from toolkit.profile.operation import Operation
from toolkit.profile.published_row import MATRIX_PRODUCT, NotScoredError, Row, number, row_of
from toolkit.specs.errors import UserError
from toolkit.specs.record import read_text
from toolkit.specs.shipped import DEVICES

PUBLISHED = DEVICES / "published"
Line = dict[str, str]
"""What a line of a file says, by column."""
_CELLS = {
    "NB201 1 conv3x3/cell": "n nn 3nn",
    "NB201 all conv3x3 (6/cell)": "3 33 333",
    "NB201 all conv1x1 (6/cell)": "1 11 111",
    "NB201 all skip": "s ss sss",
    "NB201 chain of 3 conv3x3/cell": "3 n3 nn3",
    "NB201 chain of 3 conv1x1/cell": "1 n1 nn1",
}
"""What rows call some cells of NAS-Bench-201: the edges into each of three nodes."""
_EDGES = {"3": "nor_conv_3x3", "1": "nor_conv_1x1", "s": "skip_connect", "n": "none"}
_HW_NAS_DEVICES = {
    "raspi4_ms": {"device": "Raspberry Pi 4B", "core": "Cortex-A72 1.5GHz"},
    "pixel3_ms": {"device": "Pixel 3", "core": "Cortex-A75 2.8GHz"},
}
_HW_NAS_BENCH = {"framework": "TFLite (HW-NAS-Bench)", "precision": "fp32", "threads": "1"}
"""TFLite of an unstated version, one thread as its rates say."""


class Rows(NamedTuple):
    """What was read, and why the rest was not: reason to number of rows."""

    rows: tuple[Row, ...]
    not_scored: Counter[str]


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
    form = next((form for form in _FORMS if set(form.columns.split()) <= columns), None)
    if not form:
        forms = "; ".join(form.columns.replace(" ", ", ") for form in _FORMS)
        found = ", ".join(sorted(columns)) or "nothing"
        raise UserError(f"{path} has the columns {found}; expected those of a file in devices/published: {forms}.")
    rows: list[Row] = []
    not_scored: Counter[str] = Counter()
    try:
        for values in lines:
            line = {key.strip(): (value or "").strip() for key, value in values.items() if isinstance(key, str)}
            latencies = [column for column in line if column.endswith("_ms")] if form.by_device else ["latency_ms"]
            for latency in latencies:
                try:
                    rows.append(form.read(line, latency))
                except NotScoredError as reason:
                    not_scored[str(reason)] += 1
                except (ValueError, OverflowError, KeyError) as error:
                    not_scored[f"cannot be read: {error}"] += 1
    except csv.Error as error:
        raise UserError(f"{path} line {lines.line_num} is not CSV: {error}. Mend the line.") from error
    return Rows(tuple(rows), not_scored)


def _network(line: Line, _: str) -> Row:
    name, giga_macs = line["model"], number(line.get("gmacs", ""))
    if found := _named_cell(name) or architecture(name):
        return row_of(line, name, found, exact=True)
    if not giga_macs:
        raise NotScoredError(f"unknown network without a count of multiply-accumulates: {name}")
    like = stand_in(name, 1e9 * giga_macs, 1e6 * number(line.get("params_m", "")))
    return row_of(line, name, like, exact=False)


def _named_cell(name: str) -> Architecture | None:
    if name not in _CELLS:
        return None
    nodes = ("".join(f"{_EDGES[edge]}~{n}|" for n, edge in enumerate(node)) for node in _CELLS[name].split())
    return nas_bench_201("+".join(f"|{node}" for node in nodes))


def _matrix_product(line: Line, _: str) -> Row:
    if re.search(r"\b1x\d", line["kernel"]):
        raise NotScoredError("kernels for vectors, not for matrices")
    try:
        pixels, out, inputs = (int(line[side]) for side in "MNK")
    except ValueError:
        raise NotScoredError("no sizes stated") from None
    if min(pixels, out, inputs) < 1:
        raise NotScoredError("no sizes stated")
    product = Operation("pointwise", inputs, out, 1, 1, pixels, pixels)
    clock = {"core": f"{line['core']} {line['clock_ghz']}GHz"} if line["clock_ghz"] else {}
    return row_of({**line, **clock}, line["kernel"], Architecture(MATRIX_PRODUCT, (product,)), exact=True)


def _cell(line: Line, latency: str) -> Row:
    return _hw_nas_row(line, latency, line["arch"], nas_bench_201(line["arch"]))


def _block(line: Line, latency: str) -> Row:
    if line.get("absolute", "yes") != "yes":
        raise NotScoredError("relative to another block")
    shape = (int(float(line[side])) for side in ("c_in", "c_out", "h_in", "stride"))
    name = f"{line['block']} {line['c_in']}x{line['c_out']}"
    return _hw_nas_row(line, latency, name, fbnet_block(line["block"], *shape))


def _hw_nas_row(line: Line, latency: str, name: str, found: Architecture) -> Row:
    if latency not in _HW_NAS_DEVICES:
        raise NotScoredError(f"unknown device: {latency.removesuffix('_ms')}")
    stated = {**_HW_NAS_DEVICES[latency], **_HW_NAS_BENCH, "latency_ms": line[latency]}
    return row_of(stated, name, found, exact=True)


def _no_latency(_: Line, __: str) -> Row:
    raise NotScoredError("no latency of a network: the model takes such figures, it does not predict them")


class _Form(NamedTuple):
    """A form of file."""

    columns: str
    """Which it has at least."""
    read: Callable[[Line, str], Row]
    """The row of a line, from the column of its latency."""
    by_device: bool = False
    """A line holds a latency for each device, in columns of its name: `pixel3_ms`."""


_FORMS = (
    _Form("device core threads framework model precision latency_ms", _network),
    _Form("device core clock_ghz threads framework kernel M N K precision latency_ms", _matrix_product),
    _Form("arch conv3x3 conv1x1", _cell, by_device=True),
    _Form("block c_in c_out h_in stride", _block, by_device=True),
    _Form("soc core clock_ghz threads precision mac_per_cycle_per_core", _no_latency),
    _Form("device soc core clock_ghz memcpy_mb_s", _no_latency),
    _Form("target item value unit", _no_latency),
)
