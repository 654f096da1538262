"""How far modelled latencies are off on published measurements that the model was not fitted to.

Every row is predicted by parameters that were fitted without its family of networks (MobileNet v1 at all widths and
sizes is one). The figure is the median error on Raspberry Pi 4 rows; it holds if the ranks of NAS-Bench-201's networks
are kept too. `--rows FILE` scores any CSV that has the columns of a file in devices/published; rows that are new to the
shipped parameters are predicted by these ("shipped"), and the figure is then of these. `--calibrate` fits anew, and
writes devices/published/calibration.json and the [model] of each profile.
Run: python -m benchmarks.device_model [--quick] [--rows FILE] [--calibrate]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.profile.calibration import KERNELS, Calibration, calibrate
from toolkit.profile.published import PUBLISHED, published_rows, read_rows
from toolkit.profile.published_row import Row
from toolkit.profile.validation import (
    PUBLISHED_AS,
    Judged,
    errors_without_device,
    is_dense,
    judge,
    model_toml,
    modelled,
    rank_correlation,
)
from toolkit.specs.device import DeviceProfile
from toolkit.specs.errors import UserError
from toolkit.specs.files import write_text
from toolkit.specs.shipped import DEVICES

GOAL = 0.15
RANK_GOAL = 0.95
BOARD, CELLS = "Raspberry Pi 4B", "nas-bench-201"
TFLITE = ("tflite-1", "tflite-2", "xnnpack")


def main() -> None:
    """Score, print a table, and the result as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="rows of TFLite and XNNPACK alone")
    parser.add_argument("--rows", type=Path, metavar="FILE", help="score this CSV file instead of devices/published")
    parser.add_argument("--calibrate", action="store_true", help="fit first, and write what was found")
    options = parser.parse_args()
    if options.calibrate:
        write_calibration()
    try:
        rows, not_scored = _rows(options.rows)
    except UserError as error:
        sys.exit(f"error: {error}")
    if options.quick:
        not_scored["left out by --quick"] += sum(row.kernels not in TFLITE for row in rows)
        rows = [row for row in rows if row.kernels in TFLITE]
    judged = judge(rows, _progress)
    print_table(judged, not_scored)
    unseen = {} if options.rows else unseen_devices()
    figures = result(judged, not_scored, unseen)
    if options.rows:
        new = of_new_rows(judged)
        figures |= {**new, "detail": {**figures["detail"], **new["detail"]}}
    print(json.dumps(figures))


def unseen_devices() -> dict[str, float]:
    """Median error under XNNPACK of a device that the fit never saw, as most profiles are; printed as well."""
    rows = [row for row in published_rows() if row.kernels == KERNELS and row.is_network]
    errors = {device: round(error, 3) for device, error in errors_without_device(rows).items()}
    print("XNNPACK, by parameters that were fitted to no row of the device")
    for device, error in errors.items():
        print(f"  {device:<84} {100 * error:15.1f} %")
    print()
    return errors


def _rows(path: Path | None) -> tuple[list[Row], Counter[str]]:
    found = [read_rows(file) for file in ([path] if path else sorted(PUBLISHED.glob("*.csv")))]
    return [row for one in found for row in one.rows], sum((one.not_scored for one in found), Counter())


def _progress(done: int, of: int) -> None:
    if sys.stderr.isatty():
        print(f"\rfit {done + 1} of {of}", end="\n" if done + 1 == of else "", file=sys.stderr, flush=True)


def print_table(judged: Sequence[Judged], not_scored: Counter[str]) -> None:
    """A line for each device, framework, precision, number of threads and kind of network, then sums."""
    print(f"{'':<86} {'rows':>5} {'held out':>9} {'nine of ten':>11} {'shipped':>8}")
    for name, members in _grouped(judged, _line).items():
        _print_line(name, members)
    for title, by in _SUMS.items():
        print(f"\n{title}")
        for name, members in _grouped(judged, by).items():
            _print_line(f"  {name}", members)
    _print_line("\nall", judged)
    if not_scored:
        print(f"\nnot scored: {sum(not_scored.values())} rows")
        for reason, count in not_scored.most_common():
            print(f"  {count:5d}  {reason}")
    print()


def _line(one: Judged) -> str:
    row = one.row
    threads = "1 thread" if row.threads == 1 else f"{row.threads} threads"
    return f"{row.device}, {row.core}, {row.framework}, {row.precision}, {threads}: {_kind(one)}"


def _kind(one: Judged) -> str:
    if not one.row.is_network:
        return "matrix products"
    kind = "dense" if is_dense(one.row) else "depthwise"
    return kind if one.row.exact else "no layer list, a like network scaled to its counts"


def _of_board(one: Judged) -> str:
    return f"{one.row.framework}, {one.row.precision}, {one.row.threads} threads" if one.row.device == BOARD else ""


_SUMS: dict[str, Callable[[Judged], str]] = {
    "by kernels": lambda one: one.row.kernels,
    "by precision": lambda one: one.row.precision,
    "by threads": lambda one: f"{one.row.threads:2d}",
    "by kind": _kind,
    "by family": lambda one: one.row.architecture.family if one.row.exact else "",
    f"{BOARD}, by framework": _of_board,
    f"{BOARD}, by family": lambda one: one.row.architecture.family if one.row.device == BOARD and one.row.exact else "",
}


