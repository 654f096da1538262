"""Which rows of a table to measure again when a subnet's prediction failed, the worst first.

Looks at the table alone: what its rows say of how they are known. Proved by tests/search/test_suspects.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from toolkit.specs.cost import CostRow, CostTable
from toolkit.specs.layer import Layer
from toolkit.specs.measured import Suspect


def suspects(table: CostTable, layers: Sequence[Layer]) -> tuple[Suspect, ...]:
    """The rows of a subnet's layers, those in the gravest doubt first.

    What was never measured comes first, by its share of the subnet's latency; then what was measured, by how much of
    the latency its scatter is; of two alike the older one.

    Raises:
        MismatchError: the table does not cover a layer.
    """
    runs = Counter(layer.name for layer in layers)
    rows = [table.row(layer) for layer in dict.fromkeys(layers)]
    total_us = table.key.call_us + sum(runs[row.layer.name] * row.latency_us for row in rows)
    found = [_suspect(row, runs[row.layer.name] * row.latency_us / (total_us or 1.0)) for row in rows]
    return tuple(sorted(found, key=_rank))


def _suspect(row: CostRow, share: float) -> Suspect:
    known = row.measurement
    return Suspect(
        layer=row.layer.name,
        kind=row.kind,
        share=share,
        variation=known.variation if known else None,
        measured_utc=known.environment.started_utc if known else None,
    )


def _rank(suspect: Suspect) -> tuple[bool, float, str]:
    doubtful = suspect.share if suspect.variation is None else suspect.share * suspect.variation
    return suspect.kind == "measured", -doubtful, suspect.measured_utc or ""
