"""Predicted figures and how each is known, in words. Not their places on the page.

Proved by tests/report/test_report.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from toolkit.costs.bounds import BOUNDS, excesses
from toolkit.report.findings import Device, Findings
from toolkit.search.front import Scored
from toolkit.specs.cost import WEAKNESS, Kind, PredictedCost
from toolkit.specs.device import NOT_VALIDATED, Budget
from toolkit.specs.measured import Measured

_BOUND_OF = {bound.name: bound for bound in BOUNDS}
FIGURES = {name: bound.title for name, bound in _BOUND_OF.items()}
"""Titles of the figures of a `PredictedCost` that have a bound, by their names."""
NOTHING = "\N{EN DASH}"
_COUNTED = "modelled: counted from shapes, not measured"
_LATENCY: dict[Kind, str] = {
    "measured": "measured: sum of the layers' medians as whole networks scale them, and one call",
    "interpolated": "sum of the layers, some measured, the others interpolated between these",
    "modelled": "modelled, not measured: sum of the layers, of which the device model gave some or all",
}


def figure(cost: PredictedCost, name: str) -> str:
    """`32.43 ms`, `3.38 %`, `0.6044M`; a dash where the mode has no such figure."""
    value = _BOUND_OF[name].figure(cost)
    return NOTHING if value is None else _BOUND_OF[name].text(value)


def small_print(device: Device, name: str) -> list[str]:
    """What a figure leaves out, and what the device's budget allows of it."""
    bounds = ((bound, getattr(device.budget, bound.field)) for bound in BOUNDS if bound.name == name)
    allowed = [
        f"at {'least' if bound.is_least else 'most'} {bound.text(limit)}"
        for bound, limit in bounds
        if limit is not None
    ]
    return [*([left_out(device)] if name == "memory_mb" else []), *allowed]


def left_out(device: Device) -> str:
    """Of its memory figures: a table counted from shapes does not know what the runtime itself takes."""
    return "with the runtime's own" if device.table.key.runtime_base_bytes else "without the runtime's own"


def kinds(device: Device) -> str:
    """How the latency of its subnets is known: `measured`, or `measured and modelled` where that differs."""
    return " and ".join(sorted({each.cost.latency_ms.kind for each in device.scored}))


def weakest(device: Device) -> Kind:
    """The least certain way in which the latency of its pick, or of any of its subnets, is known."""
    some = [device.best] if device.best else device.scored
    return max((each.cost.latency_ms.kind for each in some), key=WEAKNESS.__getitem__)


def standing(each: Scored, device: Device) -> str:
    """Whether a subnet is inside, or what it breaks."""
    if device.budget == Budget():
        return "no budget"
    if each.is_inside:
        return "inside the budget"
    return f"outside: {', '.join(map(str, excesses(each.cost, device.budget)))}"


def other_table(record: Measured, findings: Findings) -> str:
    """Said of a prediction that comes from another table than those on the page: an older one, or another mode's."""
    tables = {device.table.hash for device in findings.devices}
    return "" if record.pick.table_hash in tables else "predicted from a table that is not on this page"


def budget_source(device: Device) -> str:
    """Where its bounds come from, all of them or one by one."""
    own = {name: text for name, text in device.profile.sources.items() if name.split(".")[0] == "budget"}
    return "; ".join(f"{name.partition('.')[2]}: {text}".removeprefix(": ") for name, text in own.items()) or NOTHING


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
    for device in findings.devices:
        whole = [record for record in findings.measured.values() if record.pick.table_hash == device.table.hash]
        for row in _of_device(device, whole):
            rows.setdefault(row, []).append(device.name)
    every = "all"
    names_of = {row: every if len(names) == len(findings.devices) else ", ".join(names) for row, names in rows.items()}
    return (
        *(Known(name, names_of[name, how, off_by], how, off_by) for name, how, off_by in sorted(rows)),
        Known("file", every, _COUNTED, NOT_VALIDATED),
        Known("parameters, MACs", every, "counted, exact", "nothing"),
        Known("mAP of a subnet", every, "measured on validation clips, in float, before quantization"),
        Known("predicted against measured", "those listed", "measured on the device by search --measure"),
        Known("certificates", "the machine each names", "measured by verify; what was not run says so"),
    )


def _of_device(device: Device, whole: Sequence[Measured]) -> Iterable[tuple[str, str, str]]:
    """Figure, how it is known, error band; of one device, of whose table these picks were measured whole."""
    table, costs = device.table, [each.cost for each in device.scored]

    def compared(some: bool) -> str:
        return "see predicted and measured" if some else "no pick was measured whole yet"

    for kind in sorted({cost.latency_ms.kind for cost in costs}):
        yield "latency", _LATENCY[kind], (table.error_band if kind == "modelled" else None) or compared(bool(whole))
    if costs[0].core_share is not None:
        rests = "" if table.key.duty_cycle_ratio else "; that the core sleeps between chunks is taken to cost nothing"
        yield "share of one core", f"latency over the length of a chunk{rests}", "as latency"
    for kind in sorted({cost.memory_mb.kind for cost in costs}):
        is_counted = kind == "modelled"
        how = _COUNTED if is_counted else f"{kind}: what all layers keep and the most that one needs besides"
        is_compared = any(record.memory_mb for record in whole)
        yield "memory", f"{how}; {left_out(device)}", NOT_VALIDATED if is_counted else compared(is_compared)
