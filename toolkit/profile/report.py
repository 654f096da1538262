"""What `profile` found, for people and as JSON. Not the finding. Proved by tests/profile/test_command.py."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from toolkit.costs.predict import predict
from toolkit.profile.profile import Profiled
from toolkit.specs.cost import CostTable


class Total(NamedTuple):
    """Of one subnet's layers, front end included."""

    subnet: str
    latency_ms: float
    core_share: float | None
    constants_mb: float


def as_json(profiled: Sequence[Profiled]) -> dict[str, Any]:
    """Every table's file, how its rows are known, and the sums of the smallest and the largest subnet."""
    return {"tables": [_table_json(each) for each in profiled]}


def print_tables(profiled: Sequence[Profiled]) -> None:
    """The tables to stdout, a line each, and where they lie."""
    console = Console(highlight=False)
    for runtime, group in itertools.groupby(profiled, lambda each: each.table.key.runtime):
        tables = list(group)
        key = tables[0].table.key
        console.print(f"{key.device}, {runtime} {key.runtime_version}, threads: {key.threads}, cores {key.core_mask}\n")
        shown = Table("", "subnet", "latency", "of a core", "constants", "layers", box=None, pad_edge=False)
        for each in tables:
            title, known = f"{each.table.key.precision} {each.table.key.mode}", _known(each.table)
            for name, total in _totals(each).items():
                shown.add_row(title, name, *_figures(total), known)
                title = known = ""
        console.print(shown)
        console.print()
    for remark in _remarks(profiled):
        console.print(remark, soft_wrap=True, markup=False)


def _remarks(profiled: Sequence[Profiled]) -> Iterator[str]:
    key = profiled[0].table.key
    space = f"{key.space.name} at base width {key.space.base_width}"
    yield f"Sums over the layers, front end included, of {space} with {key.label_count} labels."
    yield from _modelled(profiled)
    notes = {row.note for each in profiled for row in each.table.rows.values() if row.kind != "modelled" and row.note}
    for note in sorted(notes):
        yield f"{note}{'; without --quick the timings are steadier' if note.startswith('quick') else ''}."
    for each in profiled:
        yield from (f"{_name(each.table)}: {doubt}" for doubt in (*_paces(each.table), *each.remarks))
    for each in profiled:
        yield f"{each.path}{''.join(f' and {path.suffix}' for path in each.pictures)}"


def _modelled(profiled: Sequence[Profiled]) -> Iterator[str]:
    """The error band of modelled tables, told apart by precision where it differs."""
    bands: dict[str, list[str]] = {}
    for each in profiled:
        if band := each.table.error_band:
            bands.setdefault(band, []).append(each.table.key.precision)
    if bands:
        known = "; ".join(f"{band}{_of(precisions) if len(bands) > 1 else ''}" for band, precisions in bands.items())
        yield f"MODELLED from published figures, nothing was measured. Error band: {known}."


def _paces(table: CostTable) -> Iterator[str]:
    """What was found beside back-to-back timings."""
    if table.key.duty_cycle_ratio is not None:
        yield f"with one decision each hop the costliest layers take {table.key.duty_cycle_ratio:.2f} times as long."
    if table.key.sustained_ratio is not None:
        yield f"at the end of the sustained run the costliest layer took {table.key.sustained_ratio:.2f} times as long."


def _name(table: CostTable) -> str:
    return f"{table.key.runtime} {table.key.precision} {table.key.mode}"


def _table_json(each: Profiled) -> dict[str, Any]:
    table = each.table
    return {
        "path": str(each.path),
        "pictures": [str(path) for path in each.pictures],
        "device": table.key.device,
        "runtime": table.key.runtime,
        "precision": table.key.precision,
        "mode": table.key.mode,
        "rows": dict(Counter(row.kind for row in table.rows.values())),
        "error_band": table.error_band,
        "duty_cycle_ratio": table.key.duty_cycle_ratio,
        "sustained_ratio": table.key.sustained_ratio,
        "remarks": list(each.remarks),
        "sums": {name: total._asdict() for name, total in _totals(each).items()},
    }


def _totals(each: Profiled) -> dict[str, Total]:
    """What `search` predicts of the smallest and of the largest subnet."""
    key = each.table.key
    totals = {}
    for name, subnet in {"smallest": key.space.smallest, "largest": key.space.largest}.items():
        cost = predict(each.table, key.space, subnet, each.front_end, key.label_count)
        share = cost.core_share.value if cost.core_share else None
        totals[name] = Total(subnet.id, cost.latency_ms.value, share, cost.file_mb.value)
    return totals


def _of(precisions: list[str]) -> str:
    return f" ({', '.join(dict.fromkeys(precisions))})"


def _known(table: CostTable) -> str:
    counts = Counter(row.kind for row in table.rows.values())
    return ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))


def _figures(total: Total) -> tuple[str, str, str]:
    share = "" if total.core_share is None else f"{100 * total.core_share:.1f} %"
    return f"{total.latency_ms:,.{0 if total.latency_ms >= 100 else 1}f} ms", share, f"{total.constants_mb:.2f} MB"
