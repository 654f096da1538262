"""Predicted figures and how each is known, in words. Not their places on the page.

Proved by tests/report/test_report.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from toolkit.costs.bounds import BOUNDS, excesses
from toolkit.report.findings import Device, Findings
from toolkit.search.front import Scored
from toolkit.specs.cost import Kind, PredictedCost
from toolkit.specs.device import NOT_VALIDATED

_BOUND_OF = {bound.name: bound for bound in BOUNDS}
FIGURES = {name: bound.title for name, bound in _BOUND_OF.items()}
"""Titles of the figures of a `PredictedCost` that have a bound, by their names."""
NOTHING = "\N{EN DASH}"
_COUNTED = "modelled: counted from shapes, not measured"
_LATENCY: dict[Kind, str] = {
    "measured": "measured: sum of the layers' medians and one call",
    "interpolated": "sum of the layers, some measured, the others interpolated between these",
    "modelled": "modelled, not measured: sum of the layers, of which the device model gave some or all",
}


def figure(cost: PredictedCost, name: str) -> str:
    """`32.43 ms`, `3.38 %`, `0.60M`; a dash where the mode has no such figure."""
    value = _BOUND_OF[name].figure(cost)
    return NOTHING if value is None else _BOUND_OF[name].text(value)


def limits(device: Device, name: str) -> list[str]:
    """What the device's budget allows of a figure."""
    bounds = ((bound, getattr(device.budget, bound.field)) for bound in BOUNDS if bound.name == name)
    return [
        f"at {'least' if bound.is_least else 'most'} {bound.text(limit)}"
        for bound, limit in bounds
        if limit is not None
    ]


def kinds(device: Device) -> str:
    """How the latency of its subnets is known: `measured`, or `measured and modelled` where that differs."""
    return " and ".join(sorted({each.cost.latency_ms.kind for each in device.scored}))


def standing(each: Scored, device: Device) -> str:
    """Whether a subnet is inside, or what it breaks."""
    if each.is_inside:
        return "inside the budget"
    return f"outside: {', '.join(map(str, excesses(each.cost, device.budget)))}"


@dataclass(frozen=True)
class Known:
    """One figure on the page: of which devices, how it is known and by how much it may be off."""

    figure: str
    devices: str
    how: str
    off_by: str = NOTHING


def how_known(findings: Findings) -> tuple[Known, ...]:
    """Every figure on the page; devices of which the same holds stand together."""
    rows: dict[tuple[str, str, str], list[str]] = {}
    whole = {record.pick.device for record in findings.measured.values()}
    for device in findings.devices:
        for row in _of_device(device, device.name in whole):
            rows.setdefault(row, []).append(device.name)
    every = "all"
    names_of = {row: every if len(names) == len(findings.devices) else ", ".join(names) for row, names in rows.items()}
    return (
        *(Known(name, names_of[name, how, off_by], how, off_by) for name, how, off_by in sorted(rows)),
        Known("file", every, _COUNTED, NOT_VALIDATED),
        Known("parameters, MACs", every, "counted, exact", "nothing"),
        Known("mAP of a subnet", every, "measured by training on validation clips, in float, before quantization"),
        Known("predicted against measured", "those listed", "measured on the device by search --measure"),
        Known("certificates", "the machine each names", "measured by verify; what was not run says so"),
    )


def _of_device(device: Device, is_measured_whole: bool) -> Iterable[tuple[str, str, str]]:
    """Figure, how it is known, error band; of one device."""
    table, costs = device.table, [each.cost for each in device.scored]
    compared = "see predicted and measured" if is_measured_whole else "no pick was measured whole yet"
    for kind in sorted({cost.latency_ms.kind for cost in costs}):
        yield "latency", _LATENCY[kind], (table.error_band if kind == "modelled" else None) or compared
    if costs[0].core_share is not None:
        rests = "" if table.key.duty_cycle_ratio else "; that the core sleeps between chunks is taken to cost nothing"
        yield "share of one core", f"latency over the length of a chunk{rests}", "as latency"
    base = "with the runtime's own" if table.key.runtime_base_bytes else "without the runtime's own, which is not known"
    for kind in sorted({cost.memory_mb.kind for cost in costs}):
        is_counted = kind == "modelled"
        how = _COUNTED if is_counted else f"{kind}: what all layers keep and the most that one needs besides"
        yield "memory", f"{how}; {base}", NOT_VALIDATED if is_counted else compared
