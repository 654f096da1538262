"""What measuring a pick gave, for people and as JSON. Not the measuring. Proved by tests/search/test_trial.py."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from toolkit.search.refine import Refined
from toolkit.search.trial import Step, Stuck
from toolkit.specs.measured import TOLERANCE, Comparison, Suspect

SHOWN = 8
"""Rows of a list that are printed; all stand in the record."""


def as_json(steps: Sequence[Step | Stuck]) -> list[dict[str, Any]]:
    """Each step's record, and the table that was refined before it."""
    return [
        {
            "record": step.measured.model_dump(mode="json") if isinstance(step, Step) else None,
            "path": str(step.path) if isinstance(step, Step) else None,
            "refined": step.refined and _refined_as_json(step.refined),
        }
        for step in steps
    ]


def print_verdict(step: Step) -> None:
    """The figures, what is doubtful, what to measure again where it failed, and the record."""
    console = Console(highlight=False)
    found = step.measured
    pick, environment = found.pick, found.measurement.environment
    console.print(
        f"\nsubnet [bold]{pick.subnet}[/bold] on {found.target}: {found.agent}, {environment.runtime} "
        f"{environment.runtime_version}, {len(found.measurement.latencies_us)} inferences, "
        f"threads: {environment.threads}, cores {environment.core_mask}\n",
        soft_wrap=True,
    )
    table = Table("", "predicted", "measured", "error", "", "known by", box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_row("latency", *_cells(found.latency_ms, "ms", 4))
    if found.memory_mb:
        table.add_row("memory", *_cells(found.memory_mb, "MB", 3))
    console.print(table)
    console.print()
    for title, text in _remarks(step):
        console.print(f"{title:<13}{text}", soft_wrap=True, markup=False)


def _cells(comparison: Comparison, unit: str, digits: int) -> tuple[str, ...]:
    return (
        f"{comparison.predicted:.{digits}g} {unit}",
        f"{comparison.measured:.{digits}g} {unit}",
        f"{100 * comparison.error:+.1f} %",
        "passed" if comparison.passed else "FAILED",
        comparison.kind,
    )


def _remarks(step: Step) -> Iterator[tuple[str, str]]:
    found = step.measured
    verdict = "passed" if found.passed else "FAILED"
    yield "verdict", f"{verdict}; a prediction passes within {100 * TOLERANCE:.0f} % of what was measured"
    if found.network_mb:
        predicted, measured = found.network_mb
        own = f"{found.base_bytes / 1e6:.1f} MB are the runtime's own, as measured here"
        yield "of memory", f"{own}; of the network {predicted:.1f} MB were predicted, {measured:.1f} MB measured"
    if found.memory_note:
        yield "memory", found.memory_note
    for remark in found.remarks:
        yield "doubt", remark
    for number, suspect in enumerate(found.suspects[:SHOWN]):
        yield "" if number else "to measure", _suspect(suspect)
    if found.suspects:
        rest = len(found.suspects) - SHOWN
        yield "", f"{f'and {rest} more, ' if rest > 0 else ''}worst first; --refine measures them anew"
    yield "record", str(step.path)


def _suspect(suspect: Suspect) -> str:
    share = f"{suspect.layer}: {suspect.kind}, {100 * suspect.share:.1f} % of the latency"
    if suspect.variation is None:
        return share
    return f"{share}, timings scatter by {100 * suspect.variation:.1f} %, of {suspect.measured_utc}"


def print_refined(refined: Refined) -> None:
    """The rows that changed most, and the table's file."""
    console = Console(highlight=False)
    console.print(f"\nrefined {refined.path}\n", soft_wrap=True, markup=False)
    table = Table("layer", "was", "before", "now", box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for change in refined.changes[:SHOWN]:
        table.add_row(change.layer, change.was, f"{change.before_us:.1f} us", f"{change.after_us:.1f} us")
    console.print(table)
    if (rest := len(refined.changes) - SHOWN) > 0:
        console.print(f"and {rest} more, which changed less")
    console.print()


def _refined_as_json(refined: Refined) -> dict[str, Any]:
    return {
        "path": str(refined.path),
        "table_hash": refined.table.hash,
        "rows": [
            {"layer": each.layer, "was": each.was, "before_us": each.before_us, "after_us": each.after_us}
            for each in refined.changes
        ],
    }
