"""What `profile` found, for people and as JSON. Not the finding. Proved by tests/profile/test_command.py."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from toolkit.profile.device_model import ERROR_BAND
from toolkit.specs.cost import CostTable
from toolkit.specs.run import RunManifest
from toolkit.specs.space import STREAM_CHUNK_FRAMES


class Total(NamedTuple):
    """Of one subnet's layers, front end included."""

    subnet: str
    latency_ms: float
    core_share: float | None
    constants_mb: float


def as_json(tables: dict[Path, CostTable], run: RunManifest) -> dict[str, Any]:
    """Every table's file, how its rows are known, and the sums of the smallest and the largest subnet."""
    return {"tables": [_table_json(path, table, run) for path, table in tables.items()]}


def print_tables(tables: dict[Path, CostTable], run: RunManifest) -> None:
    """The tables to stdout, a line each, and where they lie."""
    console = Console(highlight=False)
    key = next(iter(tables.values())).key
    console.print(f"{key.device}, {key.runtime} {key.runtime_version}, threads: {key.threads}, cores {key.core_mask}\n")
    shown = Table("", "subnet", "latency", "of a core", "constants", "layers", box=None, pad_edge=False)
    for table in tables.values():
        title, known = f"{table.key.precision} {table.key.mode}", _known(table)
        for name, total in _totals(table, run).items():
            shown.add_row(title, name, *_figures(total), known)
            title = known = ""
    console.print(shown)
    console.print()
    for remark in _remarks(tables, run):
        console.print(remark, soft_wrap=True, markup=False)


def _remarks(tables: dict[Path, CostTable], run: RunManifest) -> list[str]:
    rows = [row for table in tables.values() for row in table.rows.values()]
    notes = {row.note for row in rows if row.kind == "measured" and row.note}
    space = f"{run.space.name} at base width {run.space.base_width}"
    remarks = [f"Sums over the layers, front end included, of {space} with {len(run.labels)} labels (Run {run.name})."]
    if any(row.kind == "modelled" for row in rows):
        remarks.append(f"MODELLED from published figures, nothing was measured. Error band: {ERROR_BAND}.")
    remarks += [f"{note}; without --quick the timings are steadier." for note in sorted(notes)]
    remarks += [str(path) for path in tables]
    return remarks


def _table_json(path: Path, table: CostTable, run: RunManifest) -> dict[str, Any]:
    return {
        "path": str(path),
        "device": table.key.device,
        "precision": table.key.precision,
        "mode": table.key.mode,
        "rows": dict(Counter(row.kind for row in table.rows.values())),
        "error_band": ERROR_BAND if "modelled" in table.kinds else None,
        "sums": {name: total._asdict() for name, total in _totals(table, run).items()},
    }


def _totals(table: CostTable, run: RunManifest) -> dict[str, Total]:
    """Sums over the layers of the smallest and of the largest subnet."""
    totals = {}
    for name, subnet in {"smallest": run.space.smallest, "largest": run.space.largest}.items():
        layers = run.space.layers(subnet, run.front_end, len(run.labels), table.key.mode)
        rows = [table.row(layer) for layer in layers]
        latency_ms = sum(row.latency_us for row in rows) / 1e3
        core_share = None
        if table.key.mode == "stream":
            core_share = table.key.threads * latency_ms / (1e3 * run.front_end.seconds(STREAM_CHUNK_FRAMES))
        totals[name] = Total(subnet.id, latency_ms, core_share, sum(row.file_bytes for row in rows) / 1e6)
    return totals


def _known(table: CostTable) -> str:
    counts = Counter(row.kind for row in table.rows.values())
    return ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))


def _figures(total: Total) -> tuple[str, str, str]:
    share = "" if total.core_share is None else f"{100 * total.core_share:.1f} %"
    return f"{total.latency_ms:,.{0 if total.latency_ms >= 100 else 1}f} ms", share, f"{total.constants_mb:.2f} MB"