def _grouped(judged: Sequence[Judged], by: Callable[[Judged], str]) -> dict[str, list[Judged]]:
    groups: dict[str, list[Judged]] = defaultdict(list)
    for one in judged:
        if name := by(one):
            groups[name].append(one)
    return dict(sorted(groups.items()))


def _print_line(name: str, judged: Sequence[Judged]) -> None:
    if not judged:
        return
    errors = [one.error for one in judged]
    new = [one.error for one in _by_shipped(judged)]
    shipped = f"{100 * np.median(new):6.1f} %" if new else ""
    columns = f"{len(judged):5d} {100 * np.median(errors):7.1f} % {100 * np.quantile(errors, 0.9):9.1f} % {shipped:>8}"
    print(f"{name:<86} {columns}")


def result(judged: Sequence[Judged], not_scored: Counter[str], unseen: dict[str, float]) -> dict[str, Any]:
    """The figure, null where no row can be judged by it, and what it is made of."""
    by_device, ranks, new = _medians(judged, _device), _ranks(judged), _by_shipped(judged)
    figure = by_device.get(BOARD)
    detail = {
        "rows": len(judged),
        f"rows of {BOARD}": sum(one.row.device == BOARD for one in judged),
        "rank correlation on NAS-Bench-201": ranks,
        "rank correlation goal": RANK_GOAL,
        "median error, all": _median(judged),
        "median error by device": by_device,
        **{f"median error {title}": _medians(judged, by) for title, by in _SUMS.items()},
        "shipped parameters on rows new to them": {"rows": len(new), "median error": _median(new)},
        "median error of XNNPACK on a device that the fit never saw": unseen,
        "not scored": dict(not_scored.most_common()),
    }
    named = {"name": "device_model", "figure": figure, "unit": f"median error on {BOARD} rows, family held out"}
    return {**named, "goal": GOAL, "holds": _holds(figure, ranks), "detail": detail}


def of_new_rows(judged: Sequence[Judged]) -> dict[str, Any]:
    """What changes in the result of `--rows`: new rows are what the shipped parameters have to stand up to.

    A row that these were fitted to is still predicted without its family.
    """
    shipped = [one._replace(held_out_ms=one.shipped_ms or one.held_out_ms) for one in judged]
    figure, ranks = _medians(shipped, _device).get(BOARD), _ranks(shipped)
    held_out = {"figure": _medians(judged, _device).get(BOARD), "ranks": _ranks(judged)}
    detail = {
        "rows": len(judged),
        "rows new to the shipped parameters": len(_by_shipped(judged)),
        "rank correlation on NAS-Bench-201": ranks,
        "median error, all": _median(shipped),
        "family held out": {**held_out, "median error, all": _median(judged)},
    }
    unit = f"median error on {BOARD} rows that the parameters were not fitted to"
    return {"figure": figure, "unit": unit, "holds": _holds(figure, ranks), "detail": detail}


def _by_shipped(judged: Sequence[Judged]) -> list[Judged]:
    """The rows that are new to the shipped parameters, as these predict them."""
    return [one._replace(held_out_ms=one.shipped_ms) for one in judged if one.shipped_ms is not None]


def _ranks(judged: Sequence[Judged]) -> dict[str, float]:
    """Rank correlation on NAS-Bench-201's networks, by device."""
    cells = _grouped([one for one in judged if one.row.architecture.family == CELLS], _device)
    return {
        device: round(rank_correlation([one.held_out_ms for one in rows], [one.row.latency_ms for one in rows]), 4)
        for device, rows in cells.items()
        if len({one.row.latency_ms for one in rows}) > 2
    }


def _holds(figure: float | None, ranks: dict[str, float]) -> bool | None:
    """None where no row can be judged by either bar."""
    bars = [figure <= GOAL] if figure is not None else []
    bars += [rank >= RANK_GOAL for rank in ranks.values()]
    return all(bars) if bars else None


def _device(one: Judged) -> str:
    return one.row.device or "no device named"


def _medians(judged: Sequence[Judged], by: Callable[[Judged], str]) -> dict[str, float | None]:
    return {name: _median(rows) for name, rows in _grouped(judged, by).items()}


def _median(judged: Sequence[Judged]) -> float | None:
    return round(float(np.median([one.error for one in judged])), 3) if judged else None


def write_calibration() -> None:
    """Fit to all that is published; write the parameters, and with them the models and bands of the profiles."""
    rows = published_rows()
    parameters = calibrate(rows)
    Calibration(rows=sum(row.exact for row in rows), parameters=parameters).save(PUBLISHED / "calibration.json")
    judged = judge([row for row in rows if row.kernels == KERNELS], _progress)
    for name in PUBLISHED_AS:
        path = DEVICES / f"{name}.toml"
        before, _, rest = path.read_text().partition("[model]\n")
        sources = rest[rest.index("[sources]") :]
        profile = DeviceProfile.from_text(before + sources, origin=str(path), toml=True)
        write_text(path, before + model_toml(modelled(profile, parameters, judged)) + "\n" + sources)


if __name__ == "__main__":
    main()
