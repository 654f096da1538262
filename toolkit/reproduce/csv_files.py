"""The numbers behind tables and figures as CSV, unrounded as far as they mean something. mAP is in percent.

An empty cell was not measured. Proved by tests/reproduce/test_report.py.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from toolkit.reproduce.curves import Box, Point
from toolkit.reproduce.estimates import Estimate
from toolkit.reproduce.tables import Table1, Tuning
from toolkit.specs.files import write_text

Row = Mapping[str, object]


def write_csv_files(
    table: Table1, tunings: Sequence[Tuning], points: Sequence[Point], boxes: Sequence[Box], folder: Path
) -> None:
    """Write `table1.csv`, `table2.csv`, `margins.csv` (of both), `figure3.csv` and `figure4.csv`."""
    files = {
        "table1": _table_1(table),
        "table2": (row for tuning in tunings for row in _table_2(tuning)),
        "margins": _margins(table, tunings),
        "figure3": map(_point, points),
        "figure4": (row for box in boxes for row in _box(box)),
    }
    for name, rows in files.items():
        write_text(folder / f"{name}.csv", _csv_text(rows))


def _table_1(table: Table1) -> Iterable[Row]:
    for model in (table.teacher, *table.models):
        yield {
            "model": model.name,
            "width_ratio": model.size,
            "params": " ".join(map(str, model.params)),
            **_columns("map_percent", model.map_percent),
            "teacher_percent": _number(table.teacher_percent(model)),
            **{f"paper_{name}": value for name, value in (asdict(model.paper) if model.paper else _NO_PAPER).items()},
        }


_NO_PAPER: Row = {"params_m": None, "map_percent": None, "teacher_percent": None}


def _table_2(tuning: Tuning) -> Iterable[Row]:
    for name, found in tuning.map_percent.items():
        yield {
            "model": name,
            "budget_m": tuning.budget,
            "params": tuning.params,
            **_columns("map_percent", found),
            "paper_params_m": tuning.paper.params_m,
            "paper_map_percent": tuning.paper.map_percent[name],
        }


def _margins(table: Table1, tunings: Sequence[Tuning]) -> Iterable[Row]:
    for margin in table.margins:
        yield _margin(1, margin.size, margin.name, margin.points, margin.paper_points)
    for tuning in tunings:
        told = tuning.paper.map_percent
        for (first, second), points in tuning.gains.items():
            yield _margin(2, tuning.budget, f"{first} - {second}", points, told[first] - told[second])


def _margin(table: int, size: float, name: str, points: Estimate | None, paper_points: float | None) -> Row:
    """Of table 1 by width ratio, of table 2 by budget in millions."""
    return {
        "table": table,
        "width_ratio": size if table == 1 else None,
        "budget_m": size if table == 2 else None,
        "margin": name,
        **_columns("points", points),
        "paper_points": _number(paper_points),
    }


def _point(point: Point) -> Row:
    return {
        "space": point.space,
        "seed": point.seed,
        "budget_m": point.budget,
        "subnet": point.subnet,
        "params": point.params,
        "validation_map_percent": _number(point.validation_percent),
        "test_map_percent": _number(point.test_percent.mean),
        "test_low": _number(point.test_percent.low),
        "test_high": _number(point.test_percent.high),
    }


def _box(box: Box) -> Iterable[Row]:
    for candidate, percent in zip(box.candidates, box.percents, strict=True):
        yield {
            "space": box.space,
            "seed": box.seed,
            "budget_m": box.budget,
            "subnet": candidate.subnet,
            "params": candidate.params,
            "validation_map_percent": _number(percent),
            "picked": int(candidate.subnet == box.picked),
        }


def _columns(name: str, found: Estimate | None) -> Row:
    """Mean, spread over seeds, interval, and each seed's own figure as `seed:figure`."""
    each = found.by_seed.items() if found else ()
    values = (found.mean, found.spread, found.low, found.high) if found else (None,) * 4
    names = (name, f"{name}_spread", f"{name}_low", f"{name}_high")
    return {
        **dict(zip(names, map(_number, values), strict=True)),
        f"{name}_by_seed": " ".join(f"{seed}:{value:.3f}" for seed, value in each),
    }


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _csv_text(rows: Iterable[Row]) -> str:
    listed = list(rows)
    text = io.StringIO()
    if listed:
        writer = csv.DictWriter(text, list(listed[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(listed)
    return text.getvalue()
