"""Search's answer for people and as JSON. Not the search. Proved by tests/search/test_command.py."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from toolkit.costs.bounds import BOUNDS
from toolkit.search.search import Answer, Question
from toolkit.specs.cost import Kind

_KNOWN_BY: dict[Kind, str] = {
    "measured": "sum of measured layers",
    "interpolated": "sum of layers, some interpolated",
    "modelled": "modelled, not measured",
}


def as_json(answer: Answer, question: Question) -> dict[str, Any]:
    """The pick and what it was chosen from, as plain data."""
    larger = answer.next_larger
    return {
        "pick": answer.pick.model_dump(mode="json"),
        "path": str(answer.path),
        "table": {"path": str(answer.table_path), "rows": list(answer.table.kinds)},
        "error_band": answer.table.error_band,
        "subnets": answer.subnets,
        "inside_budget": answer.inside,
        "next_larger": larger
        and {
            "subnet": larger.subnet,
            "mean_average_precision": larger.mean_average_precision,
            "breaks": [
                {"bound": excess.bound.field, "limit": excess.limit, "predicted": excess.found}
                for excess in larger.breaks
            ],
        },
        "next_command": next_command(question),
    }


def print_answer(answer: Answer, question: Question) -> None:
    """The answer to stdout, on about fifteen lines."""
    pick, console = answer.pick, Console(highlight=False)
    console.print(
        f"{pick.device}, {pick.precision}, {pick.mode} mode: subnet [bold]{pick.subnet}[/bold]\n", soft_wrap=True
    )
    console.print(_figures(answer))
    console.print()
    for title, text in _remarks(answer, question):
        console.print(f"{title:<13}{text}", soft_wrap=True, markup=False)


def next_command(question: Question) -> str:
    """What people type next."""
    precision = "" if question.precision == "int8" else f" --precision {question.precision}"
    return f"python -m toolkit.export --device {question.device}{precision}{question.folders}"


def _figures(answer: Answer) -> Table:
    predicted, budget = answer.pick.predicted, answer.pick.budget
    table = Table("", "predicted", "budget", "known by", box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for bound in BOUNDS:
        figure, limit = bound.figure(predicted), getattr(budget, bound.field)
        if figure is None or (bound.is_least and limit is None):
            continue
        known = _KNOWN_BY[predicted.latency_ms.kind]
        if bound.field.endswith(("params", "macs")):
            known = "counted, exact"
        elif bound.field.endswith("_mb"):
            known = "counted, not measured"
        allowed = "" if limit is None else ("at least " if bound.is_least else "at most ") + bound.text(limit)
        table.add_row(bound.title, bound.text(figure), allowed, known)
    table.add_row("mAP", f"{answer.pick.mean_average_precision:.3f}", "", "validation, before quantization")
    return table


def _remarks(answer: Answer, question: Question) -> list[tuple[str, str]]:
    pick, larger = answer.pick, answer.next_larger
    inside = f"{answer.inside} subnets inside the budget ({answer.subnets} in all)"
    method = f"exhaustive, all {inside} compared"
    if pick.method == "random":
        method = f"random, seed {pick.seed}, {pick.candidates} of the {inside} compared"
    remarks = [("method", method)]
    if larger:
        breaks = ", ".join(map(str, larger.breaks))
        remarks.append(("next larger", f"{larger.subnet} (mAP {larger.mean_average_precision:.3f}) breaks {breaks}"))
    else:
        remarks.append(("next larger", "none that breaks the budget"))
    rows = " and ".join(answer.table.kinds)
    remarks.append(("table", f"{answer.table_path} ({rows} rows, threads: {answer.table.key.threads})"))
    if answer.table.error_band:
        remarks.append(("error band", f"{answer.table.error_band} (of the modelled latency)"))
    if not answer.table.key.runtime_base_bytes:
        remarks.append(("", "memory is without the runtime's own, which this table does not know"))
    if pick.mode != "stream":
        remarks.append(("", "a share of one core is for stream mode and is no part of this budget"))
    if pick.predicted.latency_ms.kind == "modelled":
        remarks.append(("", "to measure on the device itself: python -m toolkit.profile --help"))
    remarks += [("pick", str(answer.path)), ("next", next_command(question))]
    return remarks
